"""Several players of one instrument: the second table, scored beside the first by the stages."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline import baselines, evaluate
from solos.config.params import Parallel
from solos.config.rows import Row
from solos.evaluation.metrics import bss_eval
from solos.evaluation.scores import EACH
from solos.evaluation.segments import read_segments, repeating_pieces
from solos.models.weights import build_network, save_network
from solos.report.table2 import same_instrument


@pytest.fixture
def run(params, urmp, mhu_recipe, tmp_path, monkeypatch):
    """A folder with the prepared test set and a network, as the stages find them."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(urmp, "data/urmp")
    about = {"network": "mhunet", "recipe": mhu_recipe.model_dump()}
    save_network(Path("data/models/mhunet"), build_network(mhu_recipe), about)
    row = Row(network="mhunet", init="scratch", epochs=1)
    alone = Parallel(backend="threading", jobs=1)
    return params.model_copy(update={"model": {"mhunet": row}, "parallel": alone})


def found(row: str) -> dict:
    return json.loads(Path("data/variants", f"{row}.json").read_text())[EACH]


def test_repeating_pieces_are_those_with_two_of_an_instrument(urmp):
    pieces = repeating_pieces(urmp)
    assert [piece.name for piece in pieces] == ["01_A_vn_fl_vn", "04_D_vn_vn"]
    assert [source.label for source in pieces[0].sources] == ["1", "2", "3"]


def test_the_stages_score_each_player(run):
    evaluate.main(run, "mhunet")
    baselines.main(run, "mixture")
    baselines.main(run, "oracles")
    for row in ("mhunet", "mixture", "oracle_ratio"):
        assert (found(row)["segments"], found(row)["skipped"]) == (2, 1)  # in one the flute rests
    segments = list(read_segments(repeating_pieces(Path("data/urmp")), run.evaluate))
    values = np.concatenate(
        [
            bss_eval(references=part.references, estimates=[part.mix] * len(part.references)).sdr
            for part in (segments[0], segments[2])
        ]
    )
    assert len(values) == 5
    assert found("mixture")["SDR"]["mean"] == pytest.approx(values.mean(), abs=1e-3)
    assert found("oracle_ratio")["SDR"]["mean"] > found("mixture")["SDR"]["mean"] + 1  # of noises
    others = {row: {EACH: found(row)} for row in ("mixture", "mhunet")} | {"sop": {}}
    lines = same_instrument(others, ["sop"])
    assert [line[-1] for line in lines] == ["", "one estimate for all", ""]
    assert lines[2][1] == "no video of the players"


def test_where_no_piece_repeats_an_instrument_that_is_said(run):
    for name in ("pieces", "parts"):
        path = Path("data/urmp", f"{name}.csv")
        kept = [line for line in path.read_text().splitlines() if not line.startswith(("01", "04"))]
        path.write_text("\n".join([*kept, ""]))
    baselines.main(run, "mixture")
    assert found("mixture") == {"reason": "no piece repeats an instrument"}

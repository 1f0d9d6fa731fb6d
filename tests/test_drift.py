"""The authors' drift between estimates and references, and what other choices would give."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from solos import SAMPLE_RATE, SEGMENT
from solos.config.rows import Evaluate
from solos.evaluation.scores import score_segment, write_variants
from solos.evaluation.segments import Piece, Source, read_pairs
from solos.report.table2 import variants
from solos.separation.variants import ways_of

PROTOCOL = Evaluate(batch_size=4, masks="binary")


@pytest.fixture(scope="module")
def piece(tmp_path_factory) -> Piece:
    """17 segments and 7 samples of two noises, in which every place is told from the others."""
    folder = tmp_path_factory.mktemp("piece")
    rng = np.random.default_rng(0)
    waves = rng.uniform(-0.1, 0.1, (2, 17 * SEGMENT + 7)).astype(np.float32)
    for name, wave in (("1", waves[0]), ("2", waves[1]), ("mix", waves.sum(axis=0))):
        soundfile.write(folder / f"{name}.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    sources = [Source(n, (k,), (folder / f"{k}.wav",), ()) for k, n in ((1, "Viola"), (2, "Tuba"))]
    return Piece("01_A_va_tba", folder / "mix.wav", waves.shape[1], tuple(sources))


@pytest.mark.parametrize(("number", "early"), [(0, 0), (1, 1), (15, 15), (16, 7)])
def test_the_estimate_of_segment_i_is_i_samples_early(piece, number, early):
    """But never past the end of the piece, which the last one reaches."""
    protocol = PROTOCOL.model_copy(update={"drift": 1})
    scored, heard = list(read_pairs([piece], protocol))[number]
    mix, _ = soundfile.read(piece.mix, dtype="float32")
    assert scored.start == number * SEGMENT and heard.start == scored.start + early
    assert np.array_equal(scored.mix, mix[scored.start :][:SEGMENT])
    assert np.array_equal(heard.mix, mix[heard.start :][:SEGMENT])


def test_fifteen_samples_of_drift(piece):
    protocol = PROTOCOL.model_copy(update={"drift": 1})
    scored, heard = list(read_pairs([piece], protocol))[15]
    assert heard.start - scored.start == 15
    aligned = score_segment(scored, scored.references, protocol)[0]
    drifted = score_segment(scored, heard.references, protocol)[0]
    assert aligned["SAR"] > 100
    assert drifted["SAR"] < 0  # no causal filter makes up for it


def test_without_drift_estimates_are_of_the_segment_itself(piece):
    assert all(scored is heard for scored, heard in read_pairs([piece], PROTOCOL))


def test_ways_are_named_by_what_differs():
    sighted = SimpleNamespace(needs_frames=False, needs_names=False, masks="binary")
    assert list(ways_of(sighted, PROTOCOL)) == ["", "drift: 1"]
    drifting = PROTOCOL.model_copy(update={"drift": 1})
    assert list(ways_of(sighted, drifting)) == ["", "drift: 0"]


def test_variants_beside_the_tables_figures(piece, tmp_path):
    segment = next(iter(read_pairs([piece], PROTOCOL)))[0]
    lines = score_segment(segment, segment.references, PROTOCOL)
    silent = score_segment(segment, 0 * segment.references, PROTOCOL)
    write_variants({"drift: 1": lines, "masks: soft": silent}, tmp_path, "x")
    text = (tmp_path / "x.json").read_text()
    assert '"drift: 1"' in text and "silent estimate of Viola" in text
    own = {name: {"mean": 1.0, "std": 0.0} for name in ("SDR", "SIR", "SAR")} | {"segments": 3}
    other = {name: {"mean": -0.5, "std": 0.0} for name in ("SDR", "SIR", "SAR")} | {"segments": 2}
    found = variants({"a": own}, {"a": {"drift: 1": other, "masks: soft": {"reason": "why"}}})
    cells = ["−0.50, not 1.00"] * 3
    assert found == [["a", "drift: 1", *cells, "2"], ["a", "masks: soft", "why", "", "", ""]]

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from closure import ROOT

from solos.distributed import ALONE, GlobalBatchNorm, Processes, Shares

ONE = [sys.executable]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
STEPS = 20


def train_with(launcher: list[str], folder: Path, name: str, description: dict) -> dict:
    (folder / "description.json").write_text(json.dumps(description))
    output = folder / f"{name}.json"
    worker = [str(ROOT / "tests/parallel_worker.py"), str(folder / "description.json"), str(output)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, *worker], check=True, env=environment, capture_output=True)
    return json.loads(output.read_text())


@pytest.mark.parametrize("kind", ["sop", "mhunet"])
def test_two_processes_follow_the_curve_of_one(
    kind, training_set, sop_recipe, mhu_recipe, tmp_path
):
    """Twenty steps (one an epoch), with the paper's optimizers; uneven shares too.

    Faster than the paper's, and Sound of Pixels from further off 0: else twenty steps do nothing.
    """
    published = {
        "sop": {"optimizer": "sgd", "lr": 0.05, "init_std": 0.05, "batch_size": 6},
        "mhunet": {"optimizer": "adam", "lr": 1e-3, "batch_size": 5, "train_mixes": 5},
    }[kind]
    recipe = {"sop": sop_recipe, "mhunet": mhu_recipe}[kind]
    recipe = recipe.model_copy(update=published | {"val_mixes": 3})
    description = {"kind": kind, "recipe": recipe.model_dump(), "epochs": STEPS}
    if kind == "mhunet":
        description["recipe"]["dropout"] = 0.0  # two processes would draw other masks than one
    description["folders"] = [str(folder) for folder in training_set]
    one = train_with(ONE, tmp_path, "one", description)
    two = train_with(TWO, tmp_path, "two", description)
    assert (one["count"], two["count"]) == (1, 2)
    for name in ("train_loss", "val_loss"):
        curves = [[r[name] for r in run["records"] if name in r] for run in (one, two)]
        assert len(curves[0]) >= STEPS
        assert curves[1] == pytest.approx(curves[0], abs=1e-4)
        assert max(curves[0]) - min(curves[0]) > 1e-3  # it did learn something


def test_shares_make_up_the_batches_of_one_process():
    def batches(n, size, count):
        shares = [list(Shares(n, size, Processes(rank, count))) for rank in range(count)]
        return [sorted(chain.from_iterable(parts)) for parts in zip(*shares, strict=True)]

    assert list(Shares(7, 3, ALONE)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert batches(7, 3, 1) == list(Shares(7, 3, ALONE))
    assert batches(8, 3, 2) == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert batches(7, 3, 2) == [[0, 1, 2], [3, 4, 5]]  # a single one is too few for two


def test_batch_norm_over_one_process_is_torchs(monkeypatch):
    monkeypatch.setattr("torch.distributed.all_reduce", lambda values: values)
    ours, theirs = GlobalBatchNorm(3), torch.nn.BatchNorm2d(3)
    for norm in (ours, theirs):
        torch.nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(2))
    x = torch.randn(4, 3, 5, 6) * 3 + 2
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    state = theirs.state_dict()
    for name, value in ours.state_dict().items():
        assert torch.allclose(value, state[name], atol=1e-5), name
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-5)

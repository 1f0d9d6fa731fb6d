import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from closure import ROOT

from solos.config.recipes import StepSchedule
from solos.errors import UserError
from solos.models.weights import build_network
from solos.training.distributed import ALONE, GlobalBatchNorm, Processes
from solos.training.loop import train
from solos.training.state import Checkpoint
from solos.training.tasks import make_task

ONE = [sys.executable]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
STEPS = 20


def train_with(launcher: list[str], folder: Path, name: str, description: dict) -> dict:
    description = description | {"checkpoint": str(folder / f"{name}.pth")}
    (folder / "description.json").write_text(json.dumps(description))
    output = folder / f"{name}.json"
    worker = [str(ROOT / "tests/parallel_worker.py"), str(folder / "description.json"), str(output)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, *worker], check=True, env=environment, capture_output=True)
    return json.loads(output.read_text())


@pytest.fixture
def describe(training_set, sop_recipe, mhu_recipe, informed_recipe):
    """Makes what a worker is told: the paper's optimizers, two steps an epoch, uneven shares.

    Faster than the paper's, and Sound of Pixels from further off 0: else twenty steps do nothing.
    """

    def make(kind: str, **changes) -> dict:
        published = {
            "sop": {"optimizer": "sgd", "lr": 0.01, "init_std": 0.05, "batch_size": 7},
            "mhunet": {"optimizer": "adam", "lr": 1e-3, "batch_size": 5},
            "informed": {"optimizer": "sgd", "lr": 1e-4, "batch_size": 5},
        }[kind]
        recipes = {"sop": sop_recipe, "mhunet": mhu_recipe, "informed": informed_recipe}
        recipe = recipes[kind]
        # A cosine depends on the epochs, of which half a run has fewer.
        published["schedule"] = StepSchedule(kind="step", milestones=[6], gamma=0.3)
        mixes = {"mixes_per_recording": 2} if kind == "sop" else {"train_mixes": 8}
        recipe = recipe.model_copy(update=published | mixes | {"val_mixes": 4} | changes)
        folders = [str(folder) for folder in training_set]
        about = {"kind": kind, "recipe": recipe.model_dump(), "folders": folders}
        return about | {"epochs": STEPS // 2}

    return make


def curves(run: dict) -> list[float]:
    return [r[name] for r in run["records"] for name in ("train_loss", "val_loss") if name in r]


@pytest.mark.parametrize("kind", ["sop", "mhunet", "informed"])
def test_two_processes_follow_the_curve_of_one(kind, describe, tmp_path):
    """Twenty steps; the two are interrupted halfway and go on from their checkpoint."""
    dropout = {"dropout": 0.0} if kind == "mhunet" else {}  # processes draw it for themselves
    description = describe(kind, **dropout)
    one = train_with(ONE, tmp_path, "one", description)
    half = train_with(TWO, tmp_path, "two", description | {"epochs": STEPS // 4})
    two = train_with(TWO, tmp_path, "two", description)
    assert (one["count"], half["count"], two["count"]) == (1, 2, 2)
    assert two["records"][: len(half["records"])] == half["records"]
    assert len(curves(one)) == STEPS // 2 * 2 + 1
    in_decibels = kind == "informed"
    assert curves(two) == pytest.approx(curves(one), abs=1e-3 if in_decibels else 1e-4)
    losses = [record["train_loss"] for record in one["records"][1:]]
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])  # it did learn something


def test_two_processes_in_mixed_precision(describe, tmp_path):
    """bfloat16 reaches the joint batch norm; the curve stays near that of float32."""
    runs = [
        train_with(TWO, tmp_path, precision, describe("mhunet", precision=precision, dropout=0.0))
        for precision in ("float32", "bfloat16")
    ]
    assert curves(runs[1]) != curves(runs[0])
    assert curves(runs[1]) == pytest.approx(curves(runs[0]), rel=0.05)


def test_each_process_draws_its_own_dropout(describe, tmp_path):
    """Repeatable, and another than that of one process or of the same mask twice."""
    description = describe("mhunet", dropout=0.5)
    first, again = (train_with(TWO, tmp_path, name, description) for name in ("a", "b"))
    assert first == again
    assert curves(first) != curves(train_with(ONE, tmp_path, "c", description))


def test_processes_that_start_differently_are_refused(describe, tmp_path):
    """A checkpoint for each, as without a common file system: the first alone has one."""
    description = describe("mhunet", dropout=0.0) | {"epochs": 1}
    train_with(TWO, tmp_path, "shared", description)
    (tmp_path / "shared.pth").rename(tmp_path / "own0.pth")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        train_with(TWO, tmp_path, "own", description | {"own_checkpoints": True})
    assert b"the processes differ in where they start" in caught.value.stderr


def test_shares_make_up_the_batches_of_one_process():
    def batches(n, size, count):
        shares = [Processes(rank, count).shares(n, size) for rank in range(count)]
        return [sorted(chain.from_iterable(parts)) for parts in zip(*shares, strict=True)]

    assert ALONE.shares(7, 3) == [[0, 1, 2], [3, 4, 5], [6]]
    assert Processes(1, 2).shares(7, 3) == [[1], [4], []]
    for n, size, count in [(7, 3, 1), (8, 3, 2), (7, 3, 2), (16, 4, 4)]:
        assert batches(n, size, count) == ALONE.shares(n, size)


def test_a_batch_that_is_too_small_to_share_is_refused(
    training_set, mhu_recipe, tmp_path, monkeypatch
):
    for name in ("parallel", "agree", "sum"):
        monkeypatch.setattr(Processes, name, lambda self, value: value)
    recipe = mhu_recipe.model_copy(update={"train_mixes": 9, "batch_size": 8, "norm_batch": 1})
    task = make_task(recipe, 0, *training_set)
    network, checkpoint = build_network(recipe), Checkpoint(tmp_path / "last.pth")
    with pytest.raises(UserError, match="2 processes can't share 1 mixes, over which"):
        train(task, network, 1, checkpoint, list, lambda b, _: b, Processes(0, 2))


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

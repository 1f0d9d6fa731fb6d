"""The stage ``train`` under SIGKILL."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import yaml
from closure import ROOT

from pipeline import fit
from solos.errors import UserError
from solos.models.weights import load_state
from solos.training.distributed import ALONE, Processes

EPOCHS = 6
STEPS = {"sop": 3, "mhunet": 12}
"""Of an epoch."""


@pytest.fixture
def workspace(training_set, sop_recipe, mhu_recipe, tmp_path):
    """Makes folders with all that the stage reads."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        spectrograms, extracted = training_set
        shutil.copytree(spectrograms, folder / "data/spectrograms/solos")
        shutil.copytree(extracted, folder / "data/extracted/solos")
        (folder / "data/weights/scratch").mkdir(parents=True)
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["train"] |= {"sop": sop_recipe.model_dump(), "mhunet": mhu_recipe.model_dump()}
        params["train"]["mhunet"]["train_mixes"] = 24
        for row in ("sop", "mhunet"):
            params["model"][row]["epochs"] = EPOCHS
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        return folder

    return make


EAGER = """
import sys
from functools import partial
from pipeline import fit, train
from pipeline.common import run_stage
fit.Checkpoint = partial(fit.Checkpoint, every=0.0)
run_stage(train.main, ())
"""
"""The stage, but for its checkpoint: after every step, not every ten minutes."""


def start(folder: Path, row: str, eager: bool = True) -> subprocess.Popen:
    program = ["-c", EAGER] if eager else ["-m", "pipeline.train"]
    return subprocess.Popen(
        [sys.executable, *program, row],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_at(process: subprocess.Popen, folder: Path, epoch: int, step: int) -> None:
    """SIGKILL within an epoch, once so many of its steps are taken."""
    while process.poll() is None:
        found = list(folder.glob("*/last.pth"))
        state = load_state(found[0]) if found else {"history": [], "losses": []}
        if len(state["history"]) >= epoch and len(state["losses"]) >= step:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.002)
    process.communicate()


@pytest.mark.parametrize("row", ["sop", "mhunet"])
def test_killed_at_three_steps_exports_the_same_bytes(row, workspace):
    whole, killed = workspace("whole"), workspace("killed")
    assert start(whole, row, eager=False).communicate() and (whole / "data/models" / row).is_dir()
    checkpoints = killed / ".work/train" / row
    moments = random.Random(row)
    for epoch in sorted(moments.sample(range(1, EPOCHS + 1), 3)):
        step = moments.randint(1, STEPS[row] - 1)
        process = start(killed, row)
        kill_at(process, checkpoints, epoch, step)
        assert process.returncode == -signal.SIGKILL
        assert not (killed / "data/models").exists()
    (checkpoint,) = checkpoints.glob("*/last.pth")
    assert len(load_state(checkpoint)["history"]) >= epoch  # what the last run goes on from
    last = start(killed, row)
    assert "epoch 0," in last.communicate()[1] and last.returncode == 0
    for folder in ("data/models", "data/training"):
        expected = {
            path.relative_to(whole): path.read_bytes()
            for path in (whole / folder / row).rglob("*")
            if path.is_file()
        }
        assert expected
        for name, content in expected.items():
            assert without_times(killed / name) == (
                content if name.suffix == ".pth" else without_times(whole / name)
            )


def test_two_experiments_train_the_same_row_once(workspace):
    """Temporary workspaces of DVC's queue share ``.work``: the second takes the first's result."""
    first, second = (workspace(f".dvc/tmp/exps/{name}") for name in "ab")
    running = [start(folder, "mhunet", eager=False) for folder in (first, second)]
    said = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert sum(f"going on after epoch {EPOCHS}, step 0" in text for text in said) == 1
    assert sum("waiting for another process" in text for text in said) == 1
    name = "data/models/mhunet/mhunet_best.pth"
    assert (first / name).read_bytes() == (second / name).read_bytes()


def test_several_processes_do_not_wait_for_another_run(tmp_path):
    several = partial(fit._holding, tmp_path / "run", Processes(0, 2))
    taken = pytest.raises(UserError, match="another run trains this")
    with fit._holding(tmp_path / "run", ALONE), taken, several():
        pass
    with several():
        pass


def without_times(path: Path) -> bytes:
    """A file's bytes, but for the column of dvclive's logs that says when."""
    if path.suffix != ".tsv":
        return path.read_bytes()
    lines = path.read_text().splitlines()
    return "\n".join("\t".join(line.split("\t")[-2:]) for line in lines).encode()

"""CONTRIBUTING's example of a row of one's own, typed as it is printed."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
from closure import ROOT

from solos import INSTRUMENTS, SEGMENT

TINY = (
    "train.unet.channels=[4,8,8]",
    "train.unet.train_mixes=6",
    "train.unet.val_mixes=4",
    "train.unet.batch_size=2",
    "train.mhunet.curriculum.stop=3",
    "train.unet.epochs=1",
)
SEPARATE = f"""
import torch
from pathlib import Path
from solos.separation.targets import Target
from solos.separation.separator import load_separator
separator = load_separator(Path("data/models/unet"))
mix = torch.rand(1, {SEGMENT}) - 0.5
(estimates,) = separator.separate(mix, [[Target(name) for name in {INSTRUMENTS}]])
print(type(separator.network).__name__, bool((estimates.sum(0) - mix[0]).abs().max() < 1e-3))
"""
COPIED = ("solos", "pipeline", "conf", "dvc.yaml", "data/weights/scratch")


@pytest.fixture(scope="module")
def clone(tmp_path_factory, training_set) -> Path:
    """The project with the example's files in place, and a training set in a moment."""
    folder = tmp_path_factory.mktemp("clone")
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    for source, name in zip(training_set, ("spectrograms", "extracted"), strict=True):
        shutil.copytree(source, folder / "data" / name / "solos")
    text = (ROOT / "CONTRIBUTING.md").read_text()
    blocks = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)```$", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == ["solos/models/unet.py", "conf/model/unet.yaml"]
    for name, content in blocks:
        assert not (folder / name).exists()
        (folder / name).write_text(content)
    return folder


def run(clone: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(clone), "TQDM_DISABLE": "1"}
    environment |= {"DVC_NO_ANALYTICS": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_walk_through_names_what_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names = re.findall(r"^\d+\. `([\w.]+)`", text, re.MULTILINE)
    assert len(names) == 14
    for name in names:
        module = re.match(r"[a-z_.0-9]+(?=\.)", name)[0]  # up to a function, or a class with one
        assert inspect.isfunction(
            attrgetter(name.removeprefix(f"{module}."))(import_module(module))
        )


def test_the_example_is_good_style(clone):
    settings = ["--config", str(ROOT / "pyproject.toml")]
    run(clone, sys.executable, "-m", "ruff", "check", *settings, "solos/models/unet.py")
    run(clone, sys.executable, "-m", "ruff", "format", "--check", *settings, "solos/models/unet.py")


def test_the_row_is_trained_and_separates(clone):
    run(clone, sys.executable, "-m", "pipeline.params", "model=unet", *TINY)
    run(clone, sys.executable, "-m", "pipeline.train", "unet")
    assert (clone / "data/models/unet/unet_best.pth").exists()
    assert run(clone, sys.executable, "-c", SEPARATE).split() == ["UNet", "True"]


def test_the_row_is_a_stage_that_depends_on_its_own_file(clone):
    run(clone, sys.executable, "-m", "pipeline.params", "model=unet", *TINY)
    run(clone, "git", "init", "--quiet")
    run(clone, sys.executable, "-m", "dvc", "init", "--quiet")
    listed = run(clone, sys.executable, "-m", "dvc", "stage", "list", "--name-only")
    assert "train@unet" in listed and "train@mhunet" not in listed
    status = run(clone, sys.executable, "-m", "dvc", "status", "train@unet", "--json")
    assert "solos/models/unet.py" in status and "solos/models/mhunet.py" not in status

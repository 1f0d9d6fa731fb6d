"""Two trainings equal to the bit, and a killed one resumed equal, at the paper's sizes.

``python -m benchmarks.gpu.repeat DESCRIPTION`` is one training.
"""

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import torch

from benchmarks.gpu.recordings import NETWORKS, paper_recipe, task_of
from benchmarks.gpu.rows import ROOT, Figures, Row, Setting, attempt, require
from solos.models.weights import build_network, load_state, save_state
from solos.training.loop import Progress, train
from solos.training.state import Checkpoint

EPOCHS = 2
KILL = ("epoch 2", 1)
"""Epoch, and steps in it, after which a training is killed."""
CASES = ({"precision": "bfloat16", "compile": True}, {}, {"precision": "bfloat16"})
"""Changes to the recipe; those that take longest first."""
AT_ONCE = 3
"""Cases, of three trainings each."""


def repeat(setting: Setting) -> Iterator[Row]:
    """Each network in float32, in bfloat16, and compiled; three steps an epoch."""
    changes = CASES if not setting.quick else CASES[1:2]
    cases = [(name, case) for case in changes for name in NETWORKS]
    with ThreadPoolExecutor(AT_ONCE if not setting.quick else 1) as pool:
        lines = [pool.submit(_line, *case, setting) for case in cases]
        yield from (line.result() for line in as_completed(lines))


def _line(name: str, changes: dict, setting: Setting) -> Row:
    words = [NETWORKS[name], changes.get("precision", "float32")]
    words += ["compiled"] if changes.get("compile") else []
    return attempt("repeat", ", ".join(words), lambda: compare(name, changes, setting))


def compare(name: str, changes: dict, setting: Setting) -> Figures:
    """Whether the outcomes are the same: of two trainings, and of a third that is killed."""
    folder = setting.folder / "-".join(["repeat", name, *map(str, changes.values())])
    folder.mkdir()
    mixes = {"mixes_per_recording": 1} if name == "sop" else {"train_mixes": 12}
    changes = changes | mixes | {"batch_size": 4, "val_mixes": 4, "workers": 2}
    about = {"network": name, "changes": changes, "setting": setting.dump()}
    runs = {run: start(folder, run, about) for run in ("one", "two", "killed")}
    said = {run: process.communicate()[1] for run, process in runs.items()}
    if runs["killed"].returncode != -signal.SIGKILL:
        raise RuntimeError(f"was not killed: {said['killed'][-200:]}")
    kept = load_state(folder / "killed.pth")
    if (len(kept["history"]), len(kept["losses"])) != (EPOCHS, KILL[1]):
        raise RuntimeError("was not killed in the last epoch: there is nothing to go on with")
    resumed = start(folder, "killed", about | {"resumed": True})
    said["resumed"] = resumed.communicate()[1]
    failed = [
        text[-250:] for run, text in said.items() if run != "killed" and not done(folder, run)
    ]
    if failed:
        raise RuntimeError(failed[0])
    for checkpoint in folder.glob("*.pth"):  # more than a gigabyte each
        checkpoint.unlink()
    first = load_state(folder / "one.out")
    others = {run: load_state(folder / f"{run}.out") for run in ("two", "resumed")}
    figures: Figures = {"validation loss": first["records"][-1]["val_loss"]}
    figures |= {f"{run} off by": difference(first, state) for run, state in others.items()}
    figures["torch's remarks"] = "; ".join(first["remarks"]) or "none"
    differ = [run for run, state in others.items() if not equal(first, state)]
    return require(not differ, f"differs: {', '.join(differ)}", figures)


def equal(one: dict, other: dict) -> bool:
    """Whether all weights and all losses are the same to the bit."""
    same = all(torch.equal(tensor, other["weights"][n]) for n, tensor in one["weights"].items())
    return same and one["records"] == other["records"]


def difference(one: dict, other: dict) -> float:
    """Largest difference of a weight."""
    pairs = ((tensor, other["weights"][n]) for n, tensor in one["weights"].items())
    return max((a.double() - b.double()).abs().max().item() for a, b in pairs)


def done(folder: Path, run: str) -> bool:
    return (folder / f"{run}.out").exists()


def start(folder: Path, run: str, about: dict) -> subprocess.Popen:
    """A training of its own; one named ``killed`` is killed, then goes on as ``resumed``."""
    name = "resumed" if about.get("resumed") else run
    about = about | {
        "checkpoint": str(folder / f"{run}.pth"),
        "output": str(folder / f"{name}.out"),
    }
    about["kill"] = run == "killed" and name == run
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gpu.repeat", json.dumps(about)],
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "2"},
        stderr=subprocess.PIPE,
        text=True,
    )


def one(about: dict) -> None:
    """One training, whose weights, losses and torch's remarks on repeatability are written."""
    setting = Setting.load(about["setting"])
    task = task_of(paper_recipe(about["network"], setting, **about["changes"]), setting)
    torch.manual_seed(1)
    network = build_network(task.recipe)
    checkpoint = Checkpoint(Path(about["checkpoint"]), every=1e6)
    records: list[dict] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(
            task, network, EPOCHS, checkpoint, records.append, _killing(checkpoint, about["kill"])
        )
    remarks = {str(warning.message) for warning in caught}
    remarks = sorted(text.split(".")[0][:120] for text in remarks if "determin" in text)
    state = {"weights": network.cpu().state_dict(), "records": records}
    save_state(Path(about["output"]), state | {"remarks": remarks})


def _killing(checkpoint: Checkpoint, kill: bool) -> Progress:
    def progress(parts: Iterable, description: str) -> Iterator:
        for number, part in enumerate(parts):
            if kill and description == KILL[0]:
                checkpoint.every = 0.0  # from here on each step is kept
                if number == KILL[1]:
                    os.kill(os.getpid(), signal.SIGKILL)
            yield part

    return progress


if __name__ == "__main__":
    one(json.loads(sys.argv[1]))

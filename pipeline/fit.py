"""What ``train`` and ``pretrained`` share: a resumable training run with its log and its export."""

import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchvision
from dvclive import Live
from torch import distributed, nn

from pipeline.common import WORK, progress
from solos.errors import UserError
from solos.models.device import find_device, keep_memory
from solos.models.weights import network_name, save_network
from solos.storage.cache import MONTH, claimed, is_old, locked
from solos.storage.files import file_hash, fingerprint
from solos.training.distributed import ALONE, Processes
from solos.training.loop import train
from solos.training.state import Checkpoint
from solos.training.tasks import Task

EXPORTED = "exported"
"""Marks a checkpoint whose training is done."""
log = logging.getLogger(__name__)


def fit(
    task: Task,
    network: nn.Module,
    epochs: int,
    start: Path,
    output: Path,
    logs: Path,
    aspect: str,
) -> None:
    """Train ``network`` on ``task``, log to ``logs`` for ``dvc plots`` and export to ``output``.

    Started by torchrun, all processes train together and the first one logs and writes.

    Args:
        start: the start weights' folder or file; part of what identifies the run.
        aspect: of the pictures that the exported network has seen, noted with it.
    """
    keep_memory()
    processes = join(task.recipe.device)
    identity = run_identity(task, epochs, start, processes)
    folder = WORK / "train" / output.name / fingerprint(identity)
    checkpoint = Checkpoint(folder / "last.pth", identity)
    with ExitStack() as stack:
        log_epoch, bar = _silent, _bare
        if processes.first:
            stack.enter_context(_holding(folder, processes))
            _remove_others(folder)
            live = Live(str(logs), dvcyaml=None, save_dvc_exp=False, report=None)
            log_epoch, bar = partial(_log, stack.enter_context(live)), progress
        best = train(task, network, epochs, checkpoint, log_epoch, bar, processes)
        if processes.first:
            about = {"network": network_name(network), **best, "aspect": aspect}
            save_network(output, network.cpu(), about | {"recipe": task.recipe.model_dump()})
            log.info("%s: epoch %d, validation loss %.5f", output, best["epoch"], best["val_loss"])
            (folder / EXPORTED).touch()
    processes.leave()


def _remove_others(own: Path) -> None:
    """Checkpoints, of hundreds of megabytes, of other trainings.

    An exported one is kept until the next training of its row: by then DVC has taken the outputs.
    One of any row that was given up goes once nothing was written to it for a month.
    """
    for folder in sorted(path for path in own.parents[1].glob("*/*") if path.is_dir()):
        done = folder.parent == own.parent and (folder / EXPORTED).exists()
        if folder != own and (done or is_old(folder, MONTH)):
            with claimed(_lock(folder)) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _holding(folder: Path, processes: Processes) -> Iterator[None]:
    """A training's folder for this run alone: another experiment may train the same.

    A single process waits for it. Several can't, as the others would give up the first one.

    Raises:
        UserError: there are several, and it is taken.
    """
    if processes.count == 1:
        with locked(_lock(folder)):
            yield
        return
    with claimed(_lock(folder)) as free:
        if not free:
            raise UserError(f"{folder}: another run trains this: start again when it has ended")
        yield


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def join(device: str) -> Processes:
    """Join the processes that torchrun started with this one; alone without it.

    Raises:
        UserError: there are more processes than GPUs for them.
    """
    if not distributed.is_torchelastic_launched():
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError("launcher: start several processes by torchrun, no other launcher")
        return ALONE
    gpu = find_device(device).type == "cuda"
    if gpu:
        number, found = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if number >= found:
            raise UserError(f"launcher: more processes than this machine's {found} GPU(s)")
        torch.cuda.set_device(number)
    distributed.init_process_group("nccl" if gpu else "gloo")
    return Processes(distributed.get_rank(), distributed.get_world_size())


def _silent(_: dict) -> None:
    """What the other processes log."""


def _bare(batches: Iterable, _: str) -> Iterable:
    """Their progress bar."""
    return batches


def _log(live: Live, record: dict) -> None:
    live.step = record["epoch"]
    for name in ("train_loss", "val_loss", "lr", "max_src"):
        if name in record:
            live.log_metric(name, record[name])
    live.make_summary()
    log.info(", ".join(f"{key} {value:.5g}" for key, value in record.items()))


def run_identity(task: Task, epochs: int, start: Path, processes: Processes) -> dict:
    """Everything that the outcome depends on, code included: what differs never resumes."""
    data = [task.train.spectrograms / "recordings.csv", task.train.extracted / "status.csv"]
    data += [start] if start.is_file() else sorted(start.glob("*.pth"))
    sized = sorted([*task.train.extracted.glob("*.zip"), *task.train.extracted.glob("*.wav")])
    sized += sorted(task.train.spectrograms.glob("*.npy"))
    return {
        "recipe": task.recipe.model_dump(),
        "epochs": epochs,
        "seed": task.seed,
        "processes": processes.count,
        "versions": [str(module.__version__) for module in (torch, torchvision, np)],
        "device": _device_name(task.recipe.device),
        "hashes": [[path.name, file_hash(path)] for path in [*data, *_code()]],
        "sizes": [[path.name, path.stat().st_size] for path in sized],
    }


def _device_name(name: str) -> str:
    """What the training runs on: another one rounds otherwise."""
    device = find_device(name)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _code() -> list[Path]:
    """The project's modules that this process has imported."""
    root = Path(__file__).resolve().parents[1]
    files = {Path(m.__file__).resolve() for m in sys.modules.values() if getattr(m, "__file__", 0)}
    packages = (root / "solos", root / "pipeline")
    return sorted(path for path in files if any(path.is_relative_to(p) for p in packages))

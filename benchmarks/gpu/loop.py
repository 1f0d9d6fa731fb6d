"""The project's training loop with other batches: where its progress bar is, one may cut in."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from solos.config.recipes import MhuRecipe
from solos.training.loop import train
from solos.training.state import Checkpoint, Run
from solos.training.tasks import Task

Batch = dict[str, Tensor]


class EnoughError(Exception):
    """Ends a training whose times are taken."""


def most_sources(task: Task) -> int:
    """Sources of a task's hardest mixes."""
    return task.recipe.curriculum.stop if isinstance(task.recipe, MhuRecipe) else task.recipe.n_src


def hold(task: Task) -> Batch:
    """One batch of a task's training, in the processor's memory as its loader would leave it."""
    mixes = task.train_mixes(1, most_sources(task))
    batch = default_collate([mixes[index] for index in range(task.recipe.batch_size)])
    if task.recipe.device == "cuda":
        return {name: tensor.pin_memory() for name, tensor in batch.items()}
    return batch


@dataclass
class Unwritten(Checkpoint):
    """A checkpoint that writes nothing, and begins after epoch 0 and at the curriculum's end."""

    max_src: int = 2

    def restore(self, run: Run) -> None:
        """Go on after an epoch that was not computed."""
        run.history = [{"epoch": 0, "val_loss": 0.0, "lr": 0.0, "max_src": 0}]
        run.curriculum.max_src = self.max_src

    def write(self, run: Run) -> None:
        """Nothing."""


def cut_in(task: Task, network: nn.Module, batches: Callable[[Iterable], Iterator[Batch]]) -> None:
    """Train with ``batches(parts)`` in place of an epoch's ``parts``, to the end of the former."""

    def progress(parts: Iterable, _: str) -> Iterator[Batch]:
        yield from batches(parts)
        raise EnoughError

    start = Unwritten(Path("none"), max_src=most_sources(task))
    with suppress(EnoughError):
        train(task, network, 1, start, lambda _: None, progress)


def steps(
    batches: Iterable[Batch], seconds: float, warm_up: int, gaps: list[float]
) -> Iterator[Batch]:
    """Give batches for that long after ``warm_up`` of them; ``gaps`` gets the time of each step.

    A step's time is from a batch's being given to the next one's: loading, step and all.
    """
    start = last = time.perf_counter()
    for number, batch in enumerate(batches):
        if number <= warm_up:
            start = time.perf_counter()
        elif last - start > seconds:
            return
        yield batch
        now = time.perf_counter()
        gaps.append(now - last)
        last = now


def forget(device: str) -> None:
    """Give back what earlier cases held, so that a case's memory and graphs are its own."""
    gc.collect()
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device: str) -> dict[str, float]:
    """Most that tensors took of a GPU's memory since :func:`forget`; nothing without one."""
    return {"peak GB": torch.cuda.max_memory_allocated() / 1e9} if device == "cuda" else {}

"""Whether the data path keeps up: samples a second by number of workers, beside the step's."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice, repeat

import numpy as np
import torch

from benchmarks.gpu.loop import Batch, cut_in, hold, steps
from benchmarks.gpu.recordings import NETWORKS, paper_recipe, task_of
from benchmarks.gpu.rows import Figures, Row, Setting, attempt
from solos.config.recipes import Recipe
from solos.models.weights import build_network

WORKERS = (1, 2, 4, 8, 16)
FED = (8, 16)
"""Numbers of workers with which training itself is timed too."""


def data(setting: Setting) -> Iterator[Row]:
    """The fastest step without a compiler, bfloat16, as the one to be kept up with."""
    for name, title in NETWORKS.items():
        endless = {"mixes_per_recording": 4000} if name == "sop" else {"train_mixes": 50_000}
        recipe = paper_recipe(name, setting, precision="bfloat16", **endless)
        timer = Timer(recipe, setting)
        yield attempt("data", f"{title}, step on a held batch", timer.step)
        for workers in WORKERS if not setting.quick else (1, 2):
            case = f"{title}, {workers} workers of {os.cpu_count()} cores"
            yield attempt("data", case, lambda n=workers, t=timer: t.load(n))


class Timer:
    """Times loading, steps, and steps on what is loaded, of one network."""

    def __init__(self, recipe: Recipe, setting: Setting):
        self.recipe, self.setting = recipe, setting
        self.seconds = 0.3 if setting.quick else 2.0
        self.rate = float("nan")
        torch.manual_seed(0)
        self.network = build_network(recipe)

    def step(self) -> Figures:
        """Samples a second of steps alone."""
        gaps: list[float] = []

        held = hold(task_of(self.recipe, self.setting))
        self._train(0, lambda _: steps(repeat(held), self.seconds, 3, gaps))
        self.rate = self.recipe.batch_size / float(np.median(gaps[3:]))
        return {"samples/s": self.rate}

    def load(self, workers: int) -> Figures:
        """Samples a second of loading alone, and of training on what is loaded."""
        found: list[float] = []

        def time_loading(parts: Iterable[Batch]) -> Iterator[Batch]:
            with closing(iter_of(parts)) as batches:
                found.append(rate_of(batches, max(2, workers), self.seconds))
            return iter(())

        self._train(workers, time_loading)
        loaded = self.recipe.batch_size * found[0]
        figures = {"samples/s loaded": loaded, "loaded / step": loaded / self.rate}
        if workers in FED or self.setting.quick:
            gaps: list[float] = []
            warm_up = max(3, workers)
            self._train(workers, lambda parts: steps(parts, self.seconds, warm_up, gaps))
            fed = self.recipe.batch_size / float(np.mean(gaps[warm_up:]))
            figures |= {"samples/s trained": fed, "trained / step": fed / self.rate}
        return figures

    def _train(self, workers: int, batches: object) -> None:
        recipe = self.recipe.model_copy(update={"workers": workers})
        cut_in(task_of(recipe, self.setting), self.network, batches)


def iter_of(parts: Iterable[Batch]) -> Iterator[Batch]:
    """The batches; a generator, which can be closed, and its workers with it."""
    yield from parts


def rate_of(batches: Iterator[Batch], skipped: int, seconds: float) -> float:
    """Batches a second after the first ones, for which the workers had all the time they wanted."""
    for _ in islice(batches, skipped):
        pass
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        next(batches)
        count += 1
    return count / (time.perf_counter() - start)

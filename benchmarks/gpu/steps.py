"""Steps a second and memory at the paper's sizes, by precision, layout and compilation."""

import time
from collections.abc import Iterator
from itertools import product, repeat
from unittest import mock

import numpy as np
import torch
from torch import nn

from benchmarks.gpu.loop import Batch, cut_in, forget, hold, peak_memory, steps
from benchmarks.gpu.recordings import paper_recipe, task_of
from benchmarks.gpu.rows import Figures, Row, Setting, attempt
from solos.config.recipes import Recipe
from solos.models.weights import build_network

SECONDS = 65.0
"""Of a network: compiled cases that have not begun by then are left out, which their lines say."""
PRECISIONS = ("bfloat16", "tf32", "float32")
WARM_UP = 3


def sound_of_pixels(setting: Setting) -> Iterator[Row]:
    """A step of 20 mixes of two, with three pictures of 224×224 each."""
    yield from _network("sop", setting)


def multi_head_unet(setting: Setting) -> Iterator[Row]:
    """A step of 32 mixes."""
    yield from _network("mhunet", setting)


def _network(name: str, setting: Setting) -> Iterator[Row]:
    began = time.perf_counter()
    recipe = paper_recipe(name, setting, workers=0)
    held = hold(task_of(recipe, setting))
    check = f"steps-{name}"
    for layout, precision in product((True, False), PRECISIONS):
        case = {"precision": precision, "channels_last": layout}
        yield attempt(check, _title(case), lambda c=case: _time(recipe, c, held, setting))
    for precision in ("bfloat16", "float32"):
        case = {"precision": precision, "channels_last": True}
        title = f"{_title(case)}, not deterministic"
        yield attempt(check, title, lambda c=case: _undetermined(recipe, c, held, setting))
    for number, (layout, precision) in enumerate(product((True, False), PRECISIONS)):
        case = {"precision": precision, "channels_last": layout, "compile": True}
        if number if setting.quick else time.perf_counter() - began > SECONDS:
            yield Row(check, _title(case), {"left out": "no time left"})
            continue
        yield attempt(check, _title(case), lambda c=case: _time(recipe, c, held, setting))


def _title(case: dict) -> str:
    words = [case["precision"]]
    words += ["channels last"] if case["channels_last"] else []
    return ", ".join(words + (["compiled"] if case.get("compile") else []))


def _time(recipe: Recipe, changes: dict, held: Batch, setting: Setting) -> Figures:
    """Steps on one batch that lies in the processor's memory, its way to the GPU included."""
    forget(setting.device)
    recipe = recipe.model_copy(update=changes)
    torch.manual_seed(0)
    network: nn.Module = build_network(recipe)
    gaps: list[float] = []
    seconds = 0.2 if setting.quick else 1.5
    cut_in(task_of(recipe, setting), network, lambda _: steps(repeat(held), seconds, WARM_UP, gaps))
    rate = 1 / float(np.median(gaps[WARM_UP:]))
    figures = {"steps/s": rate, "samples/s": rate * len(held["mix_mag"])}
    figures |= peak_memory(setting.device)
    return figures | ({"first step s": gaps[0]} if recipe.compile else {})


def _undetermined(recipe: Recipe, changes: dict, held: Batch, setting: Setting) -> Figures:
    """What repeatable algorithms cost: the same with torch's own choice."""
    torch.use_deterministic_algorithms(False)
    with mock.patch("torch.use_deterministic_algorithms"):  # by which the loop would ask for them
        return _time(recipe, changes, held, setting)

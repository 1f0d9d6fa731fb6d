"""BSS Eval on the device beside the CPU: values, and seconds."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks.gpu.rows import Figures, Row, Setting, attempt, require
from solos import SEGMENT
from solos.evaluation.metrics import bss_eval

TOLERANCE = 1e-6
"""dB: as the tests hold it to mir_eval; scores above 80 dB, made of rounding, are left out."""
REAL = 80.0
CASES = ((1, 2, 1), (1, 3, 1), (1, 5, 1), (1, 3, 7), (1, 5, 7), (16, 3, 7), (16, 5, 7))
"""Segments, sources, rows."""
QUICK = ((1, 2, 1), (2, 3, 2))


def bss(setting: Setting) -> Iterator[Row]:
    """Harmonic sources, their leaky estimates, and (in the last of several rows) the mixture."""
    torch.set_num_threads(1)  # what the CPU's figures are of: it has a segment for each core
    for segments, n_src, rows in CASES if not setting.quick else QUICK:
        case = f"{segments} segment(s), {n_src} sources, {rows} row(s)"
        yield attempt(
            "bss", case, lambda size=(segments, n_src, rows): compare(*size, setting.device)
        )


def compare(segments: int, n_src: int, rows: int, device: str) -> Figures:
    """Largest difference of a score and seconds of a segment, here and there."""
    references, estimates = waves(segments, n_src, rows)

    def score(where: str) -> np.ndarray:
        return np.stack(bss_eval(references=references, estimates=estimates, device=where))

    here = score("cpu")
    there, seconds = timed(lambda: score(device))
    alone = timed(lambda: score("cpu"))[1]
    real = np.isfinite(here) & (np.abs(here) < REAL)
    figures = {
        "dB off by": float(np.abs(here - there)[real].max()),
        "s": seconds / segments,
        "s on a core": alone / segments,
        "times": alone / seconds,
    }
    same = (np.isfinite(here) == np.isfinite(there)).all()
    return require(bool(same) and figures["dB off by"] < TOLERANCE, "other scores", figures)


def timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What it gives, on the CPU (so that a GPU is waited for), and its seconds the second time."""
    function()
    start = time.perf_counter()
    found = function()
    return found, time.perf_counter() - start


def waves(segments: int, n_src: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """References (segments, n_src, 65535) and estimates (segments, rows, n_src, 65535)."""
    rng = np.random.default_rng([segments, n_src, rows])
    t = np.arange(SEGMENT) / 11025
    pitch = rng.uniform(100, 600, (segments, n_src, 1))
    notes = sum(np.sin(2 * np.pi * k * pitch * t) / k for k in range(1, 9))
    references = 0.1 * notes + 1e-3 * rng.standard_normal((segments, n_src, SEGMENT))
    mix = references.sum(axis=1, keepdims=True)
    levels = np.linspace(0.05, 0.5, rows)[None, :, None, None]
    leaky = references[:, None] + levels * (mix - references)[:, None]
    estimates = leaky + 0.01 * rng.standard_normal(leaky.shape)
    if rows > 1:
        estimates[:, -1] = mix
    return references, estimates

"""Time of BSS Eval for one segment: ours beside mir_eval's, same threads, warm.

Run with the thread limit in the environment, so that it holds for both:
``OMP_NUM_THREADS=1 python -m benchmarks.bss_eval``.
"""

import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from mir_eval.separation import bss_eval_sources

from solos import SEGMENT
from solos.metrics import bss_eval

ROWS = 7
"""Rows of Table II, the oracles and the mixture: all score the same references."""


def music(n_src: int, rng: np.random.Generator) -> np.ndarray:
    """Harmonic notes over faint noise, (n_src, 65535)."""
    t = np.arange(SEGMENT) / 11025
    pitch = rng.uniform(100, 600, (n_src, 1, 1)) * np.arange(1, 9)[:, None]
    notes = np.sin(2 * np.pi * pitch * t + rng.uniform(0, 6, pitch.shape)).sum(axis=1)
    return 0.1 * notes + 1e-3 * rng.standard_normal((n_src, SEGMENT))


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Best of ``repeats`` calls, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(n_src: int) -> str:
    """A line of the table."""
    rng = np.random.default_rng(n_src)
    refs = music(n_src, rng)
    rows = refs + 0.3 * (refs.sum(axis=0) - refs) + 0.01 * rng.standard_normal((ROWS, *refs.shape))
    theirs = seconds(lambda: bss_eval_sources(refs, rows[0], compute_permutation=False), 2)
    one = seconds(lambda: bss_eval(references=refs, estimates=rows[0]))
    seven = seconds(lambda: bss_eval(references=refs, estimates=rows))
    expected = np.array(bss_eval_sources(refs, rows[0], compute_permutation=False)[:3])
    difference = np.abs(np.array(bss_eval(references=refs, estimates=rows[0])) - expected).max()
    return (
        f"| {n_src} | {theirs:.3f} | {one:.3f} | {theirs / one:.1f} | {seven:.3f} "
        f"| {ROWS * theirs / seven:.1f} | {difference:.0e} |"
    )


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")  # mir_eval's deprecation
    print(f"threads: {torch.get_num_threads()}\n")
    print(f"| sources | mir_eval, s | ours, s | times | {ROWS} rows, s | times | difference, dB |")
    print("|---|---|---|---|---|---|---|")
    for n_src in (2, 3, 5):
        print(compare(n_src), flush=True)


if __name__ == "__main__":
    main()

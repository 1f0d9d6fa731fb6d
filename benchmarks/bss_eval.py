"""Time and memory of BSS Eval: ours beside mir_eval's, in turn, in one run.

``OMP_NUM_THREADS=1 python -m benchmarks.bss_eval``: a segment of 2, 3 and 5 sources, with nothing
beside it and with a process that keeps every core busy; medians of five turns, each ratio that of a
turn. Ours has one thread, as it takes; mir_eval has what numpy takes, so one under that command.
The floor is the correlations alone, which any exact method needs; the load is the system's, of the
last minute. ``python -m benchmarks.bss_eval FOLDER`` times the scoring of all rows of Table II on a
prepared test set (such as ``data/urmp``) instead.
"""

import argparse
import multiprocessing
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from mir_eval.separation import bss_eval_sources

from solos import SEGMENT
from solos.config.rows import Protocol
from solos.errors import UserError
from solos.evaluation.bss import correlations
from solos.evaluation.metrics import bss_eval
from solos.evaluation.oracles import baseline_estimates
from solos.evaluation.scores import score_rows
from solos.evaluation.segments import prepared_pieces, read_segments

ROWS = 7
"""Rows of Table II, the oracles and the mixture: all score the same references."""
TURNS = 5
STAGES = (1, 1, 1, 1, 1, 2)
"""Rows scored together: each of the mixture and the networks for itself, the oracles both."""


def music(n_src: int, rng: np.random.Generator) -> np.ndarray:
    """Harmonic notes over faint noise, (n_src, 65535)."""
    t = np.arange(SEGMENT) / 11025
    pitch = rng.uniform(100, 600, (n_src, 1, 1)) * np.arange(1, 9)[:, None]
    notes = np.sin(2 * np.pi * pitch * t + rng.uniform(0, 6, pitch.shape)).sum(axis=1)
    return 0.1 * notes + 1e-3 * rng.standard_normal((n_src, SEGMENT))


def once(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def megabytes(function: Callable[[], object]) -> float:
    """What a call adds to the largest size of a process of its own (a fork of this one)."""

    def measure(pipe) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        function()
        pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)

    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=measure, args=(send,))
    process.start()
    found = receive.recv()
    process.join()
    return found


def compare(n_src: int) -> str:
    """A line of the table."""
    rng = np.random.default_rng(n_src)
    refs = music(n_src, rng)
    rows = refs + 0.3 * (refs.sum(axis=0) - refs) + 0.01 * rng.standard_normal((ROWS, *refs.shape))
    waves = torch.from_numpy(refs)[None], torch.from_numpy(rows[:1])[None]
    torch.set_num_threads(1)  # as bss_eval does

    def ours(estimates: np.ndarray) -> object:
        return bss_eval(references=refs, estimates=estimates)

    memory = megabytes(lambda: ours(rows[0]))
    found = ours(rows[0]), bss_eval_sources(refs, rows[0], compute_permutation=False)[:3]
    turns = [
        (
            once(lambda: bss_eval_sources(refs, rows[0], compute_permutation=False)),
            once(lambda: ours(rows[0])),
            once(lambda: ours(rows)),
            once(lambda: correlations(*waves)),
        )
        for _ in range(TURNS)
    ]
    theirs, one, several, floor = np.transpose(turns)
    times = np.median([theirs / one, ROWS * theirs / several, one / floor], axis=1)
    return (
        f"| {n_src} | {os.getloadavg()[0]:.1f} | {np.median(theirs):.3f} | {np.median(one):.3f} "
        f"| {times[0]:.0f} ({min(theirs / one):.0f}) | {np.median(several):.3f} "
        f"| {times[1]:.0f} ({min(ROWS * theirs / several):.0f}) | {times[2]:.1f} | {memory:.0f} "
        f"| {np.abs(np.subtract(*found)).max():.0e} |"
    )


def table() -> None:
    """A segment of each number of sources."""
    print(
        "| beside | sources | load | mir_eval, s | ours, s | times (least) "
        f"| {ROWS} rows, s | times (least) | ours / floor | MB | difference, dB |"
    )
    print("|---" * 11 + "|")
    for beside in ("nothing", "a busy process"):
        with busy(os.cpu_count()) if beside != "nothing" else nullcontext():
            for n_src in (2, 3, 5):
                print(f"| {beside} {compare(n_src)}", flush=True)


@contextmanager
def busy(threads: int) -> Iterator[None]:
    """Another process multiplies matrices meanwhile."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=multiply, args=(threads,), daemon=True)
    process.start()
    time.sleep(5)  # until it has imported torch
    try:
        yield
    finally:
        process.kill()
        process.join()


def multiply(threads: int) -> None:
    torch.set_num_threads(threads)
    square = torch.rand(1000, 1000)
    while True:
        square @ square


def test_set(folder: Path) -> None:
    """All rows of a test set, as the stages score them; mir_eval's time is that of a row, times 7.

    Ours includes SI-SDR, PES and the lines of the tables.
    """
    ours = theirs = 0.0
    segments = list(read_segments(prepared_pieces(folder), Protocol()))
    for segment in segments:
        estimates = baseline_estimates(segment.mix, segment.references)["oracle_ratio"]
        for count in STAGES:
            rows = {str(k): estimates for k in range(count)}
            ours += once(lambda rows=rows, part=segment: score_rows(part, rows, Protocol()))
        refs = segment.references.astype(np.float64)
        theirs += ROWS * once(lambda a=refs, b=estimates: bss_eval_sources(a, b, False))
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{len(segments)} segments, {ROWS} rows, threads: {torch.get_num_threads()}, {load}")
    print(f"ours {ours:.1f} s, mir_eval {theirs:.1f} s: {theirs / ours:.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bss_eval")
    parser.add_argument("folder", nargs="?", type=Path, help="a prepared test set to score")
    folder = parser.parse_args().folder
    warnings.simplefilter("ignore")  # mir_eval's deprecation
    try:
        test_set(folder) if folder else table()
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

"""Seconds, memory and disk of what runs in other processes, and a table of such figures."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import psutil  # DVC brings it

Figures = dict[str, float]
INTERVAL = 0.1
"""Seconds between two looks at the processes' memory."""


def apart(function: Callable, *arguments: object) -> Figures | float:
    """What a function finds in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def stopwatch(function: Callable, **options: object) -> Figures:
    return {"s": timed(function, **options)[1]}


def timed(function: Callable, *arguments: object, **options: object) -> tuple[object, float]:
    start = time.perf_counter()
    return function(*arguments, **options), time.perf_counter() - start


def measured(function: Callable[[], Figures]) -> Figures:
    """What a function finds, the load, and CPU seconds and the most memory of its processes.

    Pages that several processes share count in each.
    """
    largest, together, before = 0, 0, os.times()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function)
        while not future.done():
            sizes = [0]
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):  # it has ended
                    sizes.append(process.memory_info().rss)
            largest, together = max(largest, *sizes), max(together, sum(sizes))
            time.sleep(INTERVAL)
    after = os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])  # of children that have ended, and theirs
    sizes = {"MB, the largest process": largest / 1e6, "MB, all processes": together / 1e6}
    return future.result() | {"CPU s": cpu} | sizes | {"load": os.getloadavg()[0]}


def disk(folder: Path) -> int:
    """Bytes that a folder takes."""
    stats = (path.stat() for path in folder.rglob("*") if path.is_file())
    return 512 * sum({stat.st_ino: stat.st_blocks for stat in stats}.values())


def note(found: Figures, subject: str, figures: Figures) -> None:
    for name, value in figures.items():
        found[f"{subject}: {name}"] = value
        print(f"{subject}: {name}: {value:.2f}", file=sys.stderr, flush=True)


def print_table(columns: Sequence[Figures]) -> None:
    """A column each, and how many times the first one the last one is."""
    for name, first in columns[0].items():
        values = " ".join(f"{column[name]:12,.2f}" for column in columns)
        ratio = f"{columns[-1][name] / first:8.2f}" if first else ""
        print(f"{name:55} {values} {ratio}", flush=True)

"""Calls of a function spread over workers: threads, processes, a cluster's machines.

All engines are one to the loops over items: what takes a call and gives its future. This process
alone decides what is begun, in its main thread, a few calls ahead of the workers.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain, islice
from multiprocessing.pool import ThreadPool
from typing import TypeVar

from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor

from pipeline.common import progress
from pipeline.engines import cluster
from pipeline.engines.calls import attempt
from pipeline.engines.cluster import Engine
from solos.config.params import Parallel

Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 16
"""Calls handed over before a worker is free for them, at most."""
MOST = 500
"""Calls under way: each item's lock is an open file, of which a process may have 1,024."""
IDLE = 300
"""Seconds after which a worker that has nothing to do ends."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def run_items(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    parallel: Parallel,
    description: str,
    total: int | None = None,
) -> list[Result]:
    """``[function(item) for item in items]``, spread over workers, with a progress bar.

    Items are taken a few at a time, so they may come from a generator; ``total`` says how many.
    """
    if isinstance(items, Sequence):
        total = len(items)
    with closing(spread(function, enumerate(items), parallel)) as results:
        done = dict(progress(results, description, total))
    return [done[number] for number in range(len(done))]


def spread(
    function: Callable[[Item], Result], calls: Iterable[tuple[Key, Item]], parallel: Parallel
) -> Iterator[tuple[Key, Result]]:
    """``(key, function(item))`` for each ``(key, item)``, as they are done.

    ``calls`` is read a few ahead of the workers, in the caller's thread. Closing the iterator, or
    an error of a call, ends the rest. Without calls, no cluster is needed.
    """
    calls = iter(calls)
    begun = list(islice(calls, 1))
    if not begun:
        return
    with _engine(parallel) as engine:
        running: dict[Future, Key] = {}

        def ended() -> Iterator[tuple[Key, Result]]:
            """What has ended by now; an error comes after the results beside it."""
            failed = None
            for future in [future for future in running if future.done()]:
                key = running.pop(future)
                try:
                    result = engine.result(future)
                except Exception as error:
                    failed = failed or error
                else:
                    yield key, result
            if failed:
                raise failed

        def done(room: int) -> Iterator[tuple[Key, Result]]:
            """What has ended, until so many at most are under way."""
            yield from ended()
            while len(running) > room:
                engine.first(running)
                yield from ended()

        try:
            for key, item in chain(begun, calls):
                running[engine.submit(function, item)] = key
                workers = max(1, engine.workers())
                yield from done(min(workers + min(workers, AHEAD), MOST) - 1)
            yield from done(0)
        except Exception:  # of ``calls``, say, or of what takes them
            yield from ended()
            raise


@contextmanager
def _engine(parallel: Parallel) -> Iterator[Engine]:
    if parallel.backend in cluster.CONNECT:
        with cluster.connected(parallel, _jobs(parallel)) as engine:
            yield engine
    elif _jobs(parallel) == 1:
        yield Engine(_call, lambda: 0)
    elif parallel.backend == "threading":
        with _threads(_jobs(parallel)) as engine:
            yield engine
    else:
        with _processes(_jobs(parallel)) as engine:
            yield engine


def _jobs(parallel: Parallel) -> int:
    return cpu_count() if parallel.jobs == -1 else parallel.jobs


def _call(function: Callable[[Item], Result], item: Item) -> Future:
    """In this thread, at once."""
    future = Future()
    future.set_result(function(item))
    return future


@contextmanager
def _threads(jobs: int) -> Iterator[Engine]:
    """Threads that don't outlive the process: an interruption waits for no download."""

    def submit(function: Callable[[Item], Result], item: Item) -> Future:
        future = Future()
        pool.apply_async(run, (future, function, item))
        return future

    def run(future: Future, function: Callable[[Item], Result], item: Item) -> None:
        try:
            future.set_result(function(item))
        except BaseException as error:  # whatever it is, the main thread's to deal with
            future.set_exception(error)

    with ThreadPool(jobs) as pool:
        yield Engine(submit, lambda: jobs)


@contextmanager
def _processes(jobs: int) -> Iterator[Engine]:
    """Processes, which go on to the next loop of this stage."""
    # loky replaces a worker that has grown, which is well, and warns of it as if it were not.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    share = str(max(1, cpu_count() // jobs))
    limits = {name: os.environ.get(name, share) for name in THREADS}
    pool = get_reusable_executor(max_workers=jobs, timeout=IDLE, env=limits)
    try:
        yield Engine(partial(pool.submit, attempt), lambda: jobs)
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise

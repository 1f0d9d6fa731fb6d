"""Clusters of Dask and of Ray, as engines: what runs in the process whose calls they take.

(joblib's own backends for them are not used: Dask's waits for ever where a call has killed its
workers, and Ray's yields nothing before all is done, so no progress shows.)
"""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

import cloudpickle

from pipeline.engines.calls import CODE, Site, call
from solos.config.params import Parallel
from solos.errors import UserError

TIMEOUT = 10.0
"""Seconds to reach a cluster."""
PATIENCE = 60.0
"""Seconds after which it is said that a cluster has no worker (any more)."""
FIRST = partial(wait, return_when=FIRST_COMPLETED)
AGAIN = "run the same command again to go on"
log = logging.getLogger(__name__)


class Engine(NamedTuple):
    """What takes calls; here, as another process or on other machines, it looks the same."""

    submit: Callable[[Callable, object], Future]
    """Begins ``function(item)``. Of what it returns, ``done()`` says whether it has ended."""
    workers: Callable[[], int]
    """How many there are: a cluster may grow and shrink."""
    first: Callable[[Iterable[Future]], object] = FIRST
    """Waits until one has ended."""
    result: Callable[[Future], object] = Future.result


class Cluster(NamedTuple):
    """A connection: as :class:`Engine`, but for calls and answers as bytes."""

    begin: Callable[[Site, bytes], Future]
    workers: Callable[[], int]
    first: Callable[[Iterable[Future]], object]
    close: Callable[[], None]


@contextmanager
def connected(parallel: Parallel, jobs: int) -> Iterator[Engine]:
    """An engine that is a cluster.

    Args:
        jobs: its workers, where it has to be started first.

    Raises:
        UserError: it is not installed, there is none, or it is lost on the way.
    """
    connect = CONNECT[parallel.backend]
    made = connect(parallel.address, jobs)
    work = Path.cwd() / ".work"
    work.mkdir(exist_ok=True)
    try:
        with NamedTemporaryFile(dir=work, prefix="run-") as token:
            site = Site(str(Path.cwd()), token.name, CODE)

            def submit(function: Callable, item: object) -> Future:
                work = cloudpickle.dumps((function, item))
                with _lost(parallel):
                    return made.begin(site, work)

            def workers() -> int:
                with _lost(parallel):
                    return made.workers()

            def first(running: Iterable[Future]) -> None:
                with _lost(parallel):
                    made.first(running)

            def result(future: Future) -> object:
                with _lost(parallel):
                    answer = future.result()
                fine, value = cloudpickle.loads(answer)
                if fine:
                    return value
                raise value

            yield Engine(submit, workers, first, result)
    except BaseException:
        connect.cache_clear()
        made.close()  # what is under way, no one waits for
        raise


@contextmanager
def _lost(parallel: Parallel) -> Iterator[None]:
    """An error here is the cluster's: a call's own comes as its answer."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise _explained(parallel, error) from error


def _explained(parallel: Parallel, error: Exception) -> UserError:
    where = f"parallel.address: {parallel.address}: " if parallel.address else ""
    kind, said = type(error).__name__, (str(error).splitlines() or [""])[0]
    if kind in ("KilledWorker", "WorkerCrashedError", "OutOfMemoryError"):
        return UserError(
            f"{where}workers were killed, or out of memory, again and again over one item ({kind}):"
            f" with more memory a worker, {AGAIN}"
        )
    if "deserialization" in said:
        return UserError(
            f"{where}its scheduler can't read what this run sends ({said}): start it, as its "
            "workers, from this run's environment"
        )
    if isinstance(error, ImportError):
        return UserError(
            f"{where}its workers lack what this run has ({said}): start them from its environment"
        )
    return UserError(
        f"{where}the {parallel.backend} cluster was lost ({kind}: {said}): start it, and {AGAIN}"
    )


def _missing(name: str) -> UserError:
    return UserError(f"parallel.backend: {name} is not installed: pip install -e '.[{name}]'")


def _unreachable(address: str | None, error: Exception) -> UserError:
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if not address:
        return UserError(f"parallel.backend: no cluster can be started on this machine ({said})")
    return UserError(f"parallel.address: {address}: no cluster answers there ({said})")


@cache
def _dask(address: str | None, jobs: int) -> Cluster:
    """A cluster that is named here or in Dask's own configuration, or one of this machine."""
    try:
        import dask  # noqa: PLC0415
        import distributed  # noqa: PLC0415
    except ImportError:
        raise _missing("dask") from None
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})
    logging.getLogger("distributed").setLevel(logging.WARNING)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # traces of a lost cluster
    named = address or dask.config.get("scheduler-address", None)
    if named:
        try:
            client = distributed.Client(named, timeout=TIMEOUT)
        except (OSError, ValueError, TypeError) as error:  # the last of a protocol's settings
            raise _unreachable(named, error) from error
    else:
        client = distributed.Client(n_workers=jobs, threads_per_worker=1, dashboard_address=":0")

    def workers() -> int:
        threads = client.nthreads().values()
        if any(n > 1 for n in threads):
            raise UserError(
                f"parallel.address: {named}: workers with several threads, but a process can be in "
                "one folder at a time: start them with --nthreads 1, more of them"
            )
        return len(threads)

    def say_if_none() -> None:
        if not workers():
            log.warning("%s: no worker is there: waiting for one", named or "the cluster")

    try:
        say_if_none()
    except UserError:
        client.close()
        raise

    def begin(site: Site, work: bytes) -> "distributed.Future":
        return client.submit(call, site, work, pure=False)

    def first(running: Iterable["distributed.Future"]) -> None:
        futures = list(running)
        while True:
            try:
                distributed.wait(futures, timeout=PATIENCE, return_when="FIRST_COMPLETED")
                return
            except TimeoutError:
                say_if_none()

    return Cluster(begin, workers, first, client.close)


@cache
def _ray(address: str | None, jobs: int) -> Cluster:
    """A cluster that is named here or by Ray's own variable, or one of this machine."""
    try:
        import ray  # noqa: PLC0415
    except ImportError:
        raise _missing("ray") from None
    named = address or os.environ.get("RAY_ADDRESS")
    options = {"address": named} if named else {"address": "local", "num_cpus": jobs}
    try:
        _knock(named or "local")
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(named, error) from error
    remote = ray.remote(call)

    def begin(site: Site, work: bytes) -> Future:
        return remote.remote(site, work).future()

    def workers() -> int:
        return int(ray.cluster_resources().get("CPU", 0))

    return Cluster(begin, workers, FIRST, ray.shutdown)


def _knock(address: str) -> None:
    """Raise an error soon where nobody listens, which Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), TIMEOUT).close()


CONNECT = {"dask": _dask, "ray": _ray}
"""Connects to an address, or starts a cluster of so many workers."""

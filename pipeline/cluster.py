"""Clusters of Dask and of Ray: how this process hands calls to them, and what their workers do.

A call travels as bytes, and is read only where all is as it is here: the folder of the run, under
its path, and this very code. A worker that lives for days may have been started elsewhere, or
before the code was changed; what it made would be kept under the key of what it should have made.
"""

import logging
import os
import platform
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import cloudpickle

from solos.config.params import Parallel
from solos.errors import UserError
from solos.storage.files import file_hash, fingerprint

TIMEOUT = 10.0
"""Seconds to reach a cluster."""
AGAIN = "run the same command again to go on"
log = logging.getLogger(__name__)


def _code() -> str:
    """What this process runs: Python, and the project as it was when this file was imported."""
    root = Path(__file__).parents[1]
    files = [path for name in ("solos", "pipeline") for path in sorted((root / name).rglob("*.py"))]
    return fingerprint(sys.version_info[:2], [file_hash(path) for path in files])


CODE = _code()


@dataclass(frozen=True)
class Site:
    """What a worker has to have in common with the process whose calls it takes."""

    folder: str
    """Where relative paths begin."""
    token: str
    """A file in it that this run wrote: not another clone under the same path."""
    code: str

    def check(self) -> None:
        """Raise UserError where this worker is elsewhere, or other."""
        if not Path(self.token).exists():
            raise UserError(
                f"a worker on {platform.node()} does not see {self.folder}: all machines need the "
                "folder of the run, under the same path"
            )
        if self.code != CODE:
            raise UserError(
                f"a worker on {platform.node()} runs other code or another Python than this run: "
                f"end the workers, start them anew from the environment of {self.folder}"
            )


def call(site: Site, work: bytes) -> bytes:
    """In a worker: a function and its argument -> whether it ended well, and its result or error.

    Both as bytes, so that Dask and Ray neither read them nor dress them up.
    """
    try:
        site.check()
        with chdir(site.folder):
            function, item = cloudpickle.loads(work)
            return cloudpickle.dumps((True, function(item)))
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        return cloudpickle.dumps((False, error))


@contextmanager
def connected(parallel: Parallel, jobs: int) -> Iterator[tuple[Callable, Callable, Callable]]:
    """``submit``, ``workers`` and ``result`` of :class:`pipeline.engines.Engine`.

    Raises:
        UserError: the engine is not installed, or no cluster is there.
    """
    connect = CONNECT[parallel.backend]
    begin, workers, close = connect(parallel.address, jobs)
    work = Path.cwd() / ".work"
    work.mkdir(exist_ok=True)
    try:
        with NamedTemporaryFile(dir=work, prefix="run-") as token:
            site = Site(str(Path.cwd()), token.name, CODE)

            def submit(function: Callable, item: object) -> Future:
                return begin(site, cloudpickle.dumps((function, item)))

            yield submit, workers, partial(_result, parallel)
    except BaseException:
        connect.cache_clear()
        close()  # what is under way, no one waits for
        raise


def _result(parallel: Parallel, future: Future) -> object:
    try:
        answer = future.result()
    except Exception as error:  # the cluster's: a call's own comes as an answer
        raise _lost(parallel, error) from error
    fine, value = cloudpickle.loads(answer)
    if fine:
        return value
    raise value


def _lost(parallel: Parallel, error: Exception) -> UserError:
    where = f"parallel.address: {parallel.address}: " if parallel.address else ""
    kind, said = type(error).__name__, (str(error).splitlines() or [""])[0]
    if kind in ("KilledWorker", "WorkerCrashedError", "OutOfMemoryError"):
        return UserError(
            f"{where}workers were killed, or out of memory, again and again over one item ({kind}):"
            f" with more memory a worker, {AGAIN}"
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


def _unreachable(address: str, error: Exception) -> UserError:
    said = " ".join(str(error).split())[:200]
    return UserError(
        f"parallel.address: {address}: no cluster answers there ({type(error).__name__}: {said})"
    )


@cache
def _dask(address: str | None, jobs: int) -> tuple[Callable, Callable, Callable]:
    """A cluster that is named here or in Dask's own configuration, or one of this machine."""
    try:
        import dask  # noqa: PLC0415
        from distributed import Client  # noqa: PLC0415
    except ImportError:
        raise _missing("dask") from None
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})
    logging.getLogger("distributed").setLevel(logging.WARNING)
    logging.getLogger("distributed.utils").setLevel(
        logging.CRITICAL
    )  # tracebacks of a lost cluster
    named = address or dask.config.get("scheduler-address", None)
    if named:
        try:
            client = Client(named, timeout=TIMEOUT)
        except (OSError, ValueError) as error:
            raise _unreachable(named, error) from error
    else:
        client = Client(n_workers=jobs, threads_per_worker=1, dashboard_address=":0")

    def workers() -> int:
        threads = client.nthreads().values()
        if any(n > 1 for n in threads):
            raise UserError(
                f"parallel.address: {named}: workers with several threads, but a process can be in "
                "one folder at a time: start them with --nthreads 1, more of them"
            )
        return len(threads)

    if not workers():
        log.warning("parallel.address: %s: waiting for its first worker", named)

    def begin(site: Site, work: bytes) -> Future:
        future = Future()
        remote = client.submit(call, site, work, pure=False)
        remote.add_done_callback(partial(_pass_on, future))
        return future

    return begin, workers, client.close


def _pass_on(future: Future, remote: "distributed.Future") -> None:  # noqa: F821
    """What became of a call, as a future of the standard library. (Dask's own executor would print
    what the end of this process interrupts.)
    """
    try:
        future.set_result(remote.result())
    except BaseException as error:
        future.set_exception(error)


@cache
def _ray(address: str | None, jobs: int) -> tuple[Callable, Callable, Callable]:
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

    return begin, lambda: int(ray.cluster_resources().get("CPU", 0)), ray.shutdown


def _knock(address: str) -> None:
    """Raise an error soon where nobody listens, which Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), TIMEOUT).close()


CONNECT = {"dask": _dask, "ray": _ray}
"""Of an address and, if there is none, a number of workers: what begins a call, says how many
workers there are, and ends the connection."""

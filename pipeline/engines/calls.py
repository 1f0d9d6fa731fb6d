"""What workers do that are other processes: call, and say what came of it.

A cluster's takes calls, as bytes, of a process that may be on another machine. One is read only
where all is as it is there: the folder of the run, under its path, and this very code. A worker
that lives for days may have been started elsewhere, or before the code was changed; what it made
would be kept under the key of what it should have made.
"""

import platform
import sys
import traceback
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cloudpickle

from solos.errors import UserError
from solos.storage.files import file_hash, fingerprint

Item = TypeVar("Item")
Result = TypeVar("Result")


def _code() -> str:
    """What this process runs: Python, and the project as it was when this file was imported."""
    root = Path(__file__).parents[2]
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
        told = portable(error)
        told.add_note("".join(traceback.format_exception(error)))
        return cloudpickle.dumps((False, told))


def attempt(function: Callable[[Item], Result], item: Item) -> Result:
    """In a process of this machine: ``function(item)``; its error is one that gets home."""
    try:
        return function(item)
    except Exception as error:
        told = portable(error)
        if told is error:
            raise
        raise told from error


def portable(error: Exception) -> Exception:
    """An error as another process can read it: itself, or its words.

    One that holds a lock can't be packed; one that is made of more than its message can be, but not
    unpacked. Either would look like a worker's death.
    """
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error

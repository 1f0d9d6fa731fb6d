"""Finished work on many items, kept so that an interruption or another process loses none of it.

Each item's results lie in a folder of their own, named after the item and a fingerprint of all that
determines them (settings, source bytes, code), outside any stage's outputs: DVC deletes outputs
before a stage runs. A folder is there only once it is complete; outputs are hard links into it.
An item is locked while it is made, linked or removed, and its lock ends with the process that holds
it: the same item is made once, for one process, and the others wait for its result. Who computes it
need not be who holds its lock, nor run on the same machine: it writes into a folder that no other
attempt uses, and the holder of the lock takes that as the item's, or nothing.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from uuid import uuid4

from filelock import FileLock, Timeout

from solos.storage.files import atomic, file_hash, fingerprint, link, named

RESULT = "result.json"
WEEK = 7 * 24 * 3600.0
MONTH = 30 * 24 * 3600.0
_LOCKS = ".locks"
_HALVES = ".half"  # folders that are being made, a folder of them an item

log = logging.getLogger(__name__)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """This process alone holds the lock file ``path``; others wait, and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("waiting for another process that holds %s", path)
        lock.acquire()
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """:func:`locked` without waiting: whether the lock was free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path).acquire(timeout=0):
            yield True
    except Timeout:
        yield False


def code_of(*modules: ModuleType) -> list[str]:
    """Hashes of the source files of modules and packages: part of the key of what they make."""
    files: list[Path] = []
    for module in modules:
        path = Path(module.__file__)
        files += sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
    return [file_hash(path) for path in files]


class Cache:
    """A folder of finished items.

    Args:
        root: one a stage and data set; several processes and workspaces may share it.
    """

    def __init__(self, root: Path):
        self.root = root

    def make(
        self,
        name: str,
        compute: Callable[[Path], dict],
        *,
        lasting: Callable[[dict], bool] = lambda _: True,
        in_place: bool = False,
    ) -> dict:
        """``compute(folder)``, unless it is there already; its dictionary is kept as JSON.

        ``compute`` writes its files into the folder it is given. If it raises, nothing is kept.

        Args:
            name: of the item and of all that determines it (:func:`item_name`).
            lasting: whether a result is for good; for one that isn't, ``compute`` is called again
                next time.
            in_place: whether it is then called in the folder as it was left: a half-fetched file is
                gone on with.
        """
        with self.claim(name, wait=True):
            known = self.known(name, lasting)
            if known is not None:
                return known
            folder, result = self.attempt(name, compute, in_place=in_place)
            self.keep(name, folder, result, lasting)
            return result

    def claim(self, name: str, *, wait: bool = False) -> ExitStack | None:
        """An item's lock, until the stack is closed; None if another holds it, unless to wait.

        What earlier attempts left, and this one's if it is not kept, is removed.
        """
        clear = partial(shutil.rmtree, self.root / _HALVES / name, ignore_errors=True)
        with ExitStack() as stack:
            if not stack.enter_context((locked if wait else claimed)(self._lock(name))):
                return None
            clear()
            stack.callback(clear)
            return stack.pop_all()

    def known(self, name: str, lasting: Callable[[dict], bool]) -> dict | None:
        """What was made of an item that the caller has claimed, if that is there and for good."""
        known = self._recall(name)
        if known is None or not lasting(known):
            return None
        os.utime(self.root / name / RESULT)  # in use: not pruned
        return known

    def attempt(
        self, name: str, compute: Callable[[Path], dict], *, in_place: bool = False
    ) -> tuple[Path, dict]:
        """``compute(folder)``, by whomever the process that claimed the item had do it.

        Returns:
            The folder, for :meth:`keep`, and the result.
        """
        # A folder of its own: a killed run's ffmpeg, or worker, may still be writing to another.
        folder = self.root / name if in_place else self.root / _HALVES / name / uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        with named(folder):
            return folder, compute(folder)

    def keep(self, name: str, folder: Path, result: dict, lasting: Callable[[dict], bool]) -> None:
        """Note an attempt at a claimed item as what was made of it, if it is for good."""
        target = self.root / name
        if folder == target:
            self._note(folder, result)
        elif lasting(result):
            self._note(folder, result)
            shutil.rmtree(target, ignore_errors=True)  # one whose files were tampered with
            folder.rename(target)

    def publish(self, name: str, target: Path) -> bool:
        """Hard-link an item's files into ``target``, laid out alike; False if they are gone."""
        with locked(self._lock(name)):
            if self._recall(name) is None:
                return False
            for file in self._files(self.root / name):
                link(self.root / name / file, target / file)
            return True

    def prune(self, keep: Iterable[str], age: float = WEEK) -> None:
        """Remove what is not named in ``keep``, is unlocked, and was not used for a week (``age``).

        The week is for the runs that share this folder: another experiment's items, and those of
        one that was interrupted, are not waste because this run has no use for them.
        """
        kept = {*keep, _LOCKS, _HALVES}
        for path in [*self.root.glob("*"), *(self.root / _HALVES).glob("*")]:
            if path.name in kept or not is_old(path, age):
                continue
            with claimed(self._lock(path.name)) as free:
                if free and is_old(path, age):  # still: it may have been used, or removed, just now
                    shutil.rmtree(path, ignore_errors=True)
                    self._lock(path.name).unlink(missing_ok=True)

    def _note(self, folder: Path, result: dict) -> None:
        sizes = {str(file): (folder / file).stat().st_size for file in self._files(folder)}
        with atomic(folder / RESULT) as temporary:
            temporary.write_text(json.dumps({"result": result, "files": sizes}))

    def _recall(self, name: str) -> dict | None:
        """An item's result, if it was made and its files are as they were."""
        folder = self.root / name
        noted = _read(folder)
        if noted is None:
            return None
        try:
            whole = all((folder / file).stat().st_size == n for file, n in noted["files"].items())
        except FileNotFoundError:
            return None
        return noted["result"] if whole else None

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return [file.relative_to(folder) for file in files if file != folder / RESULT]

    def _lock(self, name: str) -> Path:
        return self.root / _LOCKS / f"{name}.lock"


def item_name(name: str, key: object) -> str:
    """Name of an item's folder: the item's, and a fingerprint of all that its result depends on."""
    return f"{name}.{fingerprint(key)}"


def is_old(path: Path, age: float) -> bool:
    """Whether nothing used a finished item, or worked at a half-made one, for so many seconds."""
    noted = path / RESULT
    try:
        used = [noted] if noted.exists() else [path, *path.iterdir()]
        newest = max(file.stat().st_mtime for file in used)
    except (FileNotFoundError, NotADirectoryError):  # in other hands
        return False
    return time.time() - newest > age


def sweep(work: Path, spared: Iterable[str]) -> None:
    """Remove from all caches below ``work`` what was not used for a month, whoever made it.

    A stage prunes what is its own; this is for what stages made that no run comes back to: another
    profile's, an experiment's. Items are removed under their locks, as ever.

    Args:
        spared: names of the caches in ``work`` whose items are kept for good.
    """
    roots = {path.parent for pattern in ("*/", "*/*/") for path in work.glob(f"{pattern}{_LOCKS}")}
    for root in sorted(root for root in roots if root.relative_to(work).parts[0] not in spared):
        Cache(root).prune((), MONTH)


def read_result(folder: Path) -> dict | None:
    """What was last noted of an item in its folder, whatever became of its files."""
    noted = _read(folder)
    return noted and noted["result"]


def _read(folder: Path) -> dict | None:
    try:
        noted = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # none, or damaged
        return None
    return noted if isinstance(noted, dict) and {"result", "files"} <= noted.keys() else None

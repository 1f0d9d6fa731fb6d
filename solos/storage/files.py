"""Writing files so that an interruption leaves the old one or none, never half of one; links."""

import hashlib
import json
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from solos.errors import UserError

_DAMAGE = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, struct.error)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` (same suffix); rename it to ``path`` on success.

    Also safe where ``path`` is a read-only link into DVC's cache: it is replaced, not edited.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with named(path):
            yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give an error of the system that names no file (a full disk, as a rule) this one.

    ffmpeg's, which say what it was about, get it beside that.
    """
    try:
        yield
    except OSError as error:
        said = str(error.filename or "")
        if error.errno is None or (said and not said.startswith("ffmpeg")):
            raise
        file = f"{path} ({said})" if said else str(path)
        raise OSError(error.errno, error.strerror, file) from error


@contextmanager
def intact(path: Path, made_by: str) -> Iterator[None]:
    """Read what the stage ``made_by`` wrote to ``path``: what can't be read is missing or damaged.

    Raises:
        UserError: it is, with what to do.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the stage {made_by} first") from None
    except _DAMAGE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{path} is damaged ({reason}): run the stage {made_by} again") from None


def fingerprint(*parts: object) -> str:
    """Short hash of JSON-serialisable ``parts``: the key of a resumable run in ``.work/``."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def empty(folder: Path) -> None:
    """Make ``folder`` an existing, empty one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def link(source: Path, target: Path) -> None:
    """Hard-link ``source`` to ``target``, replacing it; copy where links are impossible.

    The modes stay as they are: ``source`` may be a link into DVC's read-only cache.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copy2(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # renaming a link to itself leaves it there

"""Where recorded notes come from: folders and archives of them, as downloaded or in any order."""

import io
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from solos.errors import UserError
from solos.notes.names import INSTRUMENTS, NotPlayedError, parse
from solos.preparation.unpack import BY_HAND, harmless

_SOUND = (".mp3", ".wav", ".flac", ".ogg", ".aif", ".aiff")
_LARGEST = 64 << 20  # bytes of a recorded note
_LARGEST_ARCHIVE = 1 << 30  # bytes of an archive within an archive
_LARGEST_SUM = 8 << 30  # bytes of all notes


def archives(path: Path) -> list[Path]:
    """``path`` itself, if it is a file, or the archives that lie in it."""
    return [path] if path.is_file() else _files(path, (".zip",))


def sort_files(folders: Sequence[Path]) -> tuple[dict[str, list[Path]], list[dict]]:
    """The sound files below some folders.

    Returns:
        Those to play from by instrument, each of the 13; and of the others ``file`` and ``reason``.
    """
    found: dict[str, dict[str, Path]] = {name: {} for name in sorted(INSTRUMENTS.values())}
    others = []
    for path in (path for folder in folders for path in _files(folder, _SOUND)):
        try:
            instrument = parse(path.name).instrument
            if path.stem in found[instrument]:  # in another format, it is the same take
                raise NotPlayedError("there twice")
            found[instrument][path.stem] = path
        except NotPlayedError as reason:
            name = path.name.encode(errors="backslashreplace").decode()
            others.append({"file": name, "reason": str(reason)})
    return {name: list(files.values()) for name, files in found.items()}, others


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files of these endings below a folder, links followed; ``._…`` are what a Mac adds."""
    found, seen = [], set()
    for root, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link into what was read already
            folders.clear()
            continue
        seen.add(real)
        found += [Path(root, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in endings and path.is_file())


def _raise(error: OSError) -> None:
    raise error


def unpack(stream: BinaryIO, name: str, folder: Path) -> int:
    """Write the sound files of an archive, and of the archives in it, below ``folder``.

    The caller discards ``folder`` if this raises: an archive is taken whole or not at all.

    Args:
        name: what messages call it.

    Returns:
        Number of files written.

    Raises:
        UserError: no zip archive, cut off, encrypted; or with a member that could write elsewhere
            (absolute path, ``..``), is no plain file, is far larger than a note, or is there twice.
    """
    try:
        return len(_unpack(stream, name, folder, _LARGEST_SUM, within=False))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the disk's
            raise
        raise UserError(f"{name}: no zip archive, or cut off ({error}): fetch it again") from None


def _unpack(stream: BinaryIO, name: str, folder: Path, room: int, *, within: bool) -> list[int]:
    """Sizes of the files written, in bytes; ``room``: the most that they may have together."""
    sizes = []
    with zipfile.ZipFile(stream) as archive:
        for member in _plain(archive, name):
            path = PurePosixPath(member.filename)
            left = room - sum(sizes)
            if path.suffix.lower() == ".zip" and not within:
                _require_size(member, _LARGEST_ARCHIVE, name)
                inner, place = io.BytesIO(archive.read(member)), folder / _safe(path)
                sizes += _unpack(inner, f"{name}/{path.name}", place, left, within=True)
            elif path.suffix.lower() in _SOUND:
                _require_size(member, min(_LARGEST, left), name)
                target = folder / _safe(path)
                if target.exists():
                    raise UserError(f"{name}: refused, as {path.name!r} is there twice. {BY_HAND}")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                sizes.append(member.file_size)
    return sizes


def _safe(path: PurePosixPath) -> str:
    """A member's own name, of letters that name a file in one folder."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", path.name).lstrip(".")[-120:] or "_"


def _plain(archive: zipfile.ZipFile, name: str) -> Iterator[zipfile.ZipInfo]:
    """Members that are files, in order; ``._…`` are what a Mac adds.

    Raises:
        UserError: one points outside the archive, or is a link or a device.
    """
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
        path = harmless(member.filename, name, plain=plain)
        if not member.is_dir() and not path.name.startswith("."):
            yield member


def _require_size(member: zipfile.ZipInfo, largest: int, name: str) -> None:
    if member.file_size > largest:
        raise UserError(
            f"{name}: refused, as {member.filename!r} unpacks to {member.file_size >> 20} MiB, "
            f"more than {largest >> 20}. {BY_HAND}"
        )

"""Archives, unpacked once, where an interruption does not lose it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pipeline.common import WORK, reading
from solos.config.data import Urmp
from solos.errors import UserError
from solos.preparation.unpack import unpack
from solos.storage.cache import Cache, item_name

Unpack = Callable[[BinaryIO, str, Path], int]
"""Writes an archive's files into a folder: ``unpack(stream, name, folder)``; how many."""


def unpacked(settings: Urmp) -> Path:
    """The folder of pieces that ``urmp.path`` names, or holds packed.

    Raises:
        UserError: as :func:`solos.preparation.unpack.unpack`; or a checksum of what is no archive.
    """
    path = Path(settings.path)
    if not path.is_file():
        if settings.sha256:
            raise UserError(f"urmp.sha256 is that of an archive, {path} is none: set it to null")
        return path
    checked = partial(unpack, sha256=settings.sha256)
    return unpack_once([path], checked, "urmp", settings.sha256)[0]


def unpack_once(archives: list[Path], unpack: Unpack, name: str, *key: object) -> list[Path]:
    """A folder with each archive's files; those of earlier archives are removed."""
    cache, folders = Cache(WORK / "unpacked" / name), []
    for path in archives:
        stat = path.stat()
        folder = item_name(name, (str(path.absolute()), stat.st_size, stat.st_mtime_ns, *key))
        cache.make(folder, partial(_unpack, archive=path, unpack=unpack))
        folders.append(folder)
    cache.prune(folders)
    return [cache.root / folder for folder in folders]


def _unpack(folder: Path, archive: Path, unpack: Unpack) -> dict:
    description, size = f"unpack {archive.name}", archive.stat().st_size
    with archive.open("rb") as file, reading(file, description, size) as stream:
        return {"files": unpack(stream, str(archive), folder)}

"""URMP's archive, unpacked once, where an interruption does not lose it."""

from functools import partial
from pathlib import Path

from pipeline.common import WORK, reading
from solos.config.data import Urmp
from solos.errors import UserError
from solos.preparation.unpack import unpack
from solos.storage.cache import Cache, item_name


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
    stat = path.stat()
    key = (str(path.absolute()), stat.st_size, stat.st_mtime_ns, settings.sha256)
    cache, name = Cache(WORK / "unpacked"), item_name("urmp", key)
    cache.make(name, partial(_unpack, archive=path, sha256=settings.sha256))
    cache.prune([name])  # 12 GB of an earlier archive
    return cache.root / name


def _unpack(folder: Path, archive: Path, sha256: str | None) -> dict:
    description, size = f"unpack {archive.name}", archive.stat().st_size
    with archive.open("rb") as file, reading(file, description, size) as stream:
        return {"files": unpack(stream, str(archive), folder, sha256)}

"""URMP out of its archive, ``Dataset.tar.gz`` as Dryad gives it, in one pass over the stream."""

import hashlib
import re
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from solos.errors import UserError

_WANTED = re.compile(r"(?:.*/)?(\d+_[^/_]+_[^/]+)/((?:AuMix|AuSep|Vid)_[^/]+\.(?:wav|mp4))")
_BLOCK = 1 << 20
BY_HAND = "If you trust it, extract it by hand and name the folder"


class _Hashed:
    """A stream that is read through a SHA-256."""

    def __init__(self, stream: BinaryIO):
        self.stream, self.sha256 = stream, hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.sha256.update(block)
        return block


def unpack(stream: BinaryIO, name: str, folder: Path, sha256: str | None) -> int:
    """Write the mixtures, parts and videos of an archive to ``folder/<piece>/<file>``.

    The caller discards ``folder`` if this raises: an archive is taken whole or not at all.

    Args:
        stream: the archive's bytes, read once from the start to the end.
        name: what messages call it.
        sha256: checksum that it must have; None for any.

    Returns:
        Number of files written.

    Raises:
        UserError: no tar archive, cut off, of another checksum, without pieces; or with a member
            that could write elsewhere (absolute path, ``..``) or is no plain file (link, device).
    """
    hashed = _Hashed(stream)
    try:
        with tarfile.open(fileobj=hashed, mode="r|*") as archive:
            written = sum(_take(archive, member, name, folder) for member in archive)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{name}: no tar archive, or cut off ({error}): fetch it again") from None
    while hashed.read(_BLOCK):  # what a compressor or tar leaves after the end counts as well
        pass
    found = hashed.sha256.hexdigest()
    if sha256 and sha256.lower() != found:
        raise UserError(f"{name}: SHA-256 is {found}, urmp.sha256 {sha256}: fetch it again")
    if not written:
        raise UserError(f"{name}: no folder like 01_Jupiter_vn_vc with AuMix, AuSep and Vid files")
    return written


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, folder: Path) -> bool:
    """Write a member if it is wanted; whether it was."""
    path = harmless(member.name, name, plain=member.isfile() or member.isdir())
    wanted = _WANTED.fullmatch(path.as_posix())
    if not member.isfile() or not wanted:
        return False
    target = folder / wanted[1] / wanted[2]
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise UserError(f"{name}: refused, as {member.name!r} is there twice")
    with archive.extractfile(member) as content, target.open("wb") as file:
        shutil.copyfileobj(content, file, _BLOCK)
    return True


def harmless(member: str, archive: str, *, plain: bool) -> PurePosixPath:
    """A member's path, if it is a file or folder within its archive.

    Raises:
        UserError: it is neither, or points elsewhere (absolute, a drive, ``..``).
    """
    path = PurePosixPath(member.replace("\\", "/"))
    drive = "".join(path.parts[:1]).endswith(":")
    if path.is_absolute() or drive or ".." in path.parts:
        raise UserError(f"{archive}: refused, as {member!r} points outside it. {BY_HAND}")
    if not plain:
        raise UserError(f"{archive}: refused, as {member!r} is a link or a device. {BY_HAND}")
    return path

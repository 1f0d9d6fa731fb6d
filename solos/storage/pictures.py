"""A recording's pictures as one file: an uncompressed ZIP of JPEGs, read at random.

The n-th one (named ``000000.jpg`` on) is what the screen shows n/8 s into the recording.
"""

import shutil
import struct
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from solos.storage.files import intact

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # ZIP's earliest: archives of equal pictures have equal bytes


_LOCAL_HEADER = 30  # bytes of a ZIP entry's header before its name


def pack_frames(folder: Path, archive: Path) -> int:
    """Move the JPEGs of ``folder``, in order, into an uncompressed ZIP; returns their number."""
    pictures = sorted(folder.glob("*.jpg"))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        for picture in pictures:
            stream.writestr(zipfile.ZipInfo(picture.name, _ZIP_TIME), picture.read_bytes())
    shutil.rmtree(folder)
    return len(pictures)


def count_frames(archive: Path) -> int:
    """Number of pictures in an archive that :func:`pack_frames` made."""
    return len(_entries(archive))


def read_frames(archive: Path, indices: Sequence[int]) -> np.ndarray:
    """Pictures of a recording by number (n/8 s into it), read at random from its archive.

    A number past either end gives the first or the last picture: a recording's sound may outlast
    its pictures a little.

    Returns:
        uint8 (len(indices), H, W, 3), RGB.

    Raises:
        UserError: there is no such archive, or it is damaged.
        ValueError: it holds no pictures.
    """
    with intact(archive, "that made it"):
        entries = _entries(archive)
    if not len(entries):
        raise ValueError(f"{archive} holds no pictures")
    with intact(archive, "that made it"), archive.open("rb") as stream:
        wanted = entries[np.clip(indices, 0, len(entries) - 1)]
        return np.stack([_picture(stream, offset, size) for offset, size in wanted.tolist()])


def _entries(archive: Path) -> np.ndarray:
    stat = archive.stat()
    return _read_entries(archive, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2048)
def _read_entries(archive: Path, _mtime_ns: int, _size: int) -> np.ndarray:
    """Offset and size of each entry, int64 (n, 2); kept, as an hour has 28,800 entries to parse."""
    with zipfile.ZipFile(archive) as stream:
        entries = [(info.header_offset, info.file_size) for info in stream.infolist()]
    return np.array(entries, dtype=np.int64).reshape(-1, 2)


def _picture(stream: BytesIO, offset: int, size: int) -> np.ndarray:
    stream.seek(offset)
    name, extra = struct.unpack("<HH", stream.read(_LOCAL_HEADER)[26:])
    stream.seek(name + extra, 1)
    with Image.open(BytesIO(stream.read(size))) as picture:
        return np.asarray(picture.convert("RGB"))

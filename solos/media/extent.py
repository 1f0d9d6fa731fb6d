"""Whether a file ends before its own sizes say, or after: FFmpeg and libsndfile don't tell."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Piece = tuple[int, int | None]
"""A stretch of a file that holds its sound: where it begins, and how many bytes it is said to have.

None where nobody filled that in, the file having been written into a pipe.
"""
_MOST = 100_000  # chunks that are looked at; a film in fragments has some thousands
_LEAST = 26  # bytes in ASF's chunk before its packets
_LARGEST_PAGE = 27 + 255 + 255 * 255  # bytes of an Ogg


@dataclass(frozen=True)
class Extent:
    """What is to be said of a file's sizes."""

    share: float = 1.0
    """How many times as many bytes of sound (or of a film) it promises as it holds, at least 1."""
    why: str = ""
    """How one sees that it is cut off, or more than one; else, or if it promises nothing, empty."""
    open_ended: bool = False
    """Whether it was written into a pipe."""


@dataclass(frozen=True)
class _Chunks:
    """How a format lays out its chunks, a name and a size each."""

    payload: tuple[bytes, ...]
    """Names of those that hold sound."""
    first: int = 12
    """Byte at which the first one begins."""
    name: int = 4
    width: int = 4
    """Bytes of names and sizes."""
    order: str = "little"
    whole: bool = False
    """Whether a size counts the name and itself."""
    align: int = 2
    many: bool = False
    """Whether more sound may follow: elsewhere it is notes that do, or rubbish."""

    def pieces(self, stream: BinaryIO) -> Iterator[Piece]:
        place, beyond = self.first, None
        stream.seek(place)
        for _ in range(_MOST):
            if len(head := stream.read(self.name + self.width)) < self.name + self.width:
                return
            name, size = head[: self.name], int.from_bytes(head[self.name :], self.order)
            size -= len(head) if self.whole else 0
            begin = place + len(head)
            if name == b"LIST":  # of which there are several, each with a name of its own
                name += stream.read(4)
            if name == b"ds64":  # of RF64, whose own fields of 32 bits are full
                beyond = int.from_bytes(stream.read(16)[8:], "little")
            if name in self.payload:
                size = size if beyond is None or size != 0xFFFFFFFF else beyond
                size = None if _is_placeholder(size, 8 * self.width) else size
                yield begin, size
            is_last = name in self.payload and not self.many
            if size is None or size < 0 or is_last or not any(name):  # zeros are no chunks
                return
            place = _go_to(stream, begin + size + -size % self.align)


def _go_to(stream: BinaryIO, place: int) -> int:
    """Go on at a byte, or at the file's end if that is before it."""
    return stream.seek(min(place, os.fstat(stream.fileno()).st_size))


def _is_placeholder(size: int, bits: int) -> bool:
    """About nothing, or about all that a field can say, signed or not."""
    return size <= _LEAST or -size % 2 ** (bits - 1) <= 0x10000


_GUID = bytes.fromhex
_CHUNKED = {
    b"RIFF": _Chunks((b"data",)),
    b"AVI ": _Chunks((b"LISTmovi", b"RIFF"), many=True),  # beyond 1 GB, more RIFFs follow
    b"RF64": _Chunks((b"data",)),
    b"BW64": _Chunks((b"data",)),
    b"FORM": _Chunks((b"SSND",), order="big"),
    b"caff": _Chunks((b"data",), first=8, width=8, order="big", align=1),
    b"riff": _Chunks(
        (b"data" + _GUID("f3acd3118cd100c04f8edb8a"),),
        first=40,
        name=16,
        width=8,
        whole=True,
        align=8,
    ),
    _GUID("3026b275"): _Chunks(
        (_GUID("3626b2758e66cf11a6d900aa0062ce6c"),),
        first=0,
        name=16,
        width=8,
        whole=True,
        align=1,
    ),
}
"""By their first four bytes: WAV, AVI (by its kind of RIFF), RF64, AIFF, CAF, W64, ASF."""


def extent(path: Path) -> Extent:
    """What a file says of how large it is, against what is there.

    Known are WAV, RF64, W64, AIFF, CAF, AVI, ASF, MP4, Matroska, Ogg, and MP3 with the header of
    its encoder. Other formats say nothing, or FFmpeg tells.
    """
    with path.open("rb") as stream:
        head = stream.read(12)
        total = stream.seek(0, os.SEEK_END)
        if head[:4] == b"OggS":
            return Extent(why=_ogg(stream, total))
        for begin, size in _reader(head)(stream):
            if size is None:
                return Extent(open_ended=True)
            there = max(1, total - begin)
            if size > there:
                why = f"its file is cut off, {size - there} bytes are missing"
                return Extent(size / there, why)
        return Extent(why=_joined(stream, head))


def _joined(stream: BinaryIO, head: bytes) -> str:
    """Whether a file is followed by another one, as ``cat`` joins them: it is not heard."""
    begin = None
    if head[8:] in (b"WAVE", b"AIFF", b"AIFC"):
        size = int.from_bytes(head[4:8], "big" if head[:4] == b"FORM" else "little")
        begin = _go_to(stream, 8 + size + size % 2)
        begin = begin if stream.read(4) == head[:4] else None
    elif head[4:8] == b"ftyp":
        places = {name: at for name, at, _ in _boxes(stream)}  # the last of each
        begin = None if b"moof" in places else places[b"ftyp"]  # fragments are heard all the same
    return f"another file is joined to it at byte {begin}, and not heard" if begin else ""


def doubt(path: Path) -> str:
    """What its sizes may have to do with it that a file can't be read, after a semicolon."""
    with suppress(OSError):
        found = extent(path)
        why = "its sizes were never filled in: written into a pipe?" if found.open_ended else ""
        return f"; {why or found.why}" if why or found.why else ""
    return ""


def _reader(head: bytes) -> Callable[[BinaryIO], Iterator[Piece]]:
    for magic in (head[8:], head[:4]):
        if magic in _CHUNKED:
            return _CHUNKED[magic].pieces
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska
    return _mp4 if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") else _mp3


def _mp4(stream: BinaryIO) -> Iterator[Piece]:
    """The boxes of media and of their indices: there are many in a fragmented film."""
    for name, place, size in _boxes(stream):
        if name in (b"mdat", b"moof"):
            yield place, size


def _boxes(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and size of each of MP4's outermost boxes."""
    place = stream.seek(0)
    for _ in range(_MOST):
        if len(head := stream.read(8)) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(stream.read(8), "big") if size == 1 else size
        if size < 8:  # 0: all that follows
            return
        yield head[4:], place, size
        place = _go_to(stream, place + size)


def _matroska(stream: BinaryIO) -> Iterator[Piece]:
    """The segment, which follows the header; of one written into a pipe the size is unknown."""
    stream.seek(4)
    header = _number(stream)
    _go_to(stream, stream.tell() + (header or 0))
    if stream.read(4) == b"\x18\x53\x80\x67":
        size = _number(stream)
        if size is not None:
            yield stream.tell(), size


def _number(stream: BinaryIO) -> int | None:
    """EBML's, whose first bits say how many bytes it takes; None where all others are set, or
    where it is none, or ends early."""
    first = stream.read(1)
    if not any(first):
        return None
    more = 8 - first[0].bit_length()
    if len(rest := stream.read(more)) < more:
        return None
    value = int.from_bytes(first + rest, "big") - (1 << 7 * (more + 1))
    return value if value != (1 << 7 * (more + 1)) - 1 else None


def _mp3(stream: BinaryIO) -> Iterator[Piece]:
    """What Xing's, LAME's or Fraunhofer's header in the first frame says."""
    begin = _after_tags(stream)
    frame = stream.read(200)
    if len(frame) < 200 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:  # layer III
        return
    is_mono, lies_low = frame[3] >> 6 == 3, frame[1] & 8 == 0
    place = 4 + ((9 if is_mono else 17) if lies_low else (17 if is_mono else 32))
    if frame[place : place + 4] in (b"Xing", b"Info") and frame[place + 7] & 3 == 3:
        yield begin, int.from_bytes(frame[place + 12 : place + 16], "big")
    elif frame[36:40] == b"VBRI":
        yield begin, int.from_bytes(frame[46:50], "big")


def _after_tags(stream: BinaryIO) -> int:
    """Where a file begins after its ID3 tags, whose sizes are of 7 bits a byte."""
    place = stream.seek(0)
    while (head := stream.read(10))[:3] == b"ID3" and len(head) == 10:
        size = sum(byte << 7 * k for k, byte in enumerate(reversed(head[6:])))
        place = _go_to(stream, place + 10 + size)
    return stream.seek(place)


def _ogg(stream: BinaryIO, total: int) -> str:
    """Whether the last page is complete and marked as the last."""
    stream.seek(max(0, total - 2 * _LARGEST_PAGE))
    tail = stream.read()
    page = tail[max(0, tail.rfind(b"OggS\0")) :]
    sizes = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if len(page) < 27 + len(sizes) or len(page) < 27 + page[26] + sum(sizes):
        return "its file is cut off within a page"
    return "" if page[5] & 4 else "its file seems to be cut off, no page is marked as its last"

"""The test set's segments: which sources a piece has, and its audio a stretch at a time.

Pieces are cut from their start into segments of equal length; by the authors' protocol the tail
that fills none is dropped, and the parts of one instrument are summed into one reference, as in the
audio that they published.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray

from solos.config.rows import Protocol
from solos.errors import UserError
from solos.storage.files import intact
from solos.storage.frames import read_frame

log = logging.getLogger(__name__)

_PIECES = ("piece", "n_samples", "status", "reason")
_PARTS = ("piece", "part", "instrument", "wav", "frames")


@dataclass(frozen=True)
class Source:
    """What is separated: an instrument of a piece with all the parts that play it, or a part."""

    instrument: str
    parts: tuple[int, ...]
    waves: tuple[Path, ...]
    """One a part."""
    frames: tuple[Path, ...]
    """Pictures of each player (ZIP, 8 fps); empty where the piece has no video."""

    @property
    def label(self) -> str:
        """Its parts in the tables: ``1+2``."""
        return "+".join(map(str, self.parts))


@dataclass(frozen=True)
class Piece:
    """A prepared piece of the test set."""

    name: str
    mix: Path
    n_samples: int
    sources: tuple[Source, ...]
    """In the order of their first parts."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a piece at 11,025 Hz."""

    piece: Piece
    number: int
    """Counted from 0."""
    start: int
    """First sample."""
    mix: NDArray[np.float32]
    """(n_samples,)."""
    references: NDArray[np.float32]
    """(n_src, n_samples), in the order of ``piece.sources``."""


def prepared_pieces(folder: Path, repeats: str = "merge") -> list[Piece]:
    """The usable pieces of the folder that the stage ``urmp`` writes; others are logged.

    Args:
        repeats: ``merge`` the parts of an instrument into one source, or take ``each``.

    Raises:
        UserError: the folder's tables are missing, or no piece is usable.
    """
    pieces = read_frame(folder / "pieces.csv", "urmp", _PIECES, keep_default_na=False)
    parts = read_frame(folder / "parts.csv", "urmp", _PARTS, keep_default_na=False)
    for piece in pieces[pieces["status"] != "ok"].itertuples():
        log.warning("%s is not evaluated: %s (%s)", piece.piece, piece.status, piece.reason)
    usable = pieces[pieces["status"] == "ok"]
    if usable.empty:
        raise UserError(f"{folder / 'pieces.csv'}: none of {len(pieces)} piece(s) is usable")
    by_piece = dict(list(parts.groupby("piece")))
    with intact(folder / "parts.csv", "urmp"):
        return [
            Piece(
                name=piece.piece,
                mix=folder / piece.piece / "mix.wav",
                n_samples=int(piece.n_samples),
                sources=_sources(folder, by_piece[piece.piece], repeats),
            )
            for piece in usable.itertuples()
        ]


def repeating_pieces(folder: Path) -> list[Piece]:
    """The usable pieces in which several parts are of one instrument, each part a source."""
    pieces = prepared_pieces(folder, "each")
    return [
        piece
        for piece in pieces
        if len({source.instrument for source in piece.sources}) < len(piece.sources)
    ]


def _sources(folder: Path, parts: pd.DataFrame, repeats: str) -> tuple[Source, ...]:
    parts = parts.sort_values("part")
    by = "instrument" if repeats == "merge" else "part"
    return tuple(
        Source(
            instrument=str(played["instrument"].iloc[0]),
            parts=tuple(int(part) for part in played["part"]),
            waves=tuple(folder / wave for wave in played["wav"]),
            frames=tuple(folder / frames for frames in played["frames"] if frames),
        )
        for _, played in parts.groupby(by, sort=False)
    )


def segment_starts(piece: Piece, protocol: Protocol) -> range:
    """First samples of a piece's segments; one that is shorter than a segment is one, too short."""
    tail = 0 if protocol.tail == "keep" else protocol.segment - 1
    return range(0, max(1, piece.n_samples - tail), protocol.segment)


def read_segments(pieces: Iterable[Piece], protocol: Protocol) -> Iterator[Segment]:
    """The segments of ``pieces`` in order, each read from the files only when it is its turn."""
    for piece in pieces:
        for number, start in enumerate(segment_starts(piece, protocol)):
            yield _segment(piece, number, start, protocol)


def read_pairs(pieces: Iterable[Piece], protocol: Protocol) -> Iterator[tuple[Segment, Segment]]:
    """Each segment of ``pieces`` with what its estimates are made of.

    That is the segment itself, unless ``protocol.drift`` moves it: segment i by i times as much, so
    that estimates are early beside their references; never past the end of the piece.
    """
    for segment in read_segments(pieces, protocol):
        piece, last = segment.piece, segment.piece.n_samples - segment.mix.size
        start = min(segment.start + segment.number * protocol.drift, last)
        moved = start != segment.start
        yield segment, _segment(piece, segment.number, start, protocol) if moved else segment


def _segment(piece: Piece, number: int, start: int, protocol: Protocol) -> Segment:
    size = min(protocol.segment, piece.n_samples - number * protocol.segment)
    references = np.stack(
        [sum(_read(wave, start, size) for wave in source.waves) for source in piece.sources]
    )
    from_file = protocol.mixture == "file"
    mix = _read(piece.mix, start, size) if from_file else references.sum(axis=0)
    return Segment(piece, number, start, mix, references)


def _read(path: Path, start: int, size: int) -> NDArray[np.float32]:
    try:
        wave, _ = soundfile.read(path, frames=size, start=start, dtype="float32")
    except soundfile.LibsndfileError as error:
        reason = error.error_string
        raise UserError(f"{path} can't be read ({reason}): run the stage urmp again") from None
    if wave.shape != (size,):
        raise UserError(f"{path} ends before sample {start + size}: run the stage urmp again")
    return wave

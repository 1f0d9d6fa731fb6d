"""The paper's evaluation on URMP: segments, scores, and a row of Table II.

Pieces are cut from their start into segments of 65,535 samples; the tail that fills none is
dropped. Parts of one instrument are summed into one reference, as in the audio that the authors
published. A segment in which any reference or estimate is silent is skipped, and says so. A row of
the table is the mean and the population standard deviation over all scored sources of all segments.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray

from solos import SEGMENT
from solos.errors import UserError
from solos.files import atomic
from solos.metrics import bss_eval, si_sdr

METRICS = ("SDR", "SIR", "SAR", "SI-SDR")
COLUMNS = ("piece", "segment", "part", "instrument", "n_sources", *METRICS, "skipped")
"""Of ``data/evaluation/<row>.csv``: a line a source of a segment; ``skipped`` holds the reason."""
SILENCE = 1e-5
"""Σ|x| of a segment up to which the authors take it for silent."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """What is separated: an instrument of a piece, with all the parts that play it."""

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
    n_segments: int
    sources: tuple[Source, ...]
    """In the order of their first parts."""


@dataclass(frozen=True)
class Segment:
    """65,535 samples of a piece at 11,025 Hz."""

    piece: Piece
    number: int
    """Counted from 0; it starts at sample 65,535 times this."""
    mix: NDArray[np.float32]
    """(65535,)."""
    references: NDArray[np.float32]
    """(n_src, 65535), in the order of ``piece.sources``."""


def prepared_pieces(folder: Path) -> list[Piece]:
    """The usable pieces of the folder that the stage ``urmp`` writes; others are logged.

    Raises:
        UserError: the folder's tables are missing, or no piece is usable.
    """
    pieces, parts = (_read_table(folder / name) for name in ("pieces.csv", "parts.csv"))
    for piece in pieces[pieces["status"] != "ok"].itertuples():
        log.warning("%s is not evaluated: %s (%s)", piece.piece, piece.status, piece.reason)
    usable = pieces[pieces["status"] == "ok"]
    if usable.empty:
        raise UserError(f"{folder / 'pieces.csv'}: none of {len(pieces)} piece(s) is usable")
    by_piece = dict(list(parts.groupby("piece")))
    return [
        Piece(
            name=piece.piece,
            mix=folder / piece.piece / "mix.wav",
            n_segments=int(piece.n_segments),
            sources=_sources(folder, by_piece[piece.piece]),
        )
        for piece in usable.itertuples()
    ]


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the stage urmp") from None


def _sources(folder: Path, parts: pd.DataFrame) -> tuple[Source, ...]:
    parts = parts.sort_values("part")
    return tuple(
        Source(
            instrument=str(instrument),
            parts=tuple(int(part) for part in played["part"]),
            waves=tuple(folder / wave for wave in played["wav"]),
            frames=tuple(folder / frames for frames in played["frames"] if frames),
        )
        for instrument, played in parts.groupby("instrument", sort=False)
    )


def read_segments(pieces: Iterable[Piece]) -> Iterator[Segment]:
    """The segments of ``pieces`` in order, each read from the files only when it is its turn."""
    for piece in pieces:
        for number in range(piece.n_segments):
            references = [
                sum(_read_wave(wave, number) for wave in source.waves) for source in piece.sources
            ]
            yield Segment(piece, number, _read_wave(piece.mix, number), np.stack(references))


def _read_wave(path: Path, number: int) -> NDArray[np.float32]:
    wave, _ = soundfile.read(path, frames=SEGMENT, start=number * SEGMENT, dtype="float32")
    if wave.shape != (SEGMENT,):
        raise UserError(f"{path} ends inside segment {number}: run the stage urmp again")
    return wave


def score_segment(segment: Segment, estimates: NDArray) -> list[dict]:
    """Score one system's estimates (n_src, 65535): a line (:data:`COLUMNS`) for each source."""
    return score_rows(segment, {"": estimates})[""]


def score_rows(segment: Segment, estimates: Mapping[str, NDArray]) -> dict[str, list[dict]]:
    """Score several rows' estimates (n_src, 65535) of a segment; they share BSS Eval's factor."""
    reasons = {row: _skip_reason(segment, waves) for row, waves in estimates.items()}
    scored = [row for row, reason in reasons.items() if not reason]
    lines = {row: skip_segment(segment, reason) for row, reason in reasons.items() if reason}
    if scored:
        waves = {
            "references": segment.references,
            "estimates": np.stack([estimates[row] for row in scored]),
        }
        scores = np.stack([*bss_eval(**waves), si_sdr(**waves)], axis=-1)  # (rows, n_src, 4)
        lines |= {row: _lines(segment, values) for row, values in zip(scored, scores, strict=True)}
    return {row: lines[row] for row in estimates}


def skip_segment(segment: Segment, reason: str) -> list[dict]:
    """The lines of a segment that has no scores."""
    return _lines(segment, np.full((len(segment.references), len(METRICS)), np.nan), reason)


def _lines(segment: Segment, scores: NDArray, reason: str = "") -> list[dict]:
    sources = segment.piece.sources
    return [
        {
            "piece": segment.piece.name,
            "segment": segment.number,
            "part": source.label,
            "instrument": source.instrument,
            "n_sources": len(sources),
            **dict(zip(METRICS, map(float, values), strict=True)),
            "skipped": reason,
        }
        for source, values in zip(sources, scores, strict=True)
    ]


def _skip_reason(segment: Segment, estimates: NDArray) -> str:
    if len(segment.references) < 2:
        return "one instrument: nothing to separate"
    reasons = []
    for kind, waves in (("reference", segment.references), ("estimate", estimates)):
        for source, level in zip(segment.piece.sources, np.abs(waves).sum(axis=-1), strict=True):
            if not np.isfinite(level):
                reasons.append(f"{kind} of {source.instrument} not finite")
            elif level <= SILENCE:
                reasons.append(f"silent {kind} of {source.instrument}")
    return "; ".join(reasons)


def summarize(table: pd.DataFrame) -> dict:
    """Mean and population std of each metric over all scored sources, rounded to 4 decimals.

    Returns:
        ``{"SDR": {"mean", "std"}, ..., "segments", "skipped"}``; the counts are of segments.

    Raises:
        UserError: nothing was scored; the message lists the reasons.
    """
    scored = table[table["skipped"] == ""]
    if scored.empty:
        reasons = "; ".join(sorted(set(table["skipped"]))) or "no segments"
        raise UserError(f"all {_count_segments(table)} segment(s) were skipped: {reasons}")
    summary: dict = {
        metric: {
            "mean": round(float(scored[metric].mean()), 4),
            "std": round(float(scored[metric].std(ddof=0)), 4),
        }
        for metric in METRICS
    }
    return summary | _counts(table)


def _counts(table: pd.DataFrame) -> dict[str, int]:
    skipped = _count_segments(table[table["skipped"] != ""])
    return {"segments": _count_segments(table) - skipped, "skipped": skipped}


def _count_segments(table: pd.DataFrame) -> int:
    return len(table[["piece", "segment"]].drop_duplicates())


def write_row(row: str, lines: Iterable[dict], evaluation_dir: Path, metrics_dir: Path) -> dict:
    """Write ``<evaluation_dir>/<row>.csv`` and ``<metrics_dir>/<row>.json``; return the latter.

    Raises:
        UserError: nothing was scored (the CSV, which says why, is written first).
    """
    table = _write_table(row, lines, evaluation_dir)
    try:
        summary = summarize(table)
    except UserError as error:
        raise UserError(f"{row}: {error}; see {evaluation_dir / row}.csv") from None
    _write_summary(summary, metrics_dir / f"{row}.json")
    return summary


def write_absent_row(
    row: str, segments: Iterable[Segment], reason: str, evaluation_dir: Path, metrics_dir: Path
) -> dict:
    """The files of a row that this test set can't have: the reason in place of figures."""
    lines = [line for segment in segments for line in skip_segment(segment, reason)]
    table = _write_table(row, lines, evaluation_dir)
    summary: dict = {metric: {"mean": None, "std": None} for metric in METRICS}
    summary |= _counts(table) | {"reason": reason}
    _write_summary(summary, metrics_dir / f"{row}.json")
    return summary


def _write_table(row: str, lines: Iterable[dict], folder: Path) -> pd.DataFrame:
    table = pd.DataFrame(list(lines), columns=list(COLUMNS))
    with atomic(folder / f"{row}.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    return table


def _write_summary(summary: dict, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")

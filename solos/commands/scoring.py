"""Score folders of separated WAVs by the protocol of Table II.

References are pieces in URMP's layout. Estimates are too: ``<piece>/AuSep_<k>_*.wav``, at any rate,
mono or not, each folder of them one system. The name of a piece's folder says what its part k
plays. By the authors' protocol the parts of an instrument are one source: its estimate is the sum
of the files there are for them, be it one for all or one for each.
"""

import logging
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from tqdm import tqdm

from solos import SAMPLE_RATE
from solos.config.rows import Protocol
from solos.datasets.urmp import Piece as UrmpPiece
from solos.datasets.urmp import read_pieces
from solos.errors import UserError
from solos.evaluation.scores import score_rows, skip_segment
from solos.evaluation.segments import Piece, Segment, Source, read_pairs
from solos.media.errors import MediaError
from solos.media.sound import hear
from solos.preparation.pieces import prepare_audio

log = logging.getLogger(__name__)

_UNEQUAL = 0.1  # seconds by which the lengths of estimates and references may differ

Item, Result = TypeVar("Item"), TypeVar("Result")
Estimates = Mapping[str, list[NDArray | str]]
"""Of a piece: for each system, each source's samples at 11,025 Hz, or why there are none."""


def score_folders(
    references: Path, systems: Mapping[str, Path], protocol: Protocol, quiet: bool = False
) -> dict[str, list[dict]]:
    """Lines (``solos.evaluation.scores.COLUMNS``) of each system, for all segments of all pieces.

    Args:
        references: a folder of pieces in URMP's layout.
        systems: name -> folder of estimates.

    Raises:
        UserError: no such pieces, or none of a system's folders is one of them.
    """
    pieces = read_pieces(references)
    names = [piece.name for piece in pieces]
    estimates = {row: _find_estimates(folder, names) for row, folder in systems.items()}
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)  # it is well
    lines: dict[str, list[dict]] = {row: [] for row in systems}
    with TemporaryDirectory(prefix="solos-") as scratch, _workers() as pool:
        one = partial(_score_piece, estimates=estimates, protocol=protocol, scratch=Path(scratch))
        scored = _in_order(pool, one, pieces)
        for piece, remarks in tqdm(scored, "pieces", len(pieces), disable=quiet or None):
            for remark in remarks:
                log.warning("%s", remark)
            for row in systems:
                lines[row] += piece[row]
    return lines


def _in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """As ``pool.map``; but that cancels at an interruption what loky then stumbles on, and hangs.

    So it does on what it has not handed to its workers yet: two calls a worker it has.
    """
    running: deque[Future] = deque()
    for item in items:
        running.append(pool.submit(function, item))
        if len(running) == 2 * cpu_count():
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


@contextmanager
def _workers() -> Iterator[Executor]:
    """Processes that end with an error, or an interruption, at once: they tidy nothing up."""
    # As the stages': a process has one.
    pool = get_reusable_executor(max_workers=cpu_count(), env={"OMP_NUM_THREADS": "1"})
    try:
        yield pool
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise


def _find_estimates(folder: Path, names: Sequence[str]) -> dict[str, UrmpPiece]:
    """By name, the pieces that a system has separated."""
    try:
        found = {piece.name: piece for piece in read_pieces(folder)}
    except UserError:
        raise UserError(f"{folder} holds no folder of estimates like {names[0]}") from None
    if not set(names) & set(found):
        some = ", ".join(sorted(found)[:3])
        raise UserError(f"{folder}: none of its folders ({some}) is a piece such as {names[0]}")
    return found


def _score_piece(
    piece: UrmpPiece,
    estimates: Mapping[str, Mapping[str, UrmpPiece]],
    protocol: Protocol,
    scratch: Path,
) -> tuple[dict[str, list[dict]], list[str]]:
    """Each system's lines of a piece, and what is remarkable about its files."""
    torch.set_num_threads(1)  # the pieces run in parallel
    with TemporaryDirectory(dir=scratch) as folder:
        sources = _sources(piece, Path(folder), protocol) or (Source("", (), (), ()),)
        prepared = Piece(piece.name, Path(folder) / "mix.wav", 0, sources)
        try:
            n_samples, remark = _prepare(piece, Path(folder))
        except MediaError as error:
            nothing = Segment(prepared, 0, 0, np.zeros(0), np.zeros((len(sources), 0)))
            reason = f"unusable references: {error}"
            return {row: skip_segment(nothing, reason) for row in estimates}, [
                f"{piece.name} is not scored: {error}"
            ]
        prepared = replace(prepared, n_samples=n_samples)
        waves, remarks = _read_estimates(prepared, estimates)
        lines: dict[str, list[dict]] = {row: [] for row in estimates}
        for segment, heard in read_pairs([prepared], protocol):
            for row, scored in _score_segment(segment, heard.start, waves, protocol).items():
                lines[row] += scored
    return lines, [*([f"{piece.name}: {remark}"] if remark else []), *remarks]


def _prepare(piece: UrmpPiece, folder: Path) -> tuple[int, str]:
    if piece.problem:
        raise MediaError("broken", piece.problem)
    return prepare_audio(piece, folder)


def _sources(piece: UrmpPiece, folder: Path, protocol: Protocol) -> tuple[Source, ...]:
    """A piece's sources, of the files that ``prepare_audio`` writes."""
    groups: dict[object, list] = {}
    for part in piece.parts:
        key = part.instrument if protocol.repeats == "merge" else part.index
        groups.setdefault(key, []).append(part)
    return tuple(
        Source(
            instrument=parts[0].instrument,
            parts=tuple(part.index for part in parts),
            waves=tuple(folder / f"{part.index}.wav" for part in parts),
            frames=(),
        )
        for parts in groups.values()
    )


def _read_estimates(
    piece: Piece, systems: Mapping[str, Mapping[str, UrmpPiece]]
) -> tuple[Estimates, list[str]]:
    waves: dict[str, list[NDArray | str]] = {}
    remarks: list[str] = []
    for row, pieces in systems.items():
        if piece.name not in pieces:
            waves[row] = ["no estimates of this piece"] * len(piece.sources)
            continue
        separated = pieces[piece.name]
        if separated.surplus:
            waves[row] = [f"unusable estimates: {separated.surplus}"] * len(piece.sources)
            remarks.append(f"{row}, {piece.name} is not scored: {separated.surplus}")
            continue
        paths = {part.index: part.path for part in separated.parts if part.path}
        read = [_read_estimate(source, paths, piece.n_samples) for source in piece.sources]
        waves[row] = [wave for wave, _ in read]
        remarks += [f"{row}, {piece.name}: {remark}" for _, found in read for remark in found]
    return waves, remarks


def _read_estimate(
    source: Source, paths: Mapping[int, Path], n_samples: int
) -> tuple[NDArray | str, list[str]]:
    """The sum of a source's files, as long as the shortest, or why there is none; and remarks.

    Args:
        n_samples: of the references.
    """
    files = [paths[part] for part in source.parts if part in paths]
    if not files:
        return f"no estimate of {source.instrument}", []
    try:
        heard = [hear(path) for path in files]
    except MediaError as error:
        return f"estimate of {source.instrument}: {error}", []
    waves = [wave for wave, _ in heard]
    remarks = [remark for _, found in heard for remark in found]
    if len(files) < len(source.parts):
        names = ", ".join(path.name for path in files)
        remarks.append(f"{names} is taken for all of {source.instrument}, parts {source.label}")
    for path, wave in zip(files, waves, strict=True):
        longer = (len(wave) - n_samples) / SAMPLE_RATE
        if abs(longer) > _UNEQUAL:
            kind = "longer" if longer > 0 else "shorter"
            remarks.append(f"{path.name} is {abs(longer):.1f} s {kind} than the references")
    length = min(map(len, waves))
    return np.sum([wave[:length] for wave in waves], axis=0), remarks


def _score_segment(
    segment: Segment, start: int, estimates: Estimates, protocol: Protocol
) -> dict[str, list[dict]]:
    cut = {row: list(_cut(segment, start, waves)) for row, waves in estimates.items()}
    reasons = {
        row: "; ".join(dict.fromkeys(part for part in parts if isinstance(part, str)))
        for row, parts in cut.items()
    }
    whole = {row: np.stack(parts) for row, parts in cut.items() if not reasons[row]}
    lines = score_rows(segment, whole, protocol)
    return {
        row: skip_segment(segment, reason) if reason else lines[row]
        for row, reason in reasons.items()
    }


def _cut(segment: Segment, start: int, waves: Sequence[NDArray | str]) -> Iterator[NDArray | str]:
    """Each source's part of a segment, from a sample on, or why it has none."""
    end = start + segment.mix.size
    for source, wave in zip(segment.piece.sources, waves, strict=True):
        if isinstance(wave, str):
            yield wave
        elif len(wave) < end:
            yield f"estimate of {source.instrument} ends before the segment does"
        else:
            yield wave[start:end]

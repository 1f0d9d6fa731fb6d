"""Scores as plain note lists: music21 reads each once, nothing else here knows of it."""

import logging
import warnings
from dataclasses import dataclass

import numpy as np

from solos.synthesis.works import Work

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Voice:
    """A single line of a score.

    Attributes:
        work: path of the score in the corpus.
        part: index of the part in the score.
        tempo: quarter notes a minute.
        notes: (n, 3) float64: onset and duration in quarter notes, MIDI pitch; by onset, without
            overlaps.
    """

    work: str
    part: int
    tempo: float
    notes: np.ndarray


def read_work(work: Work) -> list[Voice]:
    """The voices ``work.parts`` of a score, in that order."""
    from music21 import converter, corpus  # noqa: PLC0415  (workers don't need it)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on the engraving
        score = converter.parse(corpus.getWork(work.path), forceSource=True)
        parts = list(score.parts)
        lines = [_line(parts[index]) for index in work.parts]
    logger.debug("%s: %s notes", work.path, [len(line) for line in lines])
    return [
        Voice(work.path, index, work.tempo, line)
        for index, line in zip(work.parts, lines, strict=True)
    ]


def _line(part) -> np.ndarray:
    notes = [
        (float(element.offset), float(element.quarterLength), top.pitch.midi, _continues(top))
        for element in part.flatten().notes
        if element.quarterLength > 0 and (top := _top(element)) is not None
    ]
    return join_tied(single_line(np.array(notes, dtype=np.float64).reshape(-1, 4)))


def _top(element):
    """The highest note of a chord (a note is a chord of one); None for a chord symbol."""
    notes = getattr(element, "notes", (element,))
    pitched = [note for note in notes if hasattr(note, "pitch")]
    return max(pitched, key=lambda note: note.pitch.midi, default=None)


def _continues(note) -> bool:
    return note.tie is not None and note.tie.type in ("stop", "continue")


def single_line(notes: np.ndarray) -> np.ndarray:
    """Of notes that may overlap, keep the highest at each onset, cut where the next begins.

    Args:
        notes: (n, 3 or more): onset, duration, pitch, anything.

    >>> single_line(np.array([[0, 2, 60], [0, 2, 64], [1, 1, 62]]))
    array([[ 0.,  1., 64.],
           [ 1.,  1., 62.]])
    """
    notes = notes[np.lexsort((-notes[:, 2], notes[:, 0]))].astype(np.float64)
    notes = notes[np.diff(notes[:, 0], prepend=-np.inf) > 1e-6]
    room = np.diff(notes[:, 0], append=np.inf)
    notes[:, 1] = np.minimum(notes[:, 1], room)
    return notes


def join_tied(notes: np.ndarray) -> np.ndarray:
    """Make one note of tied ones.

    Args:
        notes: (n, 4): onset, duration, pitch, whether tied to the note before; a single line.

    Returns:
        (m, 3).
    """
    same_pitch = np.diff(notes[:, 2], prepend=np.nan) == 0
    starts = np.flatnonzero(~((notes[:, 3] > 0) & same_pitch))
    if not len(starts):
        return np.empty((0, 3))
    ends = notes[np.append(starts[1:], len(notes)) - 1, :2].sum(axis=1)
    onsets = notes[starts, 0]
    return np.column_stack([onsets, ends - onsets, notes[starts, 2]])

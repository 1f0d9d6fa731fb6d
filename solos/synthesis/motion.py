"""How a player moves with the notes: a pose for every picture of a video.

Poses are taken from a small grid, so that a recording needs only some dozens of drawings.
"""

from dataclasses import dataclass

import numpy as np

from solos import SPAN_RATE
from solos.synthesis.instruments import Instrument

GRID = (12, 3, 4)
"""Steps of a pose's three coordinates."""
_PATTERNS = 8  # fingerings told apart


@dataclass(frozen=True)
class Pose:
    """Each coordinate lies in [0, 1].

    Attributes:
        main: bow from frog to tip, slide from in to out, bellows from shut to open, fingering
            (of 8 patterns), plucking hand, mallet along the bars.
        second: place of the left hand along the strings, lift of mallets, breath of a blower.
        sway: of the whole body, from left to right.
    """

    main: float
    second: float
    sway: float


def poses(
    instrument: Instrument, notes: np.ndarray, n_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Grid indices of the pose in each picture.

    Args:
        notes: (n, 3 or more): onset, duration in seconds, pitch.

    Returns:
        int64 (n_frames, 3).
    """
    times = np.arange(n_frames) / SPAN_RATE
    index = np.searchsorted(notes[:, 0], times, side="right") - 1  # note begun last, -1 before any
    main, second = _MOTIONS[instrument.motion](instrument, notes, times, index, rng)
    sway = 0.5 + 0.5 * _sway(times, index >= 0, rng)
    steps = np.array(GRID)
    places = np.column_stack([main, second, sway]).clip(0, 1 - 1e-9)
    return np.floor(places * steps).astype(np.int64)


def pose_at(indices: tuple[int, int, int]) -> Pose:
    """The pose at a place of the grid."""
    return Pose(*(index / (steps - 1) for index, steps in zip(indices, GRID, strict=True)))


def _sway(times: np.ndarray, playing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    slow = np.sin(2 * np.pi * times / rng.uniform(2.5, 5) + rng.uniform(0, 6))
    slower = np.sin(2 * np.pi * times / rng.uniform(6, 11) + rng.uniform(0, 6))
    return (0.6 * slow + 0.4 * slower) * np.where(playing, 1, 0.3)


def _progress(notes: np.ndarray, times: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Share of the note begun last that has passed; 1 in a rest, 0 before the first."""
    note = notes[np.maximum(index, 0)]
    return np.where(index < 0, 0, np.clip((times - note[:, 0]) / note[:, 1], 0, 1))


def _height(instrument: Instrument, notes: np.ndarray, index: np.ndarray) -> np.ndarray:
    pitch = notes[np.maximum(index, 0), 2]
    return (pitch - instrument.low) / (instrument.high - instrument.low)


def _bow(instrument, notes, times, index, rng):
    """Strokes turn at onsets (some notes are slurred), longer notes take more of the bow."""
    length = np.clip(notes[:, 1] * rng.uniform(0.5, 0.9), 0.12, 0.85)
    ends, place, direction = [], rng.uniform(0.1, 0.3), 1
    for stroke in length:
        if rng.random() > 0.2 or not 0 <= place + direction * stroke <= 1:
            direction = -direction if 0 <= place - direction * stroke <= 1 else direction
        end = np.clip(place + direction * stroke, 0, 1)
        ends.append((place, end))
        direction = -1 if end == 1 else 1 if end == 0 else direction
        place = end
    begin, end = np.array(ends)[np.maximum(index, 0)].T
    main = begin + (end - begin) * _progress(notes, times, index)
    return main, _height(instrument, notes, index)


def _keys(instrument, notes, times, index, rng):
    """Each pitch has its fingering; the instrument rises with each onset."""
    pitch = notes[np.maximum(index, 0), 2].astype(np.int64)
    main = np.where(index < 0, 0, ((pitch * 5) % _PATTERNS + 0.5) / _PATTERNS)
    since = times - notes[np.maximum(index, 0), 0]
    second = np.where(index < 0, 0, 0.25 + 0.7 * np.exp(-since / 0.25))
    return main, second


def _slide(instrument, notes, times, index, rng):
    """Seven positions, a semitone each; the arm needs a moment to get there."""
    position = (-notes[:, 2].astype(np.int64) % 7) / 6
    now, before = position[np.maximum(index, 0)], position[np.maximum(index - 1, 0)]
    arrived = np.clip((times - notes[np.maximum(index, 0), 0]) / 0.1, 0, 1)
    since = times - notes[np.maximum(index, 0), 0]
    main = np.where(index < 0, 0, before + (now - before) * arrived)
    return main * 0.98, np.where(index < 0, 0, 0.25 + 0.7 * np.exp(-since / 0.25))


def _bellows(instrument, notes, times, index, rng):
    """Out and in, turning every few seconds; the right hand goes along the keys."""
    moved = times * rng.uniform(0.25, 0.5)
    main = 1 - abs(moved % 2 - 1)
    return np.where(index < 0, 0.2, main), _height(instrument, notes, index)


def _pluck(instrument, notes, times, index, rng):
    """The right hand swings with each onset, the left one goes along the neck."""
    since = times - notes[np.maximum(index, 0), 0]
    swing = np.exp(-since / 0.12) * np.where(index % 2 == 0, 1, -1)
    main = np.where(index < 0, 0.5, 0.5 + 0.5 * swing)
    return main, _height(instrument, notes, index)


def _mallets(instrument, notes, times, index, rng):
    """Two mallets over the bars: down on the onset, up before the next."""
    main = _height(instrument, notes, index)
    since = times - notes[np.maximum(index, 0), 0]
    upcoming = np.append(notes[:, 0], np.inf)[index + 1] - times
    lift = np.minimum(np.clip(since / 0.12, 0, 1), np.clip(upcoming / 0.12, 0, 1))
    return main, np.where(index < 0, 0.6, lift)


_MOTIONS = {
    "bow": _bow,
    "keys": _keys,
    "slide": _slide,
    "bellows": _bellows,
    "pluck": _pluck,
    "mallets": _mallets,
}

"""From lines of a score to a performance: time, range, dynamics, articulation, tuning.

Throughout, ``notes`` are float64 (n, 3): onset and duration in seconds, MIDI pitch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solos.synthesis.instruments import Instrument
from solos.synthesis.scores import Voice

CONTROL_RATE = 50
"""Hz of the curves of pitch and loudness."""


def excerpt(
    voices: Sequence[Voice], *, start: float, seconds: float, beat: float, longest_rest: float
) -> list[np.ndarray]:
    """What the voices of one score play from a place in it on, together.

    Args:
        start: in quarter notes.
        seconds: notes that begin later are left out.
        beat: seconds of a quarter note.
        longest_rest: seconds; rests common to all voices are cut down to it.

    Returns:
        notes of each voice; the first of all begins at 0.
    """
    lines = []
    for voice in voices:
        line = voice.notes[voice.notes[:, 0] >= start - 1e-6].copy()
        line[:, 0] -= start
        line[:, :2] *= beat
        lines.append(line)
    lines = close_rests(lines, longest_rest)
    return [line[line[:, 0] < seconds] for line in lines]


def close_rests(lines: Sequence[np.ndarray], longest: float) -> list[np.ndarray]:
    """Cut rests that all ``lines`` share to ``longest`` seconds; the first note begins at 0."""
    notes = np.concatenate(lines)
    if not len(notes):
        return list(lines)
    notes = notes[np.argsort(notes[:, 0], kind="stable")]
    ends = np.maximum.accumulate(notes[:, 0] + notes[:, 1])
    rests = notes[1:, 0] - ends[:-1]
    cuts = notes[0, 0] + np.cumsum(np.append(0.0, np.maximum(rests - longest, 0.0)))
    closed = []
    for line in lines:
        moved = line.copy()
        last_before = np.searchsorted(notes[:, 0], line[:, 0] + 1e-9) - 1
        moved[:, 0] -= cuts[last_before]
        closed.append(moved)
    return closed


def fit_range(pitches: np.ndarray, instrument: Instrument, shift: int = 0) -> np.ndarray:
    """Transpose by ``shift`` semitones and the octaves that suit the range best.

    Single notes that remain outside are moved by octaves on their own.
    """
    pitches = pitches + shift
    centre = (instrument.low + instrument.high) / 2
    octaves = 12 * np.arange(-5, 6)
    moved = pitches[None] + octaves[:, None]  # (11, n)
    outside = ((moved < instrument.low) | (moved > instrument.high)).mean(axis=1)
    best = moved[np.lexsort((abs(moved.mean(axis=1) - centre), outside.round(3)))[0]]
    best = best + 12 * np.ceil(np.maximum(instrument.low - best, 0) / 12)
    return best - 12 * np.ceil(np.maximum(best - instrument.high, 0) / 12)


@dataclass(frozen=True)
class Style:
    """How a player plays.

    Attributes:
        legato: sounding share of a note.
        unsteadiness: standard deviation of onsets in seconds.
        loudness: mean MIDI velocity; contrast: what is added and taken by the phrasing.
        vibrato: factor on the instrument's own; vibrato_rate in Hz.
        tuning: cents off equal temperament at 440 Hz; drift: slow deviation in cents.
    """

    legato: float
    unsteadiness: float
    loudness: float
    contrast: float
    vibrato: float
    vibrato_rate: float
    tuning: float
    drift: float


def random_style(rng: np.random.Generator, tuning: float) -> Style:
    """A player's habits; ``tuning`` in cents is given, since an ensemble shares it."""
    return Style(
        legato=rng.uniform(0.78, 1.0),
        unsteadiness=rng.uniform(0.002, 0.014),
        loudness=rng.uniform(72, 104),
        contrast=rng.uniform(6, 22),
        vibrato=rng.uniform(0.3, 1.5),
        vibrato_rate=rng.uniform(4.4, 6.4),
        tuning=tuning,
        drift=rng.uniform(0, 5),
    )


@dataclass(frozen=True)
class Performance:
    """What a synthesiser needs.

    Attributes:
        program: General MIDI program.
        notes: (n, 4): onset, duration in seconds, MIDI pitch, velocity; integers in the last two.
        cents: deviation of pitch at CONTROL_RATE.
        swell: MIDI expression (0 to 127) at CONTROL_RATE, None where notes only decay.
        seconds: length of the whole, with the silence after.
    """

    program: int
    notes: np.ndarray
    cents: np.ndarray
    swell: np.ndarray | None
    seconds: float


def perform(
    instrument: Instrument,
    lines: Sequence[np.ndarray],
    style: Style,
    seconds: float,
    rng: np.random.Generator,
) -> Performance:
    """Play ``lines`` (notes in the instrument's range, at their place in the recording)."""
    times = np.arange(round(seconds * CONTROL_RATE)) / CONTROL_RATE
    phrasing = _slow_curve(times, rng, (6.0, 16.0)) + 0.5 * _slow_curve(times, rng, (2.0, 5.0))
    notes = np.concatenate([_articulate(line, style, rng) for line in lines])
    velocity = _velocities(notes, style, np.interp(notes[:, 0], times, phrasing), rng)
    notes = np.column_stack([notes, velocity])[np.argsort(notes[:, 0], kind="stable")]
    cents = style.tuning + style.drift * _slow_curve(times, rng, (4.0, 12.0))
    cents += _bends(instrument, notes, style, times)
    swell = _swell(notes, times, rng) if instrument.sustained else None
    return Performance(instrument.program, notes, cents, swell, seconds)


def _slow_curve(times: np.ndarray, rng: np.random.Generator, periods: tuple) -> np.ndarray:
    period, phase = rng.uniform(*periods), rng.uniform(0, 2 * np.pi)
    return np.sin(2 * np.pi * times / period + phase)


def _articulate(line: np.ndarray, style: Style, rng: np.random.Generator) -> np.ndarray:
    """Uneven onsets, notes a little shorter than written; a single line stays one."""
    played = line.copy()
    late = np.abs(rng.normal(0, style.unsteadiness, len(line)))
    played[:, 0] += np.minimum(late, 0.25 * line[:, 1])
    ends = line[:, 0] + line[:, 1] * style.legato
    played[:, 1] = np.maximum(ends - played[:, 0], 0.03)
    return played


def _velocities(
    notes: np.ndarray, style: Style, phrasing: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    accents = rng.normal(0, 4, len(notes)) + 4 * (rng.random(len(notes)) < 0.15)
    return np.clip(np.round(style.loudness + style.contrast * phrasing + accents), 40, 124)


def _bends(
    instrument: Instrument, notes: np.ndarray, style: Style, times: np.ndarray
) -> np.ndarray:
    """Vibrato that sets in after a while on longer notes, and slides into notes, in cents."""
    cents = np.zeros_like(times)
    depth = instrument.vibrato * style.vibrato
    previous = notes[0, 2]
    for onset, duration, pitch, _ in notes:
        inside = slice(*np.searchsorted(times, (onset, onset + duration)))
        since = times[inside] - onset
        if depth and duration > 0.22:
            ramp = np.clip((since - 0.12) / 0.3, 0, 1)
            cents[inside] += depth * ramp * np.sin(2 * np.pi * style.vibrato_rate * since)
        if instrument.glide and previous != pitch:
            step = 100 * np.clip(previous - pitch, -1.5, 1.5)
            cents[inside] += step * np.clip(1 - since / instrument.glide, 0, 1)
        previous = pitch
    return cents


def _swell(notes: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Long notes grow and fade, each its own way."""
    swell = np.full_like(times, 112.0)
    for onset, duration, _, _ in notes:
        if duration > 0.4:
            inside = slice(*np.searchsorted(times, (onset, onset + duration)))
            share = (times[inside] - onset) / duration
            arch = np.sin(np.pi * share ** rng.uniform(0.6, 1.8))
            depth = rng.uniform(0, 34)
            swell[inside] += depth * (arch - 1) + 14 * arch
    return np.clip(swell, 30, 127)

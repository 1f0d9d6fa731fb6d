"""A performance played with recorded notes instead of a synthesiser."""

import numpy as np
from numpy.typing import NDArray

from solos.notes.bank import Bank, Note
from solos.synthesis.performance import CONTROL_RATE, Performance
from solos.synthesis.sound import RATE

_RELEASE = 0.09  # seconds in which a note that is let go fades
_JOINED = 0.04  # seconds of rest that still count as legato
_FADE_IN, _FADE_LATE = 0.004, 0.035  # seconds; into a whole attack, and into a part of one
_SLUR_ATTACK = 0.03  # seconds of attack left of a note that is slurred to
_ATTACK = 0.3  # of a note's length, the longest that its attack may take
_LEVEL = 0.1  # RMS of a note of velocity 127
_SEMITONE, _VELOCITY, _TOO_SHORT, _TOO_LONG, _CHANCE = 30.0, 0.5, 40.0, 1.0, 8.0  # costs
_TOO_SLOW = 60.0  # cost of a second of attack beyond what may be left of it
_OVERLAP, _SHORTEST = 0.09, 0.02  # seconds of the longest and shortest joint of a note made longer


def play(bank: Bank, performance: Performance, rng: np.random.Generator) -> NDArray[np.float32]:
    """The dry sound: float32 (performance.seconds * RATE,).

    Each note is the bank's cheapest by how far it must be moved in pitch, by dynamic and by length,
    never the one just played if there is another. Tuning and vibrato are slow resampling.
    """
    sound = np.zeros(round(performance.seconds * RATE), np.float32)
    last, end, before = None, -np.inf, None
    for onset, duration, pitch, velocity in performance.notes.tolist():
        chosen = choose(bank.notes, pitch, velocity, duration, last, rng)
        slurred = onset - end < _JOINED and pitch != before
        wave = _sounding(bank, chosen, performance, (onset, duration, pitch), slurred, rng)
        wave *= _LEVEL * (velocity / 127) ** 2 / chosen.level
        first = round(onset * RATE)
        room = len(sound) - first
        sound[first : first + len(wave)] += wave[: max(0, room)]
        last, end, before = chosen, onset + duration, pitch
    if performance.swell is not None:
        times = np.arange(len(sound)) / RATE
        controls = np.arange(len(performance.swell)) / CONTROL_RATE
        sound *= np.interp(times, controls, (performance.swell / 112) ** 2).astype(np.float32)
    return sound


def choose(
    notes: list[Note],
    pitch: float,
    velocity: float,
    duration: float,
    last: Note | None,
    rng: np.random.Generator,
) -> Note:
    """The note of least cost, not ``last`` if there is a choice."""
    measures = [(n.pitch, n.velocity, n.sustain / n.rate, n.attack / n.rate) for n in notes]
    sound = np.array(measures)
    lack = duration - sound[:, 2]
    cost = _SEMITONE * abs(sound[:, 0] - pitch) + _VELOCITY * abs(sound[:, 1] - velocity)
    cost += _TOO_SHORT * np.maximum(lack, 0) + _TOO_LONG * np.maximum(-lack, 0)
    cost += _TOO_SLOW * np.maximum(sound[:, 3] - _ATTACK * duration, 0)
    cost += rng.exponential(_CHANCE, len(notes))
    if last is not None and len(notes) > 1:
        cost[notes.index(last)] = np.inf
    return notes[int(cost.argmin())]


def _sounding(
    bank: Bank,
    note: Note,
    performance: Performance,
    written: tuple[float, float, float],
    slurred: bool,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """A recorded note at the pitch and for the time that are played, let go at its end."""
    onset, duration, pitch = written
    length = round((duration + _RELEASE) * RATE)
    controls = np.arange(len(performance.cents)) / CONTROL_RATE
    times = onset + np.arange(0, length + RATE // 100, RATE // 100) / RATE
    semitones = pitch - note.pitch + np.interp(times, controls, performance.cents) / 100
    speed = 2 ** (semitones / 12) * note.rate / RATE  # recorded samples for one that is played
    kept = _SLUR_ATTACK if slurred else max(_SLUR_ATTACK, _ATTACK * duration)
    start = max(0.0, note.attack - kept * note.rate * 2 ** (semitones[0] / 12))
    coarse = start + np.concatenate([[0], np.cumsum(speed)])[:-1] * (RATE // 100)
    places = np.interp(np.arange(length), np.arange(len(coarse)) * (RATE // 100), coarse)
    wave = bank.wave(note)
    if places[round(duration * RATE) - 1] > note.sustain:
        wave = lengthen(wave, note, int(places[-1]) + 2, rng)
    played = np.interp(places, np.arange(len(wave)), wave, right=0.0).astype(np.float32)
    fade = round((_FADE_LATE if start else _FADE_IN) * RATE)
    played[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)[: len(played)]
    release = np.cos(np.linspace(0, np.pi / 2, length - round(duration * RATE))) ** 2
    played[len(played) - len(release) :] *= release.astype(np.float32)
    return played


def lengthen(
    wave: NDArray[np.float32], note: Note, needed: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A note whose full sound lasts ``needed`` samples: it goes on with places of its own.

    They are drawn anew each time, so nothing recurs, begin where the waveform fits best within a
    period, and are cross-faded. One too short to be joined to itself stays as it is, and dies away.
    """
    first = note.attack
    overlap = min(round(_OVERLAP * note.rate), (note.sustain - first) // 5)
    last = note.sustain - overlap // 2
    search = round(note.rate / (440 * 2 ** ((note.pitch - 69) / 12)))
    if overlap < _SHORTEST * note.rate or last - first < 2 * (overlap + search):
        return wave
    ramp = np.linspace(0, np.pi / 2, overlap)
    out, full = [wave[:last]], last
    while full < needed:
        tail = out[-1][-overlap:]
        start = int(rng.integers(first, first + max(1, (last - first) // 2 - search)))
        fits = np.correlate(wave[start : start + overlap + search], tail, mode="valid")
        start += int(fits.argmax())
        rest = wave[start:last]
        joint = tail * np.cos(ramp) ** 2 + rest[:overlap] * np.sin(ramp) ** 2
        out[-1] = out[-1][:-overlap]
        out.append(np.concatenate([joint, rest[overlap:]]).astype(np.float32))
        full += len(rest) - overlap
    return np.concatenate(out)

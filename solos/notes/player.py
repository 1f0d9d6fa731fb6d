"""A performance played with recorded notes instead of a synthesiser."""

import numpy as np
from numpy.typing import NDArray

from solos.notes.bank import Bank, Note
from solos.synthesis.performance import CONTROL_RATE, Performance
from solos.synthesis.sound import RATE

_RELEASE = 0.09  # seconds in which a note that is let go fades
_JOINED = 0.04  # seconds of rest that still count as legato
_FADE_IN, _SLUR_IN = 0.004, 0.035  # seconds; into a note that is attacked, and that is slurred to
_LEVEL = 0.1  # RMS of a note of velocity 127
_SEMITONE, _VELOCITY, _TOO_SHORT, _TOO_LONG, _CHANCE = 30.0, 0.5, 40.0, 1.0, 8.0  # costs
_OVERLAP, _SEARCH = 0.09, 0.012  # seconds of a joint in a note made longer, and of its alignment


def play(bank: Bank, performance: Performance, rng: np.random.Generator) -> NDArray[np.float32]:
    """The dry sound: float32 (performance.seconds * RATE,).

    Each note is the bank's cheapest by how far it must be moved in pitch, by dynamic and by length,
    never the one just played if there is another. Tuning and vibrato are slow resampling.
    """
    sound = np.zeros(round(performance.seconds * RATE), np.float32)
    last, end = None, -np.inf
    for onset, duration, pitch, velocity in performance.notes.tolist():
        chosen = choose(bank.notes, pitch, velocity, duration, last, rng)
        slurred = onset - end < _JOINED and chosen is not last
        wave = _sounding(bank, chosen, performance, (onset, duration, pitch), slurred, rng)
        wave *= _LEVEL * (velocity / 127) ** 2 / chosen.level
        first = round(onset * RATE)
        room = len(sound) - first
        sound[first : first + len(wave)] += wave[: max(0, room)]
        last, end = chosen, onset + duration
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
    sound = np.array([(n.pitch, n.velocity, n.sustain / n.rate) for n in notes])
    lack = duration - sound[:, 2]
    cost = _SEMITONE * abs(sound[:, 0] - pitch) + _VELOCITY * abs(sound[:, 1] - velocity)
    cost += _TOO_SHORT * np.maximum(lack, 0) + _TOO_LONG * np.maximum(-lack, 0)
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
    start = 0.6 * note.attack if slurred else 0.0
    coarse = start + np.concatenate([[0], np.cumsum(speed)])[:-1] * (RATE // 100)
    places = np.interp(np.arange(length), np.arange(len(coarse)) * (RATE // 100), coarse)
    wave = bank.wave(note)
    needed = int(places[round(duration * RATE) - 1]) + 1
    if needed > note.sustain:
        wave = lengthen(wave, note, needed, rng)
    played = np.interp(places, np.arange(len(wave)), wave, right=0.0).astype(np.float32)
    fade = round((_SLUR_IN if slurred else _FADE_IN) * RATE)
    played[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)[: len(played)]
    release = np.cos(np.linspace(0, np.pi / 2, length - round(duration * RATE))) ** 2
    played[len(played) - len(release) :] *= release.astype(np.float32)
    return played


def lengthen(
    wave: NDArray[np.float32], note: Note, needed: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A note whose full sound lasts ``needed`` samples: it goes on with places of its own.

    They are drawn anew each time, so nothing recurs, begin where the waveform fits best and are
    cross-faded. A note too short to be joined to itself stays as it is, and dies away.
    """
    overlap, search = round(_OVERLAP * note.rate), round(_SEARCH * note.rate)
    first, last = note.attack, note.sustain - overlap // 2
    if last - first < 2 * overlap + search:
        return wave
    ramp = np.linspace(0, np.pi / 2, overlap)
    out, full = [wave[:last]], last
    while full < needed + overlap:
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

"""The sound of a performance: a sampled synthesiser, then a microphone in a room."""

import io
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import midirenderer
import numpy as np
import pretty_midi
import soundfile
from scipy.signal import oaconvolve

from solos.synthesis.performance import CONTROL_RATE, Performance

RATE = 48000
"""Hz: the synthesiser's own rate, and URMP's."""
_BEND_RANGE = 200.0  # cents of a full pitch bend in General MIDI
_EXPRESSION = 11
_CONTROLS = ((7, 127), (91, 0), (93, 0))  # full volume; no reverberation, no chorus


@lru_cache(maxsize=1)
def _soundfont() -> bytes:
    return (Path(pretty_midi.__file__).parent / "TimGM6mb.sf2").read_bytes()


def render(performance: Performance) -> np.ndarray:
    """The dry sound.

    Returns:
        float32 (performance.seconds * RATE,).
    """
    wav = midirenderer.render_wave_from(_soundfont(), _midi(performance))
    wave, rate = soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)
    if rate != RATE:
        raise RuntimeError(f"the synthesiser gives {rate} Hz, not {RATE}")
    length = round(performance.seconds * RATE)
    mono = wave.mean(axis=1)[:length]
    return np.pad(mono, (0, length - len(mono)))


def _midi(performance: Performance) -> bytes:
    """A standard MIDI file of one track, a tick a millisecond."""
    events = [(0, bytes([0xC0, performance.program]))]
    events += [(0, bytes([0xB0, *control])) for control in _CONTROLS]
    if performance.swell is not None:
        swell = _changes(np.round(performance.swell))
        events += [(tick, bytes([0xB0, _EXPRESSION, value])) for tick, value in swell]
    bends = np.clip(np.round((performance.cents / _BEND_RANGE + 1) * 8192), 0, 16383)
    events += [(tick, bytes([0xE0, v & 127, v >> 7])) for tick, v in _changes(bends)]
    for onset, duration, pitch, velocity in performance.notes.tolist():
        events.append((round(1000 * onset), bytes([0x90, int(pitch), int(velocity)])))
        events.append((round(1000 * (onset + duration)), bytes([0x80, int(pitch), 0])))
    events.sort()  # at one tick, note-offs (0x80) come before note-ons (0x90)
    return _midi_file(events)


def _midi_file(events: list[tuple[int, bytes]]) -> bytes:
    track, now = bytearray(b"\x00\xff\x51\x03\x0f\x42\x40"), 0  # a quarter note a second
    for tick, message in events:
        track += _variable_length(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 1000)
    return header + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)


def _variable_length(number: int) -> bytes:
    """A whole number in groups of 7 bits, all but the last marked."""
    groups = [number & 127]
    while number := number >> 7:
        groups.append(number & 127 | 128)
    return bytes(groups[::-1])


def _changes(curve: np.ndarray) -> list[tuple[int, int]]:
    """(millisecond, value) wherever a curve of whole numbers changes."""
    places = np.flatnonzero(np.diff(curve, prepend=np.nan) != 0)
    return [(int(place) * 1000 // CONTROL_RATE, int(curve[place])) for place in places]


@dataclass(frozen=True)
class Room:
    """Where and how a sound is recorded.

    Attributes:
        rt60: seconds in which the reverberation falls by 60 dB.
        wet: energy of the reverberation relative to the direct sound, dB.
        colour: gains of the microphone in dB at COLOUR_AT.
    """

    rt60: float
    wet: float
    colour: tuple[float, ...]


COLOUR_AT = (50.0, 160.0, 500.0, 1600.0, 5000.0, 16000.0)
"""Hz."""


def random_room(rng: np.random.Generator, *, colour: float) -> Room:
    """A living room to a church; ``colour``: standard deviation of the microphone's gains, dB."""
    gains = tuple(rng.normal(0, colour, len(COLOUR_AT)).tolist())
    return Room(rng.uniform(0.15, 1.3), rng.uniform(-20, -4), gains)


def response(
    room: Room, rng: np.random.Generator, formant: tuple[float, float] | None, channels: int
) -> np.ndarray:
    """Impulse response from a place in the room: direct sound, then decaying noise.

    Args:
        formant: centre (Hz) and gain (dB) of a resonance to add.

    Returns:
        float64 (taps, channels).
    """
    times = np.arange(round(room.rt60 * RATE)) / RATE
    noise = rng.normal(size=(len(times), channels)) * 10 ** (-3 * times / room.rt60)[:, None]
    noise[: round(rng.uniform(0.003, 0.02) * RATE)] = 0  # before the first reflections
    noise = 0.5 * (noise + np.roll(noise, 1, axis=0))  # walls swallow the highest frequencies
    noise *= np.sqrt(10 ** (room.wet / 10) / (noise**2).sum(axis=0))
    noise[0] = 1
    return _colour(noise, room.colour, formant)


def _colour(taps: np.ndarray, gains: tuple, formant: tuple[float, float] | None) -> np.ndarray:
    """Filter an impulse response by a smooth curve of gains (with 5 ms of delay, linear phase)."""
    delay = 240
    n_fft = 1 << (len(taps) + 2 * delay - 1).bit_length()
    octaves = np.log2(np.maximum(np.fft.rfftfreq(n_fft, 1 / RATE), 10))
    curve = np.interp(octaves, np.log2(COLOUR_AT), gains)
    if formant:
        centre, gain = formant
        curve += gain * np.exp(-0.5 * ((octaves - np.log2(centre)) / 0.45) ** 2)
    spectrum = np.fft.rfft(taps, n_fft, axis=0) * 10 ** (curve / 20)[:, None]
    filtered = np.fft.irfft(spectrum, n_fft, axis=0)
    return np.roll(filtered, delay, axis=0)[: len(taps) + 2 * delay]


def record(dry: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """A dry sound (n,) through an impulse response (taps, channels): float32 (n, channels)."""
    wet = oaconvolve(dry[None], taps.T.astype(np.float32), axes=1)[:, : len(dry)]
    return np.ascontiguousarray(wet.T)

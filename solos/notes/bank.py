"""A bank of recorded notes: trimmed, measured, divided into those of training and of validation.

On disk an instrument is two files: ``<Instrument>.npy``, all its notes' samples one after another
(int16, each note at full scale), which is read as a memory map, and ``<Instrument>.csv``, a line
for each file found, usable or not.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from solos.errors import UserError
from solos.media.errors import MediaError
from solos.notes.names import parse
from solos.preparation.splits import spread
from solos.storage.files import intact
from solos.storage.tables import read_table, write_table
from solos.synthesis.instruments import Instrument

COLUMNS = (
    *("file", "status", "reason", "split", "pitch", "velocity", "rate"),
    *("first", "samples", "attack", "sustain", "level"),
)
SILENCE = 1e-3
"""A file whose samples all lie below this is silent."""
_SHORTEST, _LONGEST = 0.06, 60.0  # seconds of a note
_WINDOW = 0.01  # seconds of the envelope's steps
_BEGIN, _END = 10 ** (-32 / 20), 10 ** (-46 / 20)  # of the envelope's peak: where a note is heard
_LOWEST_RATE = 4000  # Hz
_RUMBLE = 25.0  # Hz: what is below is no note's
_FULL = 32000
_FARTHEST = 7  # semitones that a note is moved without a remark


@dataclass(frozen=True)
class Note:
    """A recorded note: where it lies in its instrument's samples, and how it sounds.

    Attributes:
        pitch: MIDI note; velocity: MIDI velocity of its dynamic.
        rate: Hz.
        first, samples: its place.
        attack: samples until it has its full sound; sustain: until that ends.
        level: RMS of its full sound, full scale being 1.
    """

    pitch: int
    velocity: int
    rate: int
    first: int
    samples: int
    attack: int
    sustain: int
    level: float


def build(files: Sequence[Path], instrument: str, folder: Path, val_fraction: float) -> dict:
    """Write an instrument's part of the bank into ``folder``.

    Args:
        files: named as notes of this instrument, or not as notes at all.
        val_fraction: share of the usable notes that is for validation, spread over the range.

    Returns:
        ``usable``: how many notes; ``lowest`` and ``highest`` of their pitches (MIDI notes).
    """
    lines, waves, place = [], [], 0
    for path in files:
        line = {"file": path.name, "status": "ok", "reason": ""}
        try:
            wave, about = _read(path)
        except MediaError as error:
            lines.append(line | {"status": error.status, "reason": str(error)})
            continue
        name = parse(path.name)
        at = {"pitch": name.pitch, "velocity": name.velocity, "first": place}
        lines.append(line | at | about)
        waves.append(wave)
        place += len(wave)
    usable = [line for line in lines if line["status"] == "ok"]
    _divide(usable, val_fraction)
    write_table(folder / f"{instrument}.csv", COLUMNS, lines)
    np.save(folder / f"{instrument}.npy", np.concatenate(waves or [np.zeros(0, np.int16)]))
    pitches = [line["pitch"] for line in usable]
    reach = {"lowest": min(pitches, default=""), "highest": max(pitches, default="")}
    return {"usable": len(usable), **reach}


def _divide(lines: Sequence[dict], val_fraction: float) -> None:
    """Both splits have all pitches and dynamics, as evenly as may be."""
    ordered = sorted(lines, key=lambda line: (line["pitch"], line["velocity"], line["file"]))
    for line, part in zip(ordered, spread(len(ordered), val_fraction), strict=True):
        line["split"] = part


def _read(path: Path) -> tuple[NDArray[np.int16], dict]:
    """A trimmed note at full scale, and its measures.

    Raises:
        MediaError: undecodable, silent, or of no length that a note has.
        OSError: the file can't be read: that says nothing about the note.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        wave, rate = soundfile.read(content, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, EOFError) as error:
        raise MediaError("undecodable", f"no sound can be decoded ({error})") from None
    wave = wave.mean(axis=1)
    if not len(wave) or not np.isfinite(wave).all():
        raise MediaError("undecodable", "no sound can be decoded")
    if rate < _LOWEST_RATE:
        raise MediaError("undecodable", f"{rate} Hz: no recording's rate")
    if len(wave) > _LONGEST * rate:
        raise MediaError("too_long", f"{len(wave) / rate:.0f} s: more than a note")
    peak = float(np.abs(wave).max())
    if peak < SILENCE:
        raise MediaError("silent", f"no sample reaches {SILENCE:g}")
    wave = sosfilt(butter(2, _RUMBLE, "highpass", fs=rate, output="sos"), wave / peak)
    wave, about = _trim(wave / np.abs(wave).max(), rate)
    if len(wave) < _SHORTEST * rate:
        raise MediaError("too_short", f"{1000 * len(wave) / rate:.0f} ms are heard of it")
    return np.round(_FULL * wave).astype(np.int16), {"rate": rate} | about


def _trim(wave: NDArray, rate: int) -> tuple[NDArray, dict]:
    """Cut off what is not heard; where the attack and the full sound end (samples), its level."""
    hop = round(_WINDOW * rate)
    envelope = np.sqrt((_padded(wave, hop).reshape(-1, hop) ** 2).mean(axis=1))
    level = float(np.quantile(envelope[envelope > _BEGIN * envelope.max()], 0.7))
    sounding = int(np.flatnonzero(envelope > 0.5 * level)[0])
    before = np.flatnonzero(envelope[:sounding] < _BEGIN * envelope.max())
    start = int(before[-1]) if len(before) else 0  # clicks of keys before the tone are left out
    stop = int(np.flatnonzero(envelope > _END * envelope.max())[-1]) + 1
    envelope = envelope[start:stop]
    attack = int(np.flatnonzero(envelope > 0.7 * level)[0]) + 1
    smooth = np.convolve(envelope, np.ones(5) / 5, mode="same")
    sustain = int(np.flatnonzero(smooth > 0.35 * min(level, smooth.max()))[-1]) + 1
    wave = wave[start * hop : stop * hop].copy()
    edge = min(hop // 2, len(wave) // 2)
    wave[:edge] *= np.linspace(0, 1, edge)
    wave[len(wave) - edge :] *= np.linspace(1, 0, edge)
    places = {"attack": attack * hop, "sustain": min(max(sustain, attack + 1) * hop, len(wave))}
    return wave, {"samples": len(wave), **places, "level": round(level, 5)}


def _padded(wave: NDArray, multiple: int) -> NDArray:
    return np.pad(wave, (0, -len(wave) % multiple))


def short_of(instrument: Instrument, reach: Mapping) -> str:
    """What of an instrument's range is far from its recorded notes, in a sentence; or nothing."""
    below, above = int(reach["lowest"]) - instrument.low, instrument.high - int(reach["highest"])
    if max(below, above) <= _FARTHEST:
        return ""
    return (
        f"{instrument.name} plays MIDI notes {instrument.low} to {instrument.high}, recorded are "
        f"{reach['lowest']} to {reach['highest']}: the rest is moved far in pitch"
    )


class Bank:
    """An instrument's notes of one split.

    Args:
        folder: with the files that :func:`build` wrote.
        split: ``train`` or ``val``.

    Raises:
        UserError: there are none.
    """

    def __init__(self, folder: Path, instrument: str, split: str):
        table = folder / f"{instrument}.csv"
        whole = ("pitch", "velocity", "rate", "first", "samples", "attack", "sustain")
        with intact(table, "notes"):
            lines = [line for line in read_table(table, "notes") if line["split"] == split]
            self.notes = [
                Note(**{key: int(line[key]) for key in whole}, level=float(line["level"]))
                for line in lines
            ]
        if not lines:
            raise UserError(f"{table}: no usable notes in the {split} split")
        with intact(folder / f"{instrument}.npy", "notes"):
            self.samples = np.load(folder / f"{instrument}.npy", mmap_mode="r")

    def wave(self, note: Note) -> NDArray[np.float32]:
        """A note's samples, full scale being 1."""
        part = self.samples[note.first : note.first + note.samples]
        return np.asarray(part, np.float32) / np.float32(_FULL)


read_bank = lru_cache(maxsize=2)(Bank)
"""A bank, kept for the next recording of the same instrument."""

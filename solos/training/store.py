"""Stored spectrograms and pictures of a training set, read a crop at a time."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from solos import HOP_LENGTH, SAMPLE_RATE, SEGMENT, SEGMENT_FRAMES
from solos.errors import UserError
from solos.models.inputs import frame_indices, load_pictures
from solos.signal.fourier import CONSTANT, stft
from solos.storage.files import intact
from solos.storage.frames import read_frame

_COLUMNS = ("id", "instrument", "split", "status", "spans")
_NAMES = {"id": str, "ensemble": str}
_ATTEMPTS = 50  # draws before a data set is called silent


_SILENT = 1e-4  # range of samples below which a crop holds nothing to separate


@dataclass(frozen=True)
class Stored:
    """A recording with a spectrogram: where it may be cropped."""

    id: str
    instrument: str
    spans: tuple[tuple[int, int], ...]
    """[first, last) STFT frames; each holds at least one segment."""
    ensemble: str = ""
    """Common to recordings that were played together."""


@dataclass(frozen=True)
class Crop:
    """A segment of a recording, and what is done to its samples."""

    recording: Stored
    start: int
    """STFT frame; its samples begin at 256 times that."""
    gain: float = 1.0
    offset: float = 0.0
    """Added to each sample after the gain."""
    clip: bool = False
    """Whether samples are clipped to ±1 after that."""


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    return tuple((first, last) for first, last in json.loads(text))


class SpectrogramStore:
    """One split of a training set's stored spectrograms and frames.

    Args:
        spectrograms: folder of the ``spectrograms`` stage.
        extracted: folder of the ``extract`` stage, for the pictures.
        split: ``train`` or ``val``.

    Raises:
        UserError: the split has fewer than two recordings.
    """

    def __init__(self, spectrograms: Path, extracted: Path, split: str):
        self.spectrograms = spectrograms
        self.extracted = extracted
        path = spectrograms / "recordings.csv"
        table = read_frame(path, "spectrograms", _COLUMNS, dtype=_NAMES, keep_default_na=False)
        table = table[(table["status"] == "ok") & (table["split"] == split)]
        with intact(path, "spectrograms"):
            self.recordings = [
                Stored(row.id, row.instrument, _spans(row.spans), getattr(row, "ensemble", ""))
                for row in table.itertuples()
            ]
        if len(self.recordings) < 2:
            raise UserError(
                f"{path}: {len(self.recordings)} usable recording(s) in "
                f"the {split} split, at least 2 needed: see the table's status and reason columns"
            )

    def read(self, crop: Crop) -> Tensor:
        """STFT of a crop: (256, 512, 2), real and imaginary parts.

        Gain and offset are applied to the stored one, as the STFT is linear. Clipping is not:
        samples that are to be clipped are read, and transformed anew.
        """
        if crop.clip:
            wave = self.wave(crop.recording, crop.start) * crop.gain + crop.offset
            spec = stft(torch.from_numpy(wave.clip(-1, 1)))
            return torch.view_as_real(spec.T.contiguous())
        path = self.spectrograms / f"{crop.recording.id}.npy"
        with intact(path, "spectrograms"):
            stored = np.load(path, mmap_mode="r")
        part = np.array(stored[crop.start : crop.start + SEGMENT_FRAMES])
        spec = torch.from_numpy(part).float() * crop.gain
        spec[:, : len(CONSTANT), 0] += crop.offset * torch.tensor(CONSTANT)
        return spec

    def wave(self, recording: Stored, start: int) -> NDArray[np.float32]:
        """Samples of a crop, (65535,); up to 255 fewer at the very end of a recording.

        Raises:
            UserError: the WAV is not there, or shorter than its spectrogram.
        """
        path = self.extracted / f"{recording.id}.wav"
        try:
            wave, _ = soundfile.read(path, SEGMENT, start * HOP_LENGTH, dtype="float32")
        except (soundfile.LibsndfileError, ValueError) as error:
            raise UserError(
                f"{path} can't be read ({error}): run the stage extract again"
            ) from None
        if len(wave) < (SEGMENT_FRAMES - 1) * HOP_LENGTH:
            raise UserError(f"{path} is shorter than its spectrogram: run spectrograms again")
        return wave

    def frames(self, crop: Crop, count: int, stride: int) -> Tensor:
        """Pictures around a crop's middle: (count, 3, H, W) uint8."""
        middle = (crop.start + SEGMENT_FRAMES / 2) * HOP_LENGTH / SAMPLE_RATE
        indices = frame_indices(middle, count, stride)
        return load_pictures(self.extracted / f"{crop.recording.id}.zip", indices)

    def place(self, recording: Stored, rng: np.random.Generator) -> tuple[int, tuple[float, float]]:
        """Start (STFT frame) of a random crop inside the spans, its lowest and highest sample.

        A constant one, which holds nothing to separate, is drawn again.
        """
        rooms = np.array([last - first - SEGMENT_FRAMES + 1 for first, last in recording.spans])
        for _ in range(_ATTEMPTS):
            room = int(rng.integers(rooms.sum()))
            span = int(np.searchsorted(rooms.cumsum(), room, side="right"))
            start = recording.spans[span][0] + room - int(rooms[:span].sum())
            wave = self.wave(recording, start)
            low, high = float(wave.min()), float(wave.max())
            if high - low > _SILENT:
                return start, (low, high)
        raise UserError(
            f"{self.extracted / recording.id}.wav: {_ATTEMPTS} random crops inside its spans were "
            "all silent: correct its spans in the index or leave the recording out"
        )

"""Stored spectrograms and pictures of a training set, read a crop at a time."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from solos import HOP_LENGTH, SAMPLE_RATE, SEGMENT_FRAMES
from solos.errors import UserError
from solos.models.inputs import frame_indices, load_pictures

_ATTEMPTS = 50  # draws before a data set is called silent


_SILENT = 1e-4  # peak below which a crop holds nothing to separate


@dataclass(frozen=True)
class Stored:
    """A recording with a spectrogram: where it may be cropped."""

    id: str
    instrument: str
    spans: tuple[tuple[int, int], ...]
    """[first, last) STFT frames; each holds at least one segment."""


@dataclass(frozen=True)
class Crop:
    """A segment of a recording, and the gain it is mixed with."""

    recording: Stored
    start: int
    """STFT frame."""
    gain: float


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
        table = pd.read_csv(spectrograms / "recordings.csv", dtype={"id": str})
        table = table[(table["status"] == "ok") & (table["split"] == split)]
        self.recordings = [
            Stored(row.id, row.instrument, tuple(tuple(span) for span in json.loads(row.spans)))
            for row in table.itertuples()
        ]
        if len(self.recordings) < 2:
            raise UserError(
                f"{spectrograms / 'recordings.csv'}: {len(self.recordings)} usable recording(s) in "
                f"the {split} split, at least 2 needed: see the table's status and reason columns"
            )

    def read(self, crop: Crop) -> Tensor:
        """STFT of a crop, times its gain, as stored: (256, 512, 2), real and imaginary parts."""
        stored = np.load(self.spectrograms / f"{crop.recording.id}.npy", mmap_mode="r")
        part = np.array(stored[crop.start : crop.start + SEGMENT_FRAMES])
        return torch.from_numpy(part).float() * crop.gain

    def peak(self, recording: Stored, start: int) -> float:
        """Largest |sample| of a crop."""
        peaks = np.load(self.spectrograms / f"{recording.id}.peak.npy", mmap_mode="r")
        return float(peaks[start : start + SEGMENT_FRAMES].max())

    def frames(self, crop: Crop, count: int, stride: int) -> Tensor:
        """Pictures around a crop's middle: (count, 3, H, W) uint8."""
        middle = (crop.start + SEGMENT_FRAMES / 2) * HOP_LENGTH / SAMPLE_RATE
        indices = frame_indices(middle, count, stride)
        return load_pictures(self.extracted / f"{crop.recording.id}.zip", indices)

    def place(self, recording: Stored, rng: np.random.Generator) -> tuple[int, float]:
        """Start (STFT frame) of a random crop inside the spans that is not silent, and its peak."""
        rooms = np.array([last - first - SEGMENT_FRAMES + 1 for first, last in recording.spans])
        for _ in range(_ATTEMPTS):
            room = int(rng.integers(rooms.sum()))
            span = int(np.searchsorted(rooms.cumsum(), room, side="right"))
            start = recording.spans[span][0] + room - int(rooms[:span].sum())
            peak = self.peak(recording, start)
            if peak > _SILENT:
                return start, peak
        raise UserError(
            f"{self.spectrograms / recording.id}.npy: {_ATTEMPTS} random crops inside its spans "
            f"were all silent: correct its spans in the index or leave the recording out"
        )

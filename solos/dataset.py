"""Artificial mixtures for training, made from stored spectrograms.

The STFT is linear, so a mixture's STFT is the sum of its sources': a sample is slices of
memory-mapped files, summed; no audio is decoded and no transform computed. What a sample holds is a
function of (seed, epoch, index) alone, whatever the number of workers or the order of reading.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as transforms

from solos import FRAME_RATE, HOP_LENGTH, INSTRUMENTS, SAMPLE_RATE, SEGMENT_FRAMES
from solos.errors import UserError
from solos.masks import MAX_MAGNITUDE, binary_masks, ratio_masks
from solos.media import read_frames
from solos.recipes import MhuRecipe, SopRecipe
from solos.stft import log_warp

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_RESIZE = 1.1  # short side of a training picture before its random crop, over the crop's side
_TRAIN, _VAL, _ORDER = 0, 1, 2  # streams of random numbers
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


def frame_indices(middle: float, count: int, stride: int) -> list[int]:
    """Indices of ``count`` pictures, ``stride`` apart, around ``middle`` (seconds)."""
    centre = round(middle * FRAME_RATE)
    return [max(0, centre + (i - count // 2) * stride) for i in range(count)]


def load_pictures(path: Path, indices: Sequence[int]) -> Tensor:
    """Pictures of a recording or player: (len(indices), 3, H, W) uint8."""
    return torch.from_numpy(read_frames(path, indices)).permute(0, 3, 1, 2)


def evaluation_frames(pictures: Tensor, size: int) -> Tensor:
    """Resize, centre crop and normalise: (T, 3, H, W) uint8 -> (3, T, size, size)."""
    pictures = transforms.resize(pictures, [size], antialias=True)
    return _normalise(transforms.center_crop(pictures, [size, size]))


def whole_frames(pictures: Tensor, size: int) -> Tensor:
    """Resize the shorter side and normalise: (T, 3, H, W) uint8 -> (3, T, H', W')."""
    return _normalise(transforms.resize(pictures, [size], antialias=True))


def training_frames(pictures: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Resize, random crop and flip, the same for all T, and normalise, as published."""
    pictures = transforms.resize(pictures, [round(size * _RESIZE)], antialias=True)
    height, width = pictures.shape[-2:]
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    pictures = transforms.crop(pictures, top, left, size, size)
    if rng.random() < 0.5:
        pictures = transforms.horizontal_flip(pictures)
    return _normalise(pictures)


def _normalise(pictures: Tensor) -> Tensor:
    scaled = transforms.to_dtype(pictures, torch.float32, scale=True)
    return transforms.normalize(scaled, IMAGENET_MEAN, IMAGENET_STD).transpose(0, 1)


def mix_sources(sources: Tensor) -> tuple[Tensor, Tensor]:
    """Mixture and source magnitudes as networks see them.

    Shape: (n_src, T, 512, 2), real and imaginary parts -> (1, 256, T), (n_src, 256, T), log-spaced
    bins. The mixture is clamped to 511, the most that a waveform in [-1, 1] can hold, so that an
    artificial mixture can't show itself by exceeding what a real one could have.
    """
    mixture = sources.sum(dim=0, keepdim=True)
    real, imaginary = torch.cat([mixture, sources]).unbind(dim=-1)
    mags = (real.square() + imaginary.square()).sqrt_()  # (1 + n_src, T, 512)
    mags[0].clamp_(max=MAX_MAGNITUDE)
    warped = log_warp(mags.mT)
    return warped[:1], warped[1:]


class SopMixes(Dataset):
    """Mixes of any recordings with their pictures, for Sound of Pixels.

    Args:
        store: recordings of one split.
        epoch: of training; None for the fixed validation mixes, which have no gain, crop or flip.

    Items: ``mix_mag`` (1, 256, 256), ``masks`` (n_src, 256, 256) binary, ``frames``
    (n_src, 3, T, H, W).
    """

    def __init__(self, store: SpectrogramStore, recipe: SopRecipe, seed: int, epoch: int | None):
        self.store, self.recipe, self.seed, self.epoch = store, recipe, seed, epoch
        n = len(store.recordings)
        if n < recipe.n_src:
            raise UserError(
                f"{store.spectrograms}: {n} recordings, mixes of {recipe.n_src} wanted: see "
                "recordings.csv, or lower train.sop.n_src"
            )
        self.length = recipe.val_mixes if epoch is None else n * recipe.mixes_per_recording
        self.order = np.arange(self.length) % n
        if epoch is not None:
            np.random.default_rng([seed, _ORDER, epoch]).shuffle(self.order)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = _generator(self.seed, self.epoch, index)
        crops = self._draw(rng, index)
        sources = torch.stack([self.store.read(crop) for crop in crops]) / len(crops)
        mix_mag, mags = mix_sources(sources)
        frames = torch.stack([self._frames(crop, rng) for crop in crops])
        return {"mix_mag": mix_mag, "masks": binary_masks(mags), "frames": frames}

    def _draw(self, rng: np.random.Generator, index: int) -> list[Crop]:
        first = self.order[index]
        others = np.delete(np.arange(len(self.store.recordings)), first)
        chosen = [first, *rng.choice(others, self.recipe.n_src - 1, replace=False)]
        return [self._crop(self.store.recordings[i], rng) for i in chosen]

    def _crop(self, recording: Stored, rng: np.random.Generator) -> Crop:
        start, _ = self.store.place(recording, rng)
        gain = 1.0 if self.epoch is None else float(rng.uniform(*self.recipe.gain))
        return Crop(recording, start, gain)

    def _frames(self, crop: Crop, rng: np.random.Generator) -> Tensor:
        pictures = self.store.frames(crop, self.recipe.frames, self.recipe.frame_stride)
        if self.epoch is None:
            return evaluation_frames(pictures, self.recipe.image_size)
        return training_frames(pictures, self.recipe.image_size, rng)


class MhuMixes(Dataset):
    """Mixes of different instruments, uniformly chosen, for the Multi-Head U-Net.

    Args:
        max_src: largest number of sources; a mix has 2 to that many, uniformly.
        epoch: of training; None for the fixed validation mixes.

    Items: ``mix_mag`` (1, 256, 256), ``masks`` (13, 256, 256) ratio masks, zero for absent ones.
    """

    def __init__(
        self,
        store: SpectrogramStore,
        recipe: MhuRecipe,
        seed: int,
        epoch: int | None,
        max_src: int,
    ):
        self.store, self.seed, self.epoch = store, seed, epoch
        self.min_src, self.max_src = recipe.curriculum.start, max_src
        self.length = recipe.val_mixes if epoch is None else recipe.train_mixes
        unknown = {r.instrument for r in store.recordings} - set(INSTRUMENTS)
        if unknown:
            raise UserError(
                f"{store.spectrograms / 'recordings.csv'}: {', '.join(sorted(unknown))}: none of "
                f"the network's instruments ({', '.join(INSTRUMENTS)})"
            )
        self.by_instrument = _group(store.recordings)
        if len(self.by_instrument) < max_src:
            raise UserError(
                f"{store.spectrograms}: recordings of {len(self.by_instrument)} instruments, mixes "
                f"of {max_src} wanted: see recordings.csv, or lower train.mhunet.curriculum.stop"
            )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = _generator(self.seed, self.epoch, index)
        crops = self._draw(rng)
        sources = torch.stack([self.store.read(crop) for crop in crops]) / len(crops)
        mix_mag, mags = mix_sources(sources)
        masks = torch.zeros(len(INSTRUMENTS), *mags.shape[1:])
        masks[[INSTRUMENTS.index(crop.recording.instrument) for crop in crops]] = ratio_masks(mags)
        return {"mix_mag": mix_mag, "masks": masks}

    def _draw(self, rng: np.random.Generator) -> list[Crop]:
        n_src = int(rng.integers(self.min_src, self.max_src + 1))
        chosen = rng.choice(len(self.by_instrument), n_src, replace=False)
        return [self._crop(self.by_instrument[i], rng) for i in chosen]

    def _crop(self, recordings: Sequence[Stored], rng: np.random.Generator) -> Crop:
        recording = recordings[rng.integers(len(recordings))]
        start, peak = self.store.place(recording, rng)
        return Crop(recording, start, 1 / peak)  # each source spans [-1, 1]


def _group(recordings: Sequence[Stored]) -> list[list[Stored]]:
    groups = [[r for r in recordings if r.instrument == name] for name in INSTRUMENTS]
    return [group for group in groups if group]


def _generator(seed: int, epoch: int | None, index: int) -> np.random.Generator:
    stream = [_VAL, 0] if epoch is None else [_TRAIN, epoch]
    return np.random.default_rng([seed, *stream, index])

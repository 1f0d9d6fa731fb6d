"""Artificial mixtures for training, made from stored spectrograms.

The STFT is linear, so a mixture's STFT is the sum of its sources': a sample is slices of
memory-mapped files, scaled and summed; nothing is transformed but what a gain drives into clipping.
What a sample holds is a function of (seed, epoch, index) alone, whatever the number of workers or
the order of reading.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from solos import INSTRUMENTS
from solos.config.recipes import MhuRecipe, SopRecipe
from solos.errors import UserError
from solos.models.inputs import FLOOR, evaluation_frames, training_frames
from solos.signal.masks import MAX_MAGNITUDE, binary_masks, half_masks, ratio_masks
from solos.signal.warp import log_warp
from solos.training.store import Crop, SpectrogramStore, Stored

TRAIN, VAL, _ORDER = 0, 1, 2  # streams of random numbers
FEWEST = 2
"""Sources of a mix."""


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
    (n_src, 3, T, H, W). As published, the first source goes through all recordings and the others
    are drawn from all of them; samples are clipped to ±1 after the gain.
    """

    def __init__(self, store: SpectrogramStore, recipe: SopRecipe, seed: int, epoch: int | None):
        self.store, self.recipe, self.seed, self.epoch = store, recipe, seed, epoch
        n = len(store.recordings)
        self.length = recipe.val_mixes if epoch is None else n * recipe.mixes_per_recording
        self.order = np.arange(self.length) % n
        if epoch is not None:
            np.random.default_rng([seed, _ORDER, epoch]).shuffle(self.order)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        stream = (VAL, 0) if self.epoch is None else (TRAIN, self.epoch)
        rng = np.random.default_rng([self.seed, *stream, index])
        crops = self._draw(rng, index)
        sources = torch.stack([self.store.read(crop) for crop in crops]) / len(crops)
        mix_mag, mags = mix_sources(sources)
        frames = torch.stack([self._frames(crop, rng) for crop in crops])
        half = self.recipe.targets == "half"
        masks = half_masks(mags, mix_mag) if half else binary_masks(mags)
        return {"mix_mag": mix_mag, "masks": masks, "frames": frames}

    def _draw(self, rng: np.random.Generator, index: int) -> list[Crop]:
        first = self.order[index]
        others = rng.integers(len(self.store.recordings), size=self.recipe.n_src - 1)
        chosen = [first, *others]
        return [self._crop(self.store.recordings[i], rng) for i in chosen]

    def _crop(self, recording: Stored, rng: np.random.Generator) -> Crop:
        start, (low, high) = self.store.place(recording, rng)
        gain = 1.0 if self.epoch is None else float(rng.uniform(*self.recipe.gain))
        return Crop(recording, start, gain, clip=max(-low, high) * gain > 1)

    def _frames(self, crop: Crop, rng: np.random.Generator) -> Tensor:
        pictures = self.store.frames(crop, self.recipe.frames, self.recipe.frame_stride)
        if self.epoch is None:
            return evaluation_frames(pictures, self.recipe.image_size)
        return training_frames(pictures, self.recipe.image_size, rng)


class MhuMixes(Dataset):
    """Mixes of different instruments, uniformly chosen, for the Multi-Head U-Net.

    Args:
        max_src: largest number of sources; a mix has 2 to that many, uniformly.
        epoch: of training, or of validation if ``validation``.

    Items: ``mix_mag`` (1, 256, 256), ``masks`` (13, 256, 256) ratio masks. Each source is scaled to
    span [-1, 1], and the mixture is their mean. Ratios are of magnitudes with the floor, absent
    instruments' too: where all are quiet, shares tend to be equal.
    """

    def __init__(
        self,
        store: SpectrogramStore,
        recipe: MhuRecipe,
        seed: int,
        epoch: int,
        max_src: int,
        validation: bool = False,
    ):
        self.store, self.seed = store, seed
        self.stream = (VAL if validation else TRAIN, epoch)
        self.max_src = max_src
        self.length = recipe.val_mixes if validation else recipe.train_mixes
        self.by_instrument = by_instrument(store, max_src, "train.mhunet.curriculum.stop")

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        crops = self._draw(np.random.default_rng([self.seed, *self.stream, index]))
        sources = torch.stack([self.store.read(crop) for crop in crops])
        mix_mag, mags = mix_sources(sources / len(crops))
        every = torch.full((len(INSTRUMENTS), *mags.shape[1:]), FLOOR)
        places = [INSTRUMENTS.index(crop.recording.instrument) for crop in crops]
        every[places] += mags * len(crops)  # the sources themselves, not their parts of the mean
        return {"mix_mag": mix_mag, "masks": ratio_masks(every)}

    def _draw(self, rng: np.random.Generator) -> list[Crop]:
        n_src = int(rng.integers(FEWEST, self.max_src + 1))
        chosen = rng.choice(len(self.by_instrument), n_src, replace=False)
        return [self._crop(self.by_instrument[i], rng) for i in chosen]

    def _crop(self, recordings: Sequence[Stored], rng: np.random.Generator) -> Crop:
        recording = recordings[rng.integers(len(recordings))]
        start, (low, high) = self.store.place(recording, rng)
        return Crop(recording, start, 2 / (high - low), -(high + low) / (high - low))


def by_instrument(store: SpectrogramStore, max_src: int, advice: str) -> list[list[Stored]]:
    """Recordings of each instrument that there are any of.

    Raises:
        UserError: they are of other instruments, or of too few for mixes of ``max_src``.
    """
    unknown = {r.instrument for r in store.recordings} - set(INSTRUMENTS)
    if unknown:
        raise UserError(
            f"{store.spectrograms / 'recordings.csv'}: {', '.join(sorted(unknown))}: none of "
            f"the network's instruments ({', '.join(INSTRUMENTS)})"
        )
    groups = [[r for r in store.recordings if r.instrument == name] for name in INSTRUMENTS]
    groups = [group for group in groups if group]
    if len(groups) < max_src:
        raise UserError(
            f"{store.spectrograms}: recordings of {len(groups)} instruments, mixes "
            f"of {max_src} wanted: see recordings.csv, or lower {advice}"
        )
    return groups

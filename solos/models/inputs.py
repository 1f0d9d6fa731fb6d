"""What the networks are given: magnitudes and pictures, scaled as in their training."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from solos import FRAME_RATE, INSTRUMENTS
from solos.storage.pictures import read_frames

IMAGENET_MEAN = (0.485, 0.456, 0.406)


IMAGENET_STD = (0.229, 0.224, 0.225)


_RESIZE = 1.1  # short side of a training picture before its random crop, over the crop's side


def frame_indices(middle: float, count: int, stride: int) -> list[int]:
    """Indices of ``count`` pictures, ``stride`` apart, around ``middle`` (seconds)."""
    centre = round(middle * FRAME_RATE)
    return [max(0, centre + (i - count // 2) * stride) for i in range(count)]


def load_pictures(path: Path, indices: Sequence[int]) -> Tensor:
    """Pictures of a recording or player: (len(indices), 3, H, W) uint8."""
    return torch.from_numpy(read_frames(path, indices)).permute(0, 3, 1, 2)


def evaluation_frames(pictures: Tensor, size: int) -> Tensor:
    """Resize, centre crop and normalise: (T, 3, H, W) uint8 -> (3, T, size, size)."""
    pictures = _resize(pictures, size)
    return _normalise(transforms.center_crop(pictures, [size, size]))


def whole_frames(pictures: Tensor, size: int) -> Tensor:
    """Resize the shorter side and normalise: (T, 3, H, W) uint8 -> (3, T, H', W')."""
    return _normalise(_resize(pictures, size))


def training_frames(pictures: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Resize, random crop and flip, the same for all T, and normalise, as published."""
    pictures = _resize(pictures, int(size * _RESIZE))
    height, width = pictures.shape[-2:]
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    pictures = transforms.crop(pictures, top, left, size, size)
    if rng.random() < 0.5:
        pictures = transforms.horizontal_flip(pictures)
    return _normalise(pictures)


def _resize(pictures: Tensor, side: int) -> Tensor:
    """The shorter side to ``side`` pixels, bicubic as published."""
    return transforms.resize(pictures, [side], transforms.InterpolationMode.BICUBIC, antialias=True)


def _normalise(pictures: Tensor) -> Tensor:
    scaled = transforms.to_dtype(pictures, torch.float32, scale=True)
    return transforms.normalize(scaled, IMAGENET_MEAN, IMAGENET_STD).transpose(0, 1)


FLOOR = 1e-4
"""Added to all magnitudes of the Multi-Head U-Net, the mixture's and its sources'."""
_LEAST = 2.0**-16  # magnitude at which its input bends from linear to logarithmic


def may_play(instruments: Iterable[str]) -> Tensor:
    """What a network is told: (13,), 1 for each of ``instruments``; of none, that all may play."""
    told = torch.zeros(len(INSTRUMENTS))
    told[[INSTRUMENTS.index(name) for name in instruments] or slice(None)] = 1
    return told


def log_input(mag: Tensor) -> Tensor:
    """Sound of Pixels' input: log(magnitude + 1e-10)."""
    return torch.log(mag + 1e-10)


def scaled_log_input(mag: Tensor) -> Tensor:
    """MHU-Net's input: log1p(65536 (magnitude + 1e-4)), each spectrogram scaled to [-1, 1].

    That is the paper's "dB w.r.t. the minimum". The floor is added after the log-frequency warp
    here: interpolation leaves a constant as it is.

    Shape: (..., F, T) -> the same. A constant spectrogram gives -1.
    """
    level = torch.log1p((mag + FLOOR) / _LEAST)
    low, high = (level.amin(dim=(-2, -1), keepdim=True), level.amax(dim=(-2, -1), keepdim=True))
    return 2 * (level - low) / (high - low).clamp_min(1e-6) - 1

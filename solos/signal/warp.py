"""The log-frequency warp of Sound of Pixels: networks see 256 log-spaced bins of the 512."""

import math
from functools import cache

import torch
from torch import Tensor

from solos.signal.fourier import BINS

WARPED_BINS = 256
"""Log-frequency bins of a network's input and masks."""


_BASE = 21.0  # of the warp: the highest warped bin spans 21 times the lowest one


def _interpolate(image: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation of (..., F, T) at fractional rows ``position`` (F',) -> (..., F', T)."""
    lower = position.floor().clamp(0, image.shape[-2] - 2).long()
    weight = (position - lower).to(image.dtype)[:, None]
    return torch.lerp(image[..., lower, :], image[..., lower + 1, :], weight)


@cache
def _warp_rows(rows_in: int, rows_out: int, forward: bool, device: torch.device) -> Tensor:
    """Rows of the input, in [0, rows_in - 1], that each row of the output is read from.

    On coordinates normalised to [-1, 1] with corners aligned, as when the released weights were
    trained: forward (21^((y + 1) / 2) - 11) / 10, inverse log_21(10 y + 11) 2 - 1.
    """
    y = torch.linspace(-1, 1, rows_out, dtype=torch.float64)
    if forward:
        source = (_BASE ** ((y + 1) / 2) - 11) / 10
    else:
        source = torch.log(10 * y + 11) / math.log(_BASE) * 2 - 1
    rows = (source.clamp(-1, 1) + 1) / 2 * (rows_in - 1)
    return rows.to(torch.float32).to(device)


def log_warp(mag: Tensor) -> Tensor:
    """Resample linear to log-spaced frequency: (..., 512, T) -> (..., 256, T)."""
    return _interpolate(mag, _warp_rows(mag.shape[-2], WARPED_BINS, True, mag.device))


def log_unwarp(mask: Tensor) -> Tensor:
    """Resample log-spaced to linear frequency: (..., 256, T) -> (..., 512, T)."""
    return _interpolate(mask, _warp_rows(mask.shape[-2], BINS, False, mask.device))

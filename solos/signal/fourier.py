"""Short-time Fourier transform (the paper, section IV).

Hann window of 1022 samples, hop 256, centred: a segment of 65,535 samples gives 512 bins by 256
frames.
"""

from functools import cache

import torch
from torch import Tensor

from solos import HOP_LENGTH, N_FFT

BINS = N_FFT // 2 + 1
"""Linear frequency bins of a spectrogram."""
CONSTANT = (N_FFT / 2, -N_FFT / 4)
"""STFT of a waveform that is 1 throughout, in bins 0 and 1 of each frame; the others are zero."""


@cache
def _window(device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.hann_window(N_FFT, device=device, dtype=dtype)


def stft(wave: Tensor) -> Tensor:
    """Centred STFT.

    Shape: (..., n_samples) real -> (..., 512, 1 + n_samples // 256) complex; a segment gives 256
    frames. A waveform in [-1, 1] has magnitudes of at most 511, the window's sum.
    """
    flat = wave.reshape(-1, wave.shape[-1])
    spec = torch.stft(
        flat,
        N_FFT,
        HOP_LENGTH,
        window=_window(wave.device, wave.dtype),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    return spec.reshape(*wave.shape[:-1], *spec.shape[-2:])


def istft(spec: Tensor, length: int) -> Tensor:
    """Inverse of :func:`stft`: (..., 512, T) complex -> (..., length) real."""
    flat = spec.reshape(-1, *spec.shape[-2:])
    window = _window(spec.device, spec.real.dtype)
    wave = torch.istft(flat, N_FFT, HOP_LENGTH, window=window, center=True, length=length)
    return wave.reshape(*spec.shape[:-2], length)

"""Time-frequency masks: their targets, and how they are applied (the paper, section IV)."""

import torch
from torch import Tensor

from solos import N_FFT
from solos.signal.fourier import istft
from solos.signal.warp import log_unwarp

MAX_MAGNITUDE = N_FFT // 2
"""511, the window's sum: no waveform in [-1, 1] has a larger |STFT|."""


def binary_masks(mags: Tensor) -> Tensor:
    """Complementary binary masks: 1 for the source that dominates the others, ties to the first.

    Shape: (..., n_src, F, T) magnitudes -> the same, of 0 and 1, summing to 1 over sources.
    """
    first, *others = mags.unbind(dim=-3)
    best, winner = first, torch.zeros_like(first)
    for number, source in enumerate(others, start=1):  # argmax is ten times slower along this axis
        winner = torch.where(source > best, float(number), winner)
        best = torch.maximum(best, source)
    return torch.stack([winner == n for n in range(mags.shape[-3])], dim=-3).to(mags.dtype)


def half_masks(mags: Tensor, mix_mag: Tensor) -> Tensor:
    """Binary masks of Sound of Pixels' released training: 1 above half the mixture's magnitude.

    In a bin both of two sources, or neither, may be 1.

    Shape: (..., n_src, F, T), (..., 1, F, T) magnitudes -> (..., n_src, F, T) of 0 and 1.
    """
    return (mags > 0.5 * mix_mag).to(mags.dtype)


def ratio_masks(mags: Tensor) -> Tensor:
    """Complementary ratio masks |S_j| / Σ_k |S_k|; equal shares where all sources are zero.

    Shape: (..., n_src, F, T) magnitudes -> the same, summing to 1 over sources.
    """
    total = mags.sum(dim=-3, keepdim=True)
    shares = mags / total.clamp_min(torch.finfo(mags.dtype).tiny)
    return torch.where(total > 0, shares, 1 / mags.shape[-3])


def apply_masks(
    mix_spec: Tensor, masks: Tensor, length: int, decide: bool = False, clip: bool = True
) -> Tensor:
    """Estimates from masks at the networks' resolution: unwarped, applied with the mixture's phase.

    Args:
        decide: whether the unwarped masks are decided at 0.5, as binary ones.
        clip: to ±1, as the paper does.

    Shape: (..., 512, T) complex and (..., n_src, 256, T) -> (..., n_src, length).
    """
    linear = log_unwarp(masks)
    if decide:
        linear = (linear > 0.5).to(linear.dtype)
    waves = istft(mix_spec.unsqueeze(-3) * linear, length)
    return waves.clamp(-1, 1) if clip else waves

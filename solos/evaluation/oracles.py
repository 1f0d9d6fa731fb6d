"""What needs no training: the unprocessed mixture and the ceilings of masks.

The oracles' masks are computed from the references at the networks' own resolution (256 log-spaced
bins) and applied as they are, the binary one with the values between 0 and 1 that its way back to
512 linear bins brings: so they bound what masks of that resolution can reach.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solos.signal.fourier import stft
from solos.signal.masks import apply_masks, binary_masks, ratio_masks
from solos.signal.warp import log_warp

BASELINES = ("mixture", "oracle_binary", "oracle_ratio")


def baseline_estimates(mix: NDArray, references: NDArray) -> dict[str, NDArray]:
    """Estimates of each baseline: the mixture for every source, ideal binary and ratio masks.

    Shape: (n_samples,), (n_src, n_samples) -> (n_src, n_samples) each.
    """
    mix_spec = stft(torch.from_numpy(mix))
    masks = oracle_masks(references)
    oracles = {row: apply_masks(mix_spec, mask, mix.size).numpy() for row, mask in masks.items()}
    return {"mixture": np.broadcast_to(mix, references.shape), **oracles}


def oracle_masks(references: NDArray) -> dict[str, Tensor]:
    """Ideal binary and ratio masks: (n_src, n_samples) -> (n_src, 256, T) each."""
    mags = log_warp(stft(torch.from_numpy(references)).abs())
    return {"oracle_binary": binary_masks(mags), "oracle_ratio": ratio_masks(mags)}

"""Transforms between waveforms, spectrograms and masks.

Tensors in, tensors out, batched over leading dimensions; no file is touched. Imports no other room.
"""

from solos.signal.fourier import istft, stft
from solos.signal.warp import log_unwarp, log_warp

__all__ = ["istft", "log_unwarp", "log_warp", "stft"]

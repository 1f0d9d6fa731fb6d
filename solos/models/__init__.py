"""The two networks of Table II."""

from solos.models.mhunet import MultiHeadUNet
from solos.models.sop import SoundOfPixels

__all__ = ["MultiHeadUNet", "SoundOfPixels"]

"""Sounds and pictures as data URIs, equal inputs giving equal bytes."""

from base64 import b64encode
from io import BytesIO

import numpy as np
import soundfile
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from solos import SAMPLE_RATE

DYNAMIC_RANGE = 60.0
"""dB between the brightest and the darkest value of a spectrogram's picture."""
_QUALITY = 70  # of WebP and JPEG
_BLEND = 0.75  # opacity of a localisation map's brightest place


def sound_uri(wave: NDArray) -> str:
    """A mono waveform (n_samples,) in ±1 at 11025 Hz as FLAC: lossless for 16 bit."""
    stream = BytesIO()
    samples = np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)
    soundfile.write(
        stream, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16", compression_level=1.0
    )
    return _uri("audio/flac", stream)


def spectrogram_uri(mag: NDArray, top: float) -> str:
    """Magnitudes (F, T) in dB below ``top``, low frequencies at the bottom."""
    decibels = 20 * np.log10(np.maximum(mag, 1e-10) / max(top, 1e-10))
    return _map_uri(1 + decibels / DYNAMIC_RANGE, "magma")


def mask_uri(mask: NDArray) -> str:
    """A mask (F, T) in [0, 1], low frequencies at the bottom."""
    return _map_uri(mask, "viridis")


def _map_uri(values: NDArray, colours: str) -> str:
    pixels = colormaps[colours](np.clip(values[::-1], 0, 1), bytes=True)
    return _picture("WEBP", "image/webp", np.ascontiguousarray(pixels[..., :3]))


def frame_uri(frame: NDArray) -> str:
    """A picture, uint8 (H, W, 3)."""
    return _picture("JPEG", "image/jpeg", frame)


def blend(frame: NDArray, places: NDArray) -> NDArray:
    """A localisation map (h, w) over the picture it belongs to.

    The map is stretched from its least to its greatest value, which says where, not how much.

    Shape: uint8 (H, W, 3), (h, w) -> uint8 (H, W, 3).
    """
    low, high = places.min(), places.max()
    share = (places - low) / max(high - low, np.finfo(np.float32).tiny)
    size = (frame.shape[1], frame.shape[0])
    heat = np.asarray(Image.fromarray(share.astype(np.float32)).resize(size, Image.BICUBIC))
    heat = np.clip(heat, 0, 1)
    colour = colormaps["inferno"](heat)[..., :3] * 255
    grey = frame.mean(axis=2, keepdims=True)
    opacity = _BLEND * heat[..., np.newaxis]
    return np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8)


def _picture(kind: str, mime: str, pixels: NDArray) -> str:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, quality=_QUALITY)
    return _uri(mime, stream)


def _uri(mime: str, stream: BytesIO) -> str:
    return f"data:{mime};base64,{b64encode(stream.getvalue()).decode()}"

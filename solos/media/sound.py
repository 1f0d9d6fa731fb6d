"""The sound of any media file as mono at another rate.

Block by block, so that memory does not grow with its length.
"""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import ffmpeg
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from scipy.io import wavfile
from torchaudio.functional import resample

from solos import SAMPLE_RATE
from solos.media.errors import MediaError
from solos.media.probe import probe
from solos.media.process import run_ffmpeg
from solos.storage.files import atomic

BLOCK = 1 << 19
"""Samples read and resampled at a time, about."""
_ZERO_CROSSINGS, _ROLLOFF, _BETA = 64, 0.9475937167399596, 14.769656459379492
# A long Kaiser window (librosa's "kaiser_best"): flat to 0.2 dB up to 5.2 kHz of 5.5.
_LOSSLESS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "FLAC")
_COMMON_RATE = 48000
_LARGEST_STEP = 4000  # of a rate over its common divisor with 11025 Hz; the filter grows with it


def decode(path: Path, folder: Path) -> tuple[Path, str]:
    """A file that :func:`read_blocks` reads with the sound of any media file at its own rate.

    That is ``path`` itself, or a WAV that ffmpeg decodes into ``folder``: float32, all channels,
    its first sample the recording's time zero. A rate that has little in common with 11025 Hz
    (such as 44056 Hz) becomes 48 kHz.

    Returns:
        The file, and what ffmpeg complained of (empty as a rule).

    Raises:
        MediaError: missing, unreadable, no_audio or undecodable.
    """
    if _is_readable(path):
        return path, ""
    if not probe(path).audio:
        raise MediaError("no_audio", "the file has no sound")
    wav, complaint = _decode(path, folder, {})
    if not _is_readable(wav):
        wav, complaint = _decode(path, folder, {"osr": _COMMON_RATE})
    return wav, complaint


def _is_readable(path: Path) -> bool:
    try:
        about = soundfile.info(os.fsencode(path))
    except soundfile.LibsndfileError:
        return False
    step = about.samplerate // math.gcd(about.samplerate, SAMPLE_RATE)
    return about.format in _LOSSLESS and step <= _LARGEST_STEP


def _decode(path: Path, folder: Path, rate: dict[str, int]) -> tuple[Path, str]:
    wav = folder / "sound.wav"
    timed = {"async": 1, "first_pts": 0, **rate}  # a late start becomes silence, so that time holds
    stream = ffmpeg.input(str(path.absolute()), threads=1)["a:0"].filter("aresample", **timed)
    complaint = run_ffmpeg([stream.output(str(wav), acodec="pcm_f32le", rf64="auto")])
    return wav, complaint


def read_audio(path: Path) -> NDArray[np.float32]:
    """Any WAV as mono float32 (n,) at 11025 Hz, in [-1, 1] up to the filter's overshoot.

    Raises:
        MediaError: it can't be read.
    """
    blocks = list(read_blocks(path))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def peak_samples(path: Path) -> int:
    """How many samples of a WAV, of any channel, are at full scale of 16 bits or beyond.

    Raises:
        MediaError: it can't be read.
    """
    full = 1 - 2**-15
    try:
        blocks = soundfile.blocks(os.fsencode(path), blocksize=BLOCK, dtype="float32")
        return sum(int((np.abs(block) >= full).sum()) for block in blocks)
    except soundfile.LibsndfileError as error:
        raise MediaError("unreadable", f"{path.name}: {error.error_string}") from None


def read_blocks(path: Path) -> Iterator[NDArray[np.float32]]:
    """What :func:`read_audio` gives, in consecutive blocks."""
    try:
        with soundfile.SoundFile(os.fsencode(path)) as sound:
            mono = (
                block.mean(axis=1) for block in sound.blocks(BLOCK, dtype="float32", always_2d=True)
            )
            yield from resample_blocks(mono, sound.samplerate, SAMPLE_RATE)
    except soundfile.LibsndfileError as error:
        raise MediaError("unreadable", f"{path.name}: {error.error_string}") from None


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]], rate: int, new_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a signal that comes in blocks; the outcome does not depend on their sizes.

    Shape: blocks (..., n) at ``rate`` Hz -> blocks (..., n'), together ceil(n · new_rate / rate).
    The signal is cut on multiples of rate / gcd samples, where both rates have one, into stretches
    that are resampled with a margin as wide as the filter.
    """
    if rate == new_rate:
        yield from blocks
        return
    step, new_step = rate // math.gcd(rate, new_rate), new_rate // math.gcd(rate, new_rate)
    half_width = _ZERO_CROSSINGS * step / (min(step, new_step) * _ROLLOFF)
    margin = math.ceil(half_width / step) + 1
    size = max(1, BLOCK // step)
    for stretch in _stretches(blocks, margin * step, size * step):
        output = _resample(stretch, rate, new_rate)[..., margin * new_step :]
        last = stretch.shape[-1] < (margin + size + margin) * step
        yield output if last else output[..., : size * new_step]


def _stretches(
    blocks: Iterable[NDArray[np.float32]], margin: int, size: int
) -> Iterator[NDArray[np.float32]]:
    """``size`` samples with a margin before and after each; the last ones as they come.

    The signal's own ends are among zeros.
    """
    held = None
    for block in blocks:
        if held is None:
            held = np.zeros((*block.shape[:-1], margin), np.float32)
        held = np.concatenate([held, block], axis=-1)
        while held.shape[-1] >= margin + size + margin:
            yield held[..., : margin + size + margin]
            held = held[..., size:]
    if held is not None and held.shape[-1] > margin:
        yield held


def _resample(wave: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    kaiser = {"resampling_method": "sinc_interp_kaiser", "beta": _BETA}
    tensor = torch.from_numpy(np.ascontiguousarray(wave))
    return resample(tensor, rate, new_rate, _ZERO_CROSSINGS, _ROLLOFF, **kaiser).numpy()


def write_audio(path: Path, wave: NDArray) -> None:
    """A float32 WAV at 11025 Hz (SciPy's: libsndfile would note the time of writing in it)."""
    with atomic(path) as temporary:
        wavfile.write(temporary, SAMPLE_RATE, wave.astype(np.float32))

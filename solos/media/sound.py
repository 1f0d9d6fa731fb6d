"""The sound of any media file as mono at another rate.

Block by block, so that memory does not grow with its length.
"""

import math
import os
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from scipy.io import wavfile
from torchaudio.functional import resample

from solos import SAMPLE_RATE
from solos.media.decoding import Sound, listening
from solos.media.errors import MediaError
from solos.media.facts import Facts
from solos.media.opening import decodable
from solos.media.track import packed
from solos.media.writing import writing
from solos.storage.files import atomic

BLOCK = 1 << 19
"""Samples read and resampled at a time, about."""
_ZERO_CROSSINGS, _ROLLOFF, _BETA = 64, 0.9475937167399596, 14.769656459379492
# A long Kaiser window (librosa's "kaiser_best"): flat to 0.2 dB up to 5.2 kHz of 5.5.
_LOSSLESS = {b"RIFF": ("WAV", "WAVEX"), b"RF64": ("RF64",), b"riff": ("W64",)}
_LOSSLESS |= {b"FORM": ("AIFF",), b"fLaC": ("FLAC",)}  # how files begin, libsndfile's names
_LARGEST_WAV = 2**31  # bytes, with room for a container's error: a header counts up to 2^32


def decode(path: Path, folder: Path) -> tuple[Path, str]:
    """A file with the sound of any media file at its own rate, and what is remarkable about it.

    The file is ``path`` itself where libsndfile reads it without loss, as it is meant; else a WAV
    written into ``folder``: float32, all channels, its first sample the recording's time zero. A
    rate that has little in common with 11025 Hz (such as 44056 Hz) becomes 48 kHz.

    Returns:
        The file, and remarks (empty as a rule).

    Raises:
        MediaError: missing, unreadable, no_audio or undecodable.
        OSError, UserError: the WAV can't be written, the disk being full as a rule.
    """
    plain = _plain_kind(path)
    if plain:
        with listening(path) as sound:
            n_samples = sum(block.shape[1] for block in sound.blocks())
            if plain == (sound.rate, sound.channels, n_samples) and not sound.facts.healed:
                return path, "; ".join(sound.facts.remarks())
    wav = folder / "sound.wav"
    with listening(path) as sound:
        size = 4 * sound.channels * sound.rate * (sound.seconds_said or math.inf)
        kind = "WAV" if size < _LARGEST_WAV else "RF64"
        with writing([wav], sound.rate, sound.channels, "FLOAT", kind) as (target,):
            for block in sound.blocks():
                target.write(block.T)
        return wav, "; ".join(sound.facts.remarks())


def _plain_kind(path: Path) -> tuple[int, int, int] | None:
    """Rate, channels and samples of a file that libsndfile reads without loss.

    It is not asked of others: the library that it reads MP3 by writes to standard error.
    """
    kinds: tuple[str, ...] = ()
    with suppress(OSError), path.open("rb") as stream:
        kinds = _LOSSLESS.get(stream.read(4), ())
    if not kinds:
        return None
    try:
        about = soundfile.info(os.fsencode(path))
    except soundfile.LibsndfileError:
        return None
    same = (about.samplerate, about.channels, about.frames)
    return same if about.format in kinds else None


def hear(path: Path, subject: str = "") -> tuple[NDArray[np.float32], list[str]]:
    """Any sound as mono float32 (n,) at 11025 Hz, and what is remarkable about it.

    Its amplitude is kept: what was in [-1, 1] is there still, up to the filter's overshoot.

    Args:
        subject: what remarks call it, if not by the file's name.

    Raises:
        MediaError: it can't be read.
    """
    with _named(path), listening(path) as sound:
        blocks = list(_mono(sound))
        return np.concatenate(blocks), sound.facts.remarks(subject or path.name)


def read_audio(path: Path) -> NDArray[np.float32]:
    """The samples that :func:`hear` gives."""
    return hear(path)[0]


def read_blocks(path: Path) -> Iterator[NDArray[np.float32]]:
    """What :func:`read_audio` gives, in consecutive blocks."""
    with _named(path), listening(path) as sound:
        yield from _mono(sound)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except MediaError as error:
        raise MediaError(error.status, f"{path.name}: {error}") from None


def _mono(sound: Sound) -> Iterator[NDArray[np.float32]]:
    mono = (block.mean(axis=0) for block in sound.blocks())
    return resample_blocks(mono, sound.rate, SAMPLE_RATE)


def write_mono(path: Path, wav: Path) -> tuple[int, float, Facts]:
    """The sound of any media file as a mono PCM16 WAV at 11025 Hz, by FFmpeg's resampler.

    Returns:
        Number of samples, the largest one's level, and what is remarkable about the sound.

    Raises:
        MediaError: as :func:`decode`.
    """
    n_samples, peak = 0, 0
    with listening(path) as sound, wave.open(str(wav), "wb") as target:
        target.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for block in _mixed_down(sound):
            target.writeframesraw(block.tobytes())
            n_samples += len(block)
            peak = max(peak, int(np.abs(block.astype(int)).max(initial=0)))
        return n_samples, peak / 2**15, sound.facts


def _mixed_down(sound: Sound) -> Iterator[NDArray[np.int16]]:
    with decodable():
        mixes = _mixes(sound)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        for block in sound.blocks():
            wave, layout = (block, sound.layout) if mixes else (block.mean(axis=0), "mono")
            for mixed in resampler.resample(packed(wave, layout, sound.rate)):
                yield mixed.to_ndarray()[0]
        for mixed in resampler.resample(None):
            yield mixed.to_ndarray()[0]


def _mixes(sound: Sound) -> bool:
    """Whether FFmpeg knows how the channels mix: not, if none is left, right or centre."""
    silence = packed(np.zeros((sound.channels, 1), np.float32), sound.layout, sound.rate)
    try:
        av.AudioResampler(format="s16", layout="mono").resample(silence)
    except av.ArgumentError:
        return False
    return True


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


def _resample(signal: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    kaiser = {"resampling_method": "sinc_interp_kaiser", "beta": _BETA}
    tensor = torch.from_numpy(np.ascontiguousarray(signal))
    return resample(tensor, rate, new_rate, _ZERO_CROSSINGS, _ROLLOFF, **kaiser).numpy()


def write_audio(path: Path, signal: NDArray) -> None:
    """A float32 WAV at 11025 Hz (SciPy's: libsndfile would note the time of writing in it)."""
    with atomic(path) as temporary:
        wavfile.write(temporary, SAMPLE_RATE, signal.astype(np.float32))

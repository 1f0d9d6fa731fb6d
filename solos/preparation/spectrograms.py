"""Stored spectrograms of whole recordings, and where in them training may crop.

The STFT is linear: a mixture's spectrogram is the sum of its sources', so training reads slices of
these files and transforms nothing. They are half precision, which costs little: what comes back by
the inverse STFT carries noise 79 to 80 dB below the recording (measured on 122 rendered recordings,
and on white noise at levels from 1e-4 to 0.1: the error follows the signal bin by bin, so quiet
passages keep the ratio). Rounding to 16 bits stands 81 dB below a recording whose RMS is 0.1.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import torch

from solos import HOP_LENGTH, SAMPLE_RATE, SEGMENT, SEGMENT_FRAMES, SPAN_RATE
from solos.datasets.index import Spans, dump_spans
from solos.errors import UserError
from solos.media.errors import MediaError
from solos.signal.fourier import BINS, stft

BLOCK = 4096
"""STFT frames transformed at a time (95 s): memory does not grow with a recording's length."""
_MARGIN = 2  # hops on either side of a block that its outermost windows reach into


def store(wav: Path, folder: Path) -> int:
    """Write ``spec.npy`` of a recording into ``folder``.

    It is float16 (T, 512, 2): real and imaginary parts of the STFT, time first.

    Args:
        wav: mono, 11025 Hz, at least a segment (65,535 samples) long.

    Returns:
        T = 1 + n_samples // 256.

    Raises:
        ValueError: another rate or number of channels, or too short.
    """
    with soundfile.SoundFile(wav) as sound, (folder / "spec.npy").open("wb") as spec:
        _check(sound, wav)
        n_frames = 1 + sound.frames // HOP_LENGTH
        _write_header(spec, np.float16, (n_frames, BINS, 2))
        for first in range(0, n_frames, BLOCK):
            last = min(first + BLOCK, n_frames)
            wave, offset = _read_around(sound, first, last)
            spec.write(_transform(wave, first - offset, last - first).astype(np.float16).data)
    return n_frames


def transform(wav: Path, spans: Spans, folder: Path) -> dict:
    """:func:`store`, and where training may crop: ``n_stft_frames`` and ``spans`` as JSON.

    Args:
        spans: in video frames at 25 fps.

    Raises:
        MediaError: too_short, or short_spans: no span holds a segment.
        UserError: the file is no WAV (any more).
    """
    try:
        n_frames = store(wav, folder)
    except ValueError as error:
        raise MediaError("too_short", str(error)) from None
    except soundfile.LibsndfileError as error:
        raise UserError(f"{wav} can't be read ({error.error_string}): extract it again") from None
    usable = stft_spans(spans, n_frames)
    if not usable:
        raise MediaError("short_spans", "no span holds a segment (5.9 s) within the recording")
    return {"n_stft_frames": n_frames, "spans": dump_spans(usable)}


def _check(sound: soundfile.SoundFile, wav: Path) -> None:
    if sound.samplerate != SAMPLE_RATE or sound.channels != 1:
        found = f"{sound.channels} channel(s) at {sound.samplerate} Hz"
        raise ValueError(f"{wav}: {found}, expected 1 at {SAMPLE_RATE} Hz")
    if sound.frames < SEGMENT:
        raise ValueError(f"{wav}: {sound.frames} samples, expected at least {SEGMENT}")


def _write_header(stream: BinaryIO, dtype: type, shape: tuple[int, ...]) -> None:
    """Begin an .npy file (a memory-mapped one would count as memory, page by page)."""
    about = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)


def _read_around(sound: soundfile.SoundFile, first: int, last: int) -> tuple[np.ndarray, int]:
    """Samples that STFT frames [first, last) rest on, and the frame on which they begin.

    The recording's own ends are the only ones that a window may find: there it is reflected.
    """
    offset = max(0, first - _MARGIN)
    sound.seek(offset * HOP_LENGTH)
    return sound.read((last + _MARGIN - offset) * HOP_LENGTH, dtype="float32"), offset


def _transform(wave: np.ndarray, skip: int, count: int) -> np.ndarray:
    """STFT frames [skip, skip + count) of ``wave``, float32 (count, 512, 2)."""
    spec = stft(torch.from_numpy(wave))[:, skip : skip + count]
    return torch.view_as_real(spec.T.contiguous()).numpy()


def stft_spans(spans: Iterable[tuple[int, int]], n_frames: int) -> Spans:
    """Spans in STFT frames, [first, last), from spans in video frames at 25 fps.

    An STFT frame t, centred 256 t / 11025 s into the recording, belongs to the span [start, end)
    that holds its centre. Spans are clipped to the recording's ``n_frames``, overlapping and
    adjoining ones are joined, and those without room for a segment are dropped.
    """
    clipped = ((_frame(start), min(_frame(end), n_frames)) for start, end in spans)
    return tuple(span for span in _joined(clipped) if span[1] - span[0] >= SEGMENT_FRAMES)


def _frame(span_frame: int) -> int:
    """First STFT frame at or after video frame ``span_frame``: its time in hops, rounded up."""
    return -(-span_frame * SAMPLE_RATE // (SPAN_RATE * HOP_LENGTH))


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    current: tuple[int, int] | None = None
    for first, last in sorted(spans):
        if current and first <= current[1]:
            current = (current[0], max(current[1], last))
            continue
        if current:
            yield current
        current = (first, last)
    if current:
        yield current

"""Encoding what was drawn and played, as YouTube and URMP deliver it."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import ffmpeg
import numpy as np
import soundfile

from solos import SPAN_RATE
from solos.media.opening import locator
from solos.media.process import check_exit, ffmpeg_path
from solos.storage.files import atomic
from solos.synthesis.sound import RATE

AUDIO_RATE = 44100
"""Hz."""


def encode(path: Path, frames: Iterable[bytes], size: tuple[int, int], wave: np.ndarray) -> None:
    """Write an mp4: H.264 at 25 fps and AAC, 44.1 kHz stereo; equal input gives equal bytes.

    Args:
        frames: RGB pictures, 3 * width * height bytes each.
        size: width, height in pixels.
        wave: float32 (n, 1 or 2) at 48 kHz.

    Raises:
        UserError, OSError: it was stopped, or the disk is full.
        RuntimeError: ffmpeg failed otherwise.
    """
    with atomic(path) as temporary:
        wav = temporary.with_suffix(".wav")
        try:
            soundfile.write(wav, wave, RATE, subtype="PCM_16")
            _run(_command(wav, temporary, size), frames)
        finally:
            wav.unlink(missing_ok=True)


def _command(wav: Path, target: Path, size: tuple[int, int]) -> ffmpeg.Stream:
    video = ffmpeg.input(
        "pipe:", f="rawvideo", pix_fmt="rgb24", s="{}x{}".format(*size), r=SPAN_RATE
    )
    streams = (video, ffmpeg.input(locator(wav)))
    exact = {"fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact"}
    picture = {"vcodec": "libx264", "pix_fmt": "yuv420p", "preset": "ultrafast", "crf": 21}
    sound = {
        "acodec": "aac",
        "ar": AUDIO_RATE,
        "ac": 2,
        "audio_bitrate": "128k",
        "aac_coder": "fast",
    }
    output = ffmpeg.output(*streams, locator(target), threads=1, **picture, **sound, **exact)
    return output.global_args("-loglevel", "error", "-filter_threads", "1").overwrite_output()


def _run(command: ffmpeg.Stream, frames: Iterable[bytes]) -> None:
    process = command.run_async(ffmpeg_path(), pipe_stdin=True)
    try:
        with suppress(BrokenPipeError):  # it has ended: its exit code says why
            for frame in frames:
                process.stdin.write(frame)
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        code = process.wait()
    check_exit(code)
    if code:
        raise RuntimeError(f"ffmpeg could not encode (exit code {code}): {command.compile()}")

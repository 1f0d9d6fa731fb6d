"""Running ffmpeg: which one, and what its complaints and exit codes mean."""

import os
import re
import shutil
import signal
from collections.abc import Sequence

import ffmpeg
import imageio_ffmpeg

from solos.errors import UserError
from solos.media.errors import DOUBTFUL, MACHINES, failure

_STOPPED = (255, 128 + signal.SIGKILL, 128 + signal.SIGTERM)
# ffmpeg's exit code after SIGINT and SIGTERM, and a shell's for a program that was killed


def ffmpeg_path() -> str:
    """The ffmpeg to use: the system's if there is one, else the one that pip installed.

    Raises:
        UserError: there is neither.
    """
    system = shutil.which("ffmpeg")
    if system:
        return system
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise UserError("no ffmpeg: install it, or `pip install imageio-ffmpeg`") from None


def run_ffmpeg(outputs: Sequence[ffmpeg.Stream]) -> str:
    """Run one ffmpeg for all ``outputs``, on one thread and overwriting.

    Returns:
        The first line that ffmpeg complained with and how many more there were, or "".

    Raises:
        MediaError: ffmpeg gave up; status ``environment`` if the machine may be the reason.
        UserError: ffmpeg was stopped from outside, which says nothing about the recording.
        OSError: nor does a full disk.
    """
    graph = ffmpeg.merge_outputs(*outputs).global_args(
        *("-nostdin", "-loglevel", "error", "-filter_complex_threads", "1")
    )
    process = graph.run_async(ffmpeg_path(), pipe_stderr=True, overwrite_output=True)
    _, errors = process.communicate()
    if process.returncode < 0 or process.returncode in _STOPPED:
        raise UserError(f"ffmpeg was stopped (exit code {process.returncode}): run again to go on")
    if process.returncode:
        number = _error_number(process.returncode, errors.decode(errors="replace"))
        reason = _complaint(errors) or f"ffmpeg: {process.returncode}"
        raise failure("undecodable", number, reason)
    return _complaint(errors)


def _error_number(code: int, complaint: str) -> int | None:
    """ffmpeg ends with the system's error number, as a byte, or names it in what it says."""
    said = [number for number in (*MACHINES, *DOUBTFUL) if os.strerror(number) in complaint]
    return next(iter(said), 256 - code)


def _complaint(stderr: bytes) -> str:
    text = re.sub(r" @ 0x[0-9a-f]+", "", stderr.decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"ffmpeg: {lines[0][:200]}{more}" if lines else ""

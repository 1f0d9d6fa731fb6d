"""Running ffmpeg: which one, and what its complaints and exit codes mean."""

import os
import re
import shutil
import signal
from collections.abc import Sequence

import ffmpeg
import imageio_ffmpeg

from solos.errors import UserError
from solos.media.errors import ENVIRONMENT, MACHINES, MediaError, failure, number_said

_STOPS = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
_STOPPED = (255, *(-number for number in _STOPS), *(128 + number for number in _STOPS))
"""Exit codes of an ffmpeg that somebody ended: its own, the system's, a shell's around it."""


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
    try:
        _, errors = process.communicate()
    except BaseException:  # this process is to end: nothing may be written behind its back
        process.kill()
        process.wait()
        raise
    complaint = _complaint(errors)
    number = number_said(errors.decode(errors="replace"))
    check_exit(process.returncode, number)
    if process.returncode < 0:  # it crashed, on this recording or for want of memory
        raise MediaError(ENVIRONMENT, f"ffmpeg crashed (signal {-process.returncode})")
    if process.returncode:
        reason = complaint or f"ffmpeg: {process.returncode}"
        raise failure("undecodable", number or 256 - process.returncode, reason)
    return complaint


def check_exit(code: int, number: int | None = None) -> None:
    """Raise where an ffmpeg ended for what has nothing to do with the recording.

    Args:
        code: its exit code; of its own errors 256 less the system's number.
        number: the system's error that it named.

    Raises:
        UserError: it was stopped from outside.
        OSError: a full disk, say.
    """
    if code in _STOPPED:
        raise UserError(f"ffmpeg was stopped (exit code {code}): run again to go on")
    for found in (number, 256 - code):
        if found in MACHINES:
            raise OSError(found, os.strerror(found), "ffmpeg")


def _complaint(stderr: bytes) -> str:
    text = re.sub(r" @ 0x[0-9a-f]+", "", stderr.decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"ffmpeg: {lines[0][:200]}{more}" if lines else ""

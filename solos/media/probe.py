"""What a media file holds, found out without decoding it (but for its first picture)."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from solos.media.errors import MediaError
from solos.media.opening import (
    duration_promised,
    end_of,
    is_discontinuous,
    opened,
    packets,
    time_zero,
)

_LOOKED_AT = 500  # packets in which a film's first picture is looked for


@dataclass(frozen=True)
class Probe:
    """What a container says it holds."""

    duration: float
    """Seconds; 0 where the container does not say."""
    audio: bool
    width: int
    """Pixels of the picture as players show it; 0 without a video stream (cover art is none)."""
    height: int
    stored: tuple[int, int] = (0, 0)
    """Width and height of the picture as it is stored: phones store it turned."""
    turns: tuple[tuple[str, ...], ...] = ()
    """The ffmpeg filters, with arguments, that turn a stored picture to how it is shown."""
    late: float = 0.0
    """Seconds that ffmpeg would lose when it reads the pictures alone (see :func:`_late`)."""
    rate: int = 0
    """Hz of the sound; 0 without any."""


def probe(path: Path) -> Probe:
    """Look into a media file without decoding more of it than a picture.

    Raises:
        MediaError: it is missing, or no media file (or one cut before its index).
    """
    with opened(path) as container:
        duration = duration_promised(container)
        audio = bool(container.streams.audio)
        rate = container.streams.audio[0].rate or 0 if audio else 0
        video = [stream for stream in container.streams.video if not _is_cover(stream)]
        if not video:
            return Probe(duration, audio, 0, 0, rate=rate)
        stored, matrix = _first_picture(container, video[0])
        turned = abs(matrix[0, 1]) > abs(matrix[0, 0])
        shown = stored[::-1] if turned else stored
        turns, late = _turns(matrix, turned), _late(container, video[0])
        return Probe(duration, audio, *shown, stored, turns, late, rate)


def _late(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Seconds from a file's time zero to its pictures, if ffmpeg forgets them.

    In broadcasts it counts from the first of those streams alone that it is asked for.
    """
    if not is_discontinuous(container) or stream.start_time is None:
        return 0.0
    late = float(stream.start_time * stream.time_base) - time_zero(container)
    return round(max(0.0, late), 6)  # microseconds are FFmpeg's own


def _first_picture(
    container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[tuple[int, int], np.ndarray]:
    """Width and height, and the 2 x 2 matrix ((a, b), (c, d)) by which (x, y) is shown.

    That is at (a x + c y, b x + d y). A film of which no picture can be decoded has its header's.
    """
    for packet, _ in zip(packets(container, stream), range(_LOOKED_AT), strict=False):
        try:
            frame = next(iter(packet.decode()), None)
        except av.FFmpegError:
            continue
        if frame:
            matrix = frame.side_data.get("DISPLAYMATRIX")
            whole = np.eye(3) if matrix is None else np.frombuffer(bytes(matrix), "=i4")
            return (frame.width, frame.height), whole.reshape(3, 3)[:2, :2]
    return (stream.width, stream.height), np.eye(2)


def _turns(matrix: np.ndarray, turned: bool) -> tuple[tuple[str, ...], ...]:
    across, down = (matrix[1, 0], matrix[0, 1]) if turned else (matrix[0, 0], matrix[1, 1])
    turns = [("transpose", "cclock_flip")] if turned else []  # rows become columns, no more
    turns += [("hflip",)] if across < 0 else []
    return tuple(turns + ([("vflip",)] if down < 0 else []))


def ends(path: Path) -> tuple[float, float]:
    """Seconds at which the pictures and the sound of an MP4 with both end, by its own account.

    Raises:
        MediaError: as :func:`probe`.
    """
    with opened(path) as container:
        streams = container.streams.video[0], container.streams.audio[0]
        video, audio = (
            float(((it.start_time or 0) + (it.duration or 0)) * it.time_base) for it in streams
        )
        return video, audio


def check_complete(path: Path) -> Probe:
    """Like :func:`probe`, but reads the file to its end, still without decoding it.

    Raises:
        MediaError: as :func:`probe`; or ``truncated``: it ends before its container says.
    """
    found = probe(path)
    with opened(path) as container:
        start = time_zero(container)
        reached = max((end_of(packet) for packet in packets(container)), default=0.0) - start
    require_reach(reached, found)
    return found


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def require_reach(reached: float, found: Probe) -> None:
    """Hold a recording to the duration that its container says.

    Raises:
        MediaError: ``truncated``.
    """
    if reached < found.duration - max(1.0, 0.05 * found.duration):
        raise MediaError("truncated", f"ends at {reached:.1f} s of {found.duration:.1f} s")

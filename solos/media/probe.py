"""What a media file holds, found out without decoding it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from solos.media.errors import MediaError, failure


@dataclass(frozen=True)
class Probe:
    """What a container says it holds."""

    duration: float
    """Seconds; 0 where the container does not say."""
    audio: bool
    width: int
    """Pixels; 0 without a video stream (cover art is none)."""
    height: int


def probe(path: Path) -> Probe:
    """Look into a media file without decoding it.

    Raises:
        MediaError: it is missing, or no media file (or one cut before its index).
    """
    try:
        with av.open(str(path)) as container:
            if container.format.name == "tty":  # what FFmpeg makes of any .txt: a film of letters
                raise MediaError("unreadable", "a text, not a media file")
            video = [stream for stream in container.streams.video if not _is_cover(stream)]
            size = (video[0].width, video[0].height) if video else (0, 0)
            duration = (container.duration or 0) / av.time_base
            return Probe(duration, bool(container.streams.audio), *size)
    except FileNotFoundError:
        raise MediaError("missing", "the file is not there") from None
    except (av.FFmpegError, OSError) as error:
        reason = f"not a media file, or cut off before its index ({error.strerror or error})"
        raise failure("unreadable", error.errno, reason) from None


def check_complete(path: Path) -> Probe:
    """Like :func:`probe`, but reads the file to its end, still without decoding it.

    Raises:
        MediaError: as :func:`probe`; or ``truncated``: it ends before its container says.
    """
    found = probe(path)
    with av.open(str(path)) as container:
        start = (container.start_time or 0) / av.time_base
        reached = max((_end(packet) for packet in _packets(container)), default=0.0) - start
    require_reach(reached, found)
    return found


def _packets(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Its packets, up to where it can be read."""
    try:
        yield from container.demux()
    except (av.FFmpegError, OSError):
        return


def _end(packet: av.Packet) -> float:
    """Seconds into the file at which what a packet holds ends; 0 for the empty last ones."""
    if packet.pts is None or not packet.size:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def require_reach(reached: float, found: Probe) -> None:
    if reached < found.duration - max(1.0, 0.05 * found.duration):
        raise MediaError("truncated", f"ends at {reached:.1f} s of {found.duration:.1f} s")

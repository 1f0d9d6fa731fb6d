"""Opening media: what a file's name, its errors and its clock mean, for all that reads them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from solos.media.errors import DOUBTFUL, MACHINES, MediaError, failure
from solos.media.extent import doubt, extent

BARE = ("mp3", "aac", "ac3", "eac3")
"""Formats that are a codec's frames and no more: what they say of time is reckoned by FFmpeg."""
_PLAYLISTS = ("hls", "dash")
"""Formats that name files, and may say that more are to come."""


def locator(path: Path) -> str:
    """A file's name as FFmpeg takes it for nothing else: no option, protocol or address."""
    return f"file:{path.absolute()}"


def path_of(container: av.container.InputContainer) -> Path:
    """The file that a container was opened from."""
    return Path(container.name.removeprefix("file:"))


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """A media file to be read by PyAV.

    Raises:
        MediaError: it is missing, or no media file (or one cut before its index).
    """
    try:
        container = av.open(locator(path))
    except FileNotFoundError:
        raise MediaError("missing", "the file is not there") from None
    except (av.FFmpegError, OSError) as error:
        reason = f"not a media file, or cut off before its index ({error.strerror or error})"
        raise failure("unreadable", error.errno, reason + doubt(path)) from None
    with container:
        if container.format.name == "tty":  # what FFmpeg makes of any .txt: a film of letters
            raise MediaError("unreadable", "a text, not a media file")
        if container.format.name in _PLAYLISTS and not container.duration:  # waited for, for ever
            raise MediaError("unreadable", "a playlist without an end, as of a live stream")
        yield container


@contextmanager
def decodable() -> Iterator[None]:
    """Decoding, by libraries that answer what they can't with errors of many kinds.

    Raises:
        MediaError: undecodable; status ``environment`` if the machine may be the reason.
    """
    try:
        yield
    except av.FFmpegError as error:
        raise failure("undecodable", error.errno, str(error)) from None
    except (ValueError, IndexError, MemoryError) as error:
        raise MediaError("undecodable", f"{type(error).__name__}: {error}") from None


def time_zero(container: av.container.InputContainer) -> float:
    """The file's own time, in seconds, at which it begins: what ffmpeg counts from."""
    return (container.start_time or 0) / av.time_base


def is_discontinuous(container: av.container.InputContainer) -> bool:
    """Whether timestamps may begin anew within a file: those of broadcasts, discs, chained Oggs.

    Joined together, each counts from its own start (libavformat's AVFMT_TS_DISCONT).
    """
    return bool(container.format.flags & 0x200)


def duration_said(container: av.container.InputContainer) -> float:
    """Seconds that a container says it lasts; 0 where it does not, or FFmpeg guesses by bit rate.

    Counted from its time zero.

    A bare stream of frames may say it in its first one: then, if there are fewer than it says,
    these seconds would take more bytes than the file has.
    """
    seconds = (container.duration or 0) / av.time_base
    if container.format.name == "matroska,webm":  # whose timestamps may begin at 100 s
        seconds = max(0.0, seconds - time_zero(container))
    if container.format.name not in BARE:
        return seconds
    rate = container.streams.audio[0].codec_context.bit_rate or 0
    return seconds if seconds * rate / 8 > 1.02 * container.size else 0.0


def duration_promised(container: av.container.InputContainer) -> float:
    """:func:`duration_said`, where a file that is shorter is a part; else 0.

    An ASF may count a late start twice; an AVI out of a pipe says what stood there at first.
    """
    kind = container.format.name
    if kind == "asf" or (kind == "avi" and extent(path_of(container)).open_ended):
        return 0.0
    return duration_said(container)


def end_of(packet: av.Packet) -> float:
    """Seconds, by the file's timestamps, at which what a packet holds ends; 0 for empty ones."""
    if packet.pts is None or not packet.size:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


def packets(
    container: av.container.InputContainer,
    stream: av.stream.Stream | None = None,
    errors: list[str] | None = None,
) -> Iterator[av.Packet]:
    """A file's packets, or a stream's, up to where it can be read.

    Args:
        errors: to which is added why there is no more, if that is not the file's end.

    Raises:
        MediaError, OSError: where the machine may be the reason that it can't, see :func:`failure`.
            Not for EIO, which is FFmpeg's answer to a file cut short too: the stages hold a verdict
            only if the whole file can be read.
    """
    try:
        yield from container.demux(*([stream] if stream else []))
    except (av.FFmpegError, OSError) as error:
        if error.errno in {*MACHINES, *DOUBTFUL} - {errno.EIO}:
            raise failure("unreadable", error.errno, str(error)) from None
        if errors is not None:
            errors.append(str(error))

"""Opening media: what a file's name, its errors and its clock mean, for all that reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from solos.media.errors import DOUBTFUL, MACHINES, MediaError, failure


def locator(path: Path) -> str:
    """A file's name as FFmpeg takes it for nothing else: no option, protocol or address."""
    return f"file:{path.absolute()}"


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
        raise failure("unreadable", error.errno, reason) from None
    with container:
        if container.format.name == "tty":  # what FFmpeg makes of any .txt: a film of letters
            raise MediaError("unreadable", "a text, not a media file")
        yield container


def time_zero(container: av.container.InputContainer) -> float:
    """The file's own time, in seconds, at which it begins: what ffmpeg counts from."""
    return (container.start_time or 0) / av.time_base


def new_counts(path: Path) -> list[float]:
    """Seconds by which ffmpeg moves a film's pictures where its timestamps begin anew.

    Broadcasts and discs joined together count from the start in each piece (libavformat's
    AVFMT_TS_DISCONT). Empty for other files, and for those without pictures.
    """
    moves, last = [], None
    with opened(path) as container:
        if not (is_discontinuous(container) and container.streams.video):
            return []
        for packet in packets(container, container.streams.video[0]):
            if packet.dts is None:
                continue
            time, length = (float(n * packet.time_base) for n in (packet.dts, packet.duration or 0))
            if last is not None and is_new_count(time - last):
                moves.append(last - time)
            last = time + length
    return moves


def is_discontinuous(container: av.container.InputContainer) -> bool:
    """Whether the timestamps of a file of this format may begin anew."""
    return bool(container.format.flags & 0x200)


def is_new_count(late: float) -> bool:
    """Whether there timestamps that are ``late`` seconds later than due are those of a new count.

    By ffmpeg's rule: back by a tenth of a second, or ahead by ten.
    """
    return not -0.1 <= late <= 10.0


def packets(
    container: av.container.InputContainer, stream: av.stream.Stream | None = None
) -> Iterator[av.Packet]:
    """A file's packets, or a stream's, up to where it can be read.

    Raises:
        MediaError, OSError: where the machine may be the reason that it can't, see :func:`failure`.
    """
    try:
        yield from container.demux(*([stream] if stream else []))
    except (av.FFmpegError, OSError) as error:
        if error.errno in MACHINES or error.errno in DOUBTFUL:
            raise failure("unreadable", error.errno, str(error)) from None

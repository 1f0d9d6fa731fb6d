"""Which instant of a recording a timestamp means: not all count from the start, or count at all."""

from pathlib import Path

import av

from solos.media.opening import (
    BARE,
    duration_said,
    is_discontinuous,
    opened,
    packets,
    time_zero,
)

_RECKONED = 1.0  # seconds by which reckoned times, corrected with each packet, may be wrong
_BACK = 0.1  # seconds by which timestamps may go back and not begin anew: ffmpeg's rule, ...
_JUMP = 10.0  # ... as are those by which they may jump ahead


class Clock:
    """The times of a file's sound, asked for in their order."""

    def __init__(self, path: Path, container: av.container.InputContainer):
        self._path, self._container = path, container
        self._zero = time_zero(container)
        self._moves: list[float] | None = None
        self._is_bare = container.format.name in BARE
        self._first_rate, self._last_kind = 0, (0, 0)

    def time_of(self, frame: av.AudioFrame, due: float | None, lost: float) -> float:
        """Seconds from the file's time zero at which a frame is heard.

        Args:
            due: when what came before ends; None for the first frame.
            lost: seconds after that which could not be decoded.
        """
        made_up = self._is_made_up(frame)
        if frame.time is None:
            return (due or 0.0) + lost
        time = frame.time - self._zero
        if due is None:
            return time
        if made_up and (self._is_bare or time - due > -_RECKONED):
            return due + lost
        if not self._is_new_count(time - due, time):
            return time
        move = self._move(due - time)
        self._zero -= move
        return time + move

    def _is_made_up(self, frame: av.AudioFrame) -> bool:
        """Whether FFmpeg reckoned a frame's time, from the rate that the file began with."""
        self._first_rate = self._first_rate or frame.sample_rate
        kind = (frame.sample_rate, frame.layout.nb_channels)
        goes_on, self._last_kind = kind == self._last_kind, kind
        return self._is_bare or (goes_on and frame.sample_rate != self._first_rate)

    def _is_new_count(self, late: float, time: float) -> bool:
        """Whether timestamps jump though the sound goes on, as ffmpeg sees it for pictures too."""
        if is_discontinuous(self._container):
            return _begins_anew(late)
        beyond = time > duration_said(self._container) + _JUMP
        return late < -_BACK or (late > _JUMP and beyond)

    def _move(self, exactly: float) -> float:
        """By how much to move what begins a new count: as the pictures are, if there are any."""
        if self._moves is None:
            self._moves = _moves_of_pictures(self._path)
        move = self._moves.pop(0) if self._moves else exactly
        return move if abs(move - exactly) < 1 else exactly


def _begins_anew(late: float) -> bool:
    """Whether timestamps that are ``late`` seconds later than due are those of a new count.

    By ffmpeg's rule: back by a tenth of a second, or ahead by ten.
    """
    return not -_BACK <= late <= _JUMP


def _moves_of_pictures(path: Path) -> list[float]:
    """Seconds by which ffmpeg moves a film's pictures where its timestamps begin anew."""
    moves, last = [], None
    with opened(path) as container:
        if not (is_discontinuous(container) and container.streams.video):
            return []
        for packet in packets(container, container.streams.video[0]):
            if packet.dts is None:
                continue
            time, length = (float(n * packet.time_base) for n in (packet.dts, packet.duration or 0))
            if last is not None and _begins_anew(time - last):
                moves.append(last - time)
            last = time + length
    return moves

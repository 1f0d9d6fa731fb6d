"""The sound of any media file, decoded and put in its place in time.

The first sample is the file's time zero, as the first picture is: a late start and gaps become
silence, what is early is left out. Where the rate or the channels change within the file, the
sound goes on as it began.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from solos.media.clock import Clock
from solos.media.errors import DOUBTFUL, MACHINES, MediaError, failure
from solos.media.extent import doubt, extent
from solos.media.facts import Facts, lacking
from solos.media.opening import (
    decodable,
    duration_promised,
    duration_said,
    end_of,
    opened,
    packets,
    time_zero,
)
from solos.media.track import COMMON_RATE, Track, is_odd

_BLOCK = 1 << 17  # samples that are handed on at a time, about
_COUNTED = ("flac", "au", "wv", "tta")  # formats that say how many samples they hold
_EVEN = ("wav", "aiff", "w64", "caf")  # whose bytes are in proportion to their samples
_TOLERANCE = 0.03  # seconds by which timestamps may tremble


@contextmanager
def listening(path: Path) -> Iterator["Sound"]:
    """The sound of a file, to be read once.

    Raises:
        MediaError: missing, unreadable or no_audio.
    """
    with opened(path) as container:
        if not container.streams.audio:
            raise MediaError("no_audio", "the file has no sound")
        yield Sound(path, container)


class Sound:
    """A sound being read: ``rate`` in Hz, ``channels``, ``layout`` (FFmpeg's name of them).

    ``seconds_said`` is what its container says, 0 if nothing; ``facts`` are complete when all
    ``blocks`` are read.
    """

    def __init__(self, path: Path, container: av.container.InputContainer):
        self.facts = Facts()
        self._path, self._container = path, container
        self._stream = container.streams.audio[0]
        self._packed = _Packed()
        self._lost = 0.0  # seconds that could not be decoded since the last frame
        self._reached = 0.0  # seconds at which the last packet of any stream ends
        self._frames = self._decode()
        with decodable():
            self._first = next(self._frames, None)
        if self._first is None:
            why = "the audio stream holds nothing that can be decoded"
            raise MediaError("no_audio", why + doubt(path))
        frame = self._first
        self.rate = COMMON_RATE if is_odd(frame.sample_rate) else frame.sample_rate
        self.seconds_said = duration_said(container)
        self.channels, self.layout = frame.layout.nb_channels, frame.layout.name

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Consecutive samples, (channels, n) each, from time zero on.

        Raises:
            MediaError: undecodable.
        """
        with decodable():
            yield from self._blocks()

    def _blocks(self) -> Iterator[NDArray[np.float32]]:
        held, size = [], 0
        for block in self._placed():
            held.append(block)
            size += block.shape[1]
            self.facts.seconds += block.shape[1] / self.rate
            if size >= _BLOCK:
                yield np.concatenate(held, axis=1)
                held, size = [], 0
        if held:
            yield np.concatenate(held, axis=1)
        if not self.facts.seconds:
            raise MediaError("no_audio", f"nothing is left of the sound at {self.rate} Hz")
        self._note_promises()

    def _placed(self) -> Iterator[NDArray[np.float32]]:
        """Samples in their places: what is contiguous flows on, other times are kept."""
        track, clock = Track(self.rate, self.channels), Clock(self._path, self._container)
        due = None
        for frame, count in self._cut_frames():
            time = clock.time_of(frame, due, self._lost)
            astray = due is None or self._lost or abs(time - due) > _TOLERANCE
            if astray or frame.sample_rate != track.source_rate:
                yield from track.begin(frame.sample_rate)
                if astray:
                    self.facts.left_out += max(0.0, (due or 0.0) - max(0.0, time))
                    yield from track.go_to(time)
                due = track.due
            self._note_change(frame, due)
            wave = self.facts.note(self._packed.samples(frame)[:, :count], due, frame.sample_rate)
            due += count / frame.sample_rate
            self._lost = 0.0
            yield from track.lay(self._as_began(wave))
        yield from track.end()

    def _note_change(self, frame: av.AudioFrame, time: float) -> None:
        kinds = {(it.sample_rate, it.layout.nb_channels) for it in (frame, self._first)}
        if len(kinds) > 1 and self.facts.changed is None:
            self.facts.changed = time

    def _as_began(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """With as many channels as the first samples had: each the mean, where they differ."""
        if len(wave) == self.channels:
            return wave
        return np.repeat(wave.mean(axis=0, keepdims=True), self.channels, axis=0)

    def _cut_frames(self) -> Iterator[tuple[av.AudioFrame, int]]:
        """Each frame and how many of its samples count: codecs fill up the last one."""
        held = self._first
        for frame in self._frames:
            yield held, held.samples
            held = frame
        count = held.samples
        if self._stream.duration and held.time is not None:
            ticks = (self._stream.start_time or 0) + self._stream.duration
            left = round((float(ticks * self._stream.time_base) - held.time) * held.sample_rate)
            count = left if 0 < left < count else count
        yield held, count

    def _decode(self) -> Iterator[av.AudioFrame]:
        errors, zero = [], time_zero(self._container)
        for packet in packets(self._container, errors=errors):
            self._reached = max(self._reached, end_of(packet) - zero)
            if packet.stream.index != self._stream.index:  # as its last, empty one has it too
                continue
            try:
                yield from packet.decode()
            except av.FFmpegError as error:
                if error.errno in {*MACHINES, *DOUBTFUL}:
                    raise failure("undecodable", error.errno, str(error)) from None
                if packet.size:  # others hold a codec's settings alone
                    self.facts.undecodable += 1
                    self._lost += float((packet.duration or 0) * packet.time_base)
        self.facts.unread = bool(errors)

    def _note_promises(self) -> None:
        """What the file says of its sound, where it holds less."""
        facts, found = self.facts, extent(self._path)
        exact, reached = self._container.format.name in _COUNTED, facts.seconds
        if self._container.streams.video:  # the sound of a film may end before it
            reached = max(reached, self._reached)
        facts.promised = lacking(reached, duration_promised(self._container), exact=exact)
        by_bytes = lacking(facts.seconds, facts.seconds * found.share, exact=True)
        if by_bytes and self._container.format.name in _EVEN:
            facts.promised = by_bytes
        elif by_bytes or found.share == 1:  # a few bytes more or less are a matter of headers
            facts.cut_off = found.why


class _Packed:
    """Samples of frames, brought to one plane: of eight and more, PyAV reads past the last."""

    def __init__(self):
        self._kind, self._resampler = None, None

    def samples(self, frame: av.AudioFrame) -> NDArray[np.float32]:
        """(channels, n), 1 being full scale."""
        channels = frame.layout.nb_channels
        if frame.format.is_planar or frame.format.name == "s64":
            kind = frame.format.name, frame.layout.name, frame.sample_rate
            if kind != self._kind:
                self._kind, self._resampler = kind, av.AudioResampler(format="flt")
            waves = [packed.to_ndarray() for packed in self._resampler.resample(frame)]
            return np.concatenate(waves, axis=1).reshape(-1, channels).T
        return _full_scale(frame.to_ndarray().reshape(-1, channels).T)


def _full_scale(wave: NDArray) -> NDArray[np.float32]:
    """As floats, 1 being full scale."""
    if wave.dtype == np.uint8:
        return (wave.astype(np.float32) - 128) / 128
    if wave.dtype.kind == "i":
        return (wave / -float(np.iinfo(wave.dtype).min)).astype(np.float32)
    with np.errstate(over="ignore"):
        return wave.astype(np.float32)

"""The sound of any media file, decoded and put in its place in time.

The first sample is the file's time zero, as the first picture is: a late start and gaps become
silence, what is early is left out. Where the rate or the channels change within the file, the
sound goes on as it began.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from math import gcd
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from solos import SAMPLE_RATE
from solos.media.errors import DOUBTFUL, MACHINES, MediaError, failure
from solos.media.facts import Facts, chunk_share, lacking
from solos.media.opening import (
    is_discontinuous,
    is_new_count,
    new_counts,
    opened,
    packets,
    time_zero,
)

COMMON_RATE = 48000
"""Hz that sound gets whose own rate has little in common with 11025 Hz."""
_LARGEST_KERNEL = 2_000_000  # phases times samples: what resampling by such a ratio would hold
_BLOCK = 1 << 17  # samples that are handed on at a time, about
_TOLERANCE = 0.03  # seconds by which timestamps may tremble
_JUMP = 10.0  # seconds by which timestamps, where they don't begin anew, can't be meant to jump
_ESTIMATED = ("mp3", "aac", "ac3", "eac3")  # formats whose duration may be a guess by bit rate


def is_odd(rate: int) -> bool:
    """Whether resampling to 11025 Hz by whole numbers would take a huge filter (44056 Hz)."""
    common = gcd(rate, SAMPLE_RATE)
    return (rate // common) * (SAMPLE_RATE // common) > _LARGEST_KERNEL


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

    ``facts`` are complete when all ``blocks`` are read.
    """

    def __init__(self, path: Path, container: av.container.InputContainer):
        self.facts = Facts()
        self._path, self._container = path, container
        self._stream = container.streams.audio[0]
        self._moves: list[float] | None = None
        self._frames = self._decode()
        self._first = next(self._frames, None)
        if self._first is None:
            raise MediaError("no_audio", "the audio stream holds nothing that can be decoded")
        frame = self._first
        self.rate = COMMON_RATE if is_odd(frame.sample_rate) else frame.sample_rate
        self.channels, self.layout = frame.layout.nb_channels, frame.layout.name
        self.seconds_said = (container.duration or 0) / av.time_base

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Consecutive samples, (channels, n) each, from time zero on."""
        held, size = [], 0
        for block in self._placed():
            held.append(block)
            size += block.shape[1]
            if size >= _BLOCK:
                yield self._noted(held)
                held, size = [], 0
        if held:
            yield self._noted(held)
        self.facts.promised = self._promise()

    def _noted(self, held: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        block = np.concatenate(held, axis=1)
        self.facts.seconds += block.shape[1] / self.rate
        return block

    def _placed(self) -> Iterator[NDArray[np.float32]]:
        """Samples in their places: what is contiguous flows on, other times are kept."""
        zero, position, skip = time_zero(self._container), 0, 0
        resampler, expected, last = _Resampler(0, 0, 0), None, None
        for frame, count in self._cut_frames():
            kind = (frame.sample_rate, frame.layout.nb_channels)
            time = expected if frame.time is None else frame.time - zero
            time = 0.0 if time is None else time
            late = 0.0 if expected is None else time - expected
            if self._is_new_count(late, time):
                move = self._move(-late)
                zero, time, late = zero - move, time + move, late + move
            if last is None or kind[0] != last[0] or abs(late) > _TOLERANCE:
                for block in resampler.flush():
                    yield block
                    position += block.shape[1]
                resampler = _Resampler(frame.sample_rate, self.rate, self.channels)
                if last is None or abs(late) > _TOLERANCE:
                    gap = round(time * self.rate) - position
                    yield from _silence(self.channels, gap)
                    position, skip = position + max(0, gap), max(0, -gap)
                expected = (position - skip) / self.rate
            if last not in (None, kind) and self.facts.changed is None:
                self.facts.changed = expected
            last = kind
            wave = self.facts.note(_samples(frame)[:, :count], expected, frame.sample_rate)
            expected += count / frame.sample_rate
            for block in resampler.take(self._as_began(wave)):
                yield block[:, skip:]
                position += max(0, block.shape[1] - skip)
                skip = max(0, skip - block.shape[1])
        yield from resampler.flush()

    def _is_new_count(self, late: float, time: float) -> bool:
        """Whether timestamps jump though the sound goes on, as ffmpeg sees it for pictures too."""
        if is_discontinuous(self._container):
            return is_new_count(late)
        return late < -_JUMP or (late > _JUMP and time > self.seconds_said + _JUMP)

    def _move(self, exactly: float) -> float:
        """By how much to move what begins a new count: as the pictures are, if there are any."""
        if self._moves is None:
            self._moves = new_counts(self._path)
        move = self._moves.pop(0) if self._moves else exactly
        return move if abs(move - exactly) < 1 else exactly

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
        for packet in packets(self._container, self._stream):
            try:
                yield from packet.decode()
            except av.FFmpegError as error:
                if error.errno in MACHINES or error.errno in DOUBTFUL:
                    raise failure("undecodable", error.errno, str(error)) from None
                self.facts.undecodable += 1

    def _promise(self) -> float:
        seconds, name = self.facts.seconds, self._container.format.name
        share = chunk_share(self._path)
        if share > 1:
            return lacking(seconds, seconds * share, exact=True)
        said = 0.0 if self._container.streams.video else self.seconds_said  # its pictures' maybe
        if self._stream.duration:
            said = float(self._stream.duration * self._stream.time_base)
        if name in _ESTIMATED:
            bits = said * (self._stream.codec_context.bit_rate or 0)
            said = said if bits / 8 > 1.02 * self._container.size else 0.0
        return lacking(seconds, said, exact=False)


class _Resampler:
    """To another rate in time (n samples become n · new_rate / rate); none where it is the same."""

    def __init__(self, rate: int, new_rate: int, channels: int):
        self._rate, self._graph = rate, None
        if rate != new_rate:
            self._layout = f"{channels} channels"
            graph = av.filter.Graph()
            about = {"sample_rate": rate, "format": "fltp", "layout": self._layout}
            source = graph.add_abuffer(time_base=Fraction(1, rate), **about)
            fine = "filter_size=64:phase_shift=14:linear_interp=1"
            change = graph.add("aresample", f"{new_rate}:{fine}")
            graph.link_nodes(source, change, graph.add("abuffersink")).configure()
            self._graph = graph

    def take(self, wave: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        if self._graph is None:
            yield wave
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), "fltp", self._layout)
        frame.sample_rate = self._rate
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[NDArray[np.float32]]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()

    def _pull(self) -> Iterator[NDArray[np.float32]]:
        while True:
            try:
                yield self._graph.pull().to_ndarray()
            except (av.BlockingIOError, av.EOFError):
                return


def _samples(frame: av.AudioFrame) -> NDArray[np.float32]:
    """(channels, n), 1 being full scale."""
    wave = frame.to_ndarray()
    if not frame.format.is_planar:
        wave = wave.reshape(-1, frame.layout.nb_channels).T
    if wave.dtype == np.uint8:
        return (wave.astype(np.float32) - 128) / 128
    if wave.dtype.kind == "i":
        return (wave / -float(np.iinfo(wave.dtype).min)).astype(np.float32)
    with np.errstate(over="ignore"):
        return wave.astype(np.float32)


def _silence(channels: int, samples: int) -> Iterator[NDArray[np.float32]]:
    for first in range(0, samples, _BLOCK):
        yield np.zeros((channels, min(_BLOCK, samples - first)), np.float32)

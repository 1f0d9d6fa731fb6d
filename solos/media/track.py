"""Samples on a track of one rate: laid where their time is, resampled where they have another."""

from collections.abc import Iterator
from fractions import Fraction
from math import gcd

import av
import numpy as np
from numpy.typing import NDArray

from solos import SAMPLE_RATE

COMMON_RATE = 48000
"""Hz that sound gets whose own rate has little in common with 11025 Hz."""
_LARGEST_KERNEL = 2_000_000  # phases times samples: what resampling by such a ratio would hold
_BLOCK = 1 << 17  # samples of silence at a time


def is_odd(rate: int) -> bool:
    """Whether resampling to 11025 Hz by whole numbers would take a huge filter (44056 Hz)."""
    common = gcd(rate, SAMPLE_RATE)
    return (rate // common) * (SAMPLE_RATE // common) > _LARGEST_KERNEL


def packed(wave: NDArray[np.float32], layout: str, rate: int) -> av.AudioFrame:
    """Samples (channels, n) as a frame of one plane: PyAV can't fill eight and more."""
    frame = av.AudioFrame.from_ndarray(wave.T.reshape(1, -1), "flt", layout)
    frame.sample_rate = rate
    return frame


class Track:
    """What is laid on it comes back as blocks (channels, n) at ``rate`` Hz, without a gap."""

    def __init__(self, rate: int, channels: int):
        self.rate, self.channels = rate, channels
        self.source_rate = 0
        self._position, self._skip = 0, 0  # samples given back; of the next, those to leave out
        self._resampler = _Resampler(rate, rate, channels)

    @property
    def due(self) -> float:
        """Seconds at which what is laid next begins, all before being given back."""
        return (self._position - self._skip) / self.rate

    def begin(self, source_rate: int) -> Iterator[NDArray[np.float32]]:
        """End what was laid; what follows has another rate."""
        yield from self._given(self._resampler.flush())
        self.source_rate = source_rate
        self._resampler = _Resampler(source_rate, self.rate, self.channels)

    def go_to(self, time: float) -> Iterator[NDArray[np.float32]]:
        """Silence up to a second; if that is past, what follows is left out up to where it is due.

        To be called after :meth:`begin`.
        """
        gap = round(time * self.rate) - self._position
        self._skip = max(0, -gap)
        for first in range(0, gap, _BLOCK):
            yield np.zeros((self.channels, min(_BLOCK, gap - first)), np.float32)
        self._position += max(0, gap)

    def lay(self, wave: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The next samples, (channels, n) at ``source_rate``."""
        yield from self._given(self._resampler.take(wave))

    def end(self) -> Iterator[NDArray[np.float32]]:
        """What is left."""
        yield from self._given(self._resampler.flush())

    def _given(self, blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        for block in blocks:
            kept = block[:, self._skip :]
            self._skip = max(0, self._skip - block.shape[1])
            self._position += kept.shape[1]
            yield kept


class _Resampler:
    """To another rate in time: n samples become n · new_rate / rate; none where it is the same."""

    def __init__(self, rate: int, new_rate: int, channels: int):
        self._rate, self._graph = rate, None
        if rate != new_rate:
            self._channels, self._layout = channels, f"{channels} channels"
            self._graph = graph = av.filter.Graph()
            about = {"sample_rate": rate, "format": "flt", "layout": self._layout}
            source = graph.add_abuffer(time_base=Fraction(1, rate), **about)
            fine = "filter_size=64:phase_shift=14:linear_interp=1"
            change = graph.add("aresample", f"{new_rate}:{fine}")
            graph.link_nodes(source, change, graph.add("abuffersink")).configure()

    def take(self, wave: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        if self._graph is None:
            yield wave
            return
        self._graph.push(packed(wave, self._layout, self._rate))
        yield from self._pull()

    def flush(self) -> Iterator[NDArray[np.float32]]:
        if self._graph is not None:
            self._graph.push(None)
            self._graph, ended = None, self._graph
            yield from self._pull(ended)

    def _pull(self, graph: av.filter.Graph | None = None) -> Iterator[NDArray[np.float32]]:
        while True:
            try:
                wave = (graph or self._graph).pull().to_ndarray()
            except (av.BlockingIOError, av.EOFError):
                return
            yield np.ascontiguousarray(wave.reshape(-1, self._channels).T)

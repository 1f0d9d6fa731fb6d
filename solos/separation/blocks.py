"""Recordings cut into the paper's segments, and their estimates put together again.

The networks see 256 STFT frames at a time: blocks of 65,535 samples. What is left at the end is
separated as the end of a whole block, with what comes before it; only a recording shorter than a
block is filled up, by its own reflection: networks never learned what zeros are.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solos import SEGMENT


def fill(waves: Tensor) -> Tensor:
    """(..., n) -> (..., 65535): what there is, then its reflection, to and fro."""
    n = waves.shape[-1]
    if n == SEGMENT:
        return waves
    places = torch.arange(SEGMENT) % max(1, 2 * (n - 1))
    return waves[..., torch.minimum(places, (2 * (n - 1) - places).abs())]


def block_starts(n_samples: int) -> list[tuple[int, int]]:
    """First sample of each block of a recording, and how many samples the block before has too.

    Those are none but for the last block, which ends where the recording does.
    """
    starts = [(start, 0) for start in range(0, n_samples - SEGMENT + 1, SEGMENT)]
    rest = n_samples % SEGMENT
    if not rest:
        return starts
    first = max(0, n_samples - SEGMENT)
    return [*starts, (first, n_samples - rest - first)]


def cut(blocks: Iterable[NDArray[np.float32]], hop: int) -> Iterator[tuple[int, Tensor, int]]:
    """Segments, one every ``hop`` samples: first sample, samples, how many of these not to use.

    Each holds samples that no earlier one has, so at the end none is begun for an overlap alone.
    The last one begins early enough to be whole, if the recording is as long.
    """
    held, start, before = np.zeros(0, np.float32), 0, np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > SEGMENT:
            yield start, torch.from_numpy(held[:SEGMENT]), 0
            before, held, start = held[:hop], held[hop:], start + hop
    if len(held):
        skip = min(len(before), SEGMENT - len(held))
        wave = np.concatenate([before[len(before) - skip :], held])
        yield start - skip, torch.from_numpy(wave), skip


def join(estimates: Iterable[Tensor], fade: int) -> Iterator[Tensor]:
    """Consecutive segments' estimates (n_src, n), cross-faded over ``fade`` samples."""
    rise = (torch.arange(fade) + 0.5) / max(fade, 1)
    tail = torch.zeros(1, 0)
    for estimate in estimates:
        shared = tail.shape[1]  # none before the first
        begin = torch.lerp(tail, estimate[:, :shared], rise[:shared])
        joined = torch.cat([begin, estimate[:, shared:]], dim=1)
        done = max(0, joined.shape[1] - fade)
        if done:
            yield joined[:, :done]
        tail = joined[:, done:]
    if tail.shape[1]:
        yield tail

"""Test segments as networks are given them: which can be separated, from what, by which masks."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solos import HOP_LENGTH, SEGMENT
from solos.config.recipes import Recipe
from solos.evaluation.segments import Segment
from solos.separation.blocks import block_starts, fill
from solos.separation.separator import Separator
from solos.separation.targets import Targets, picture_targets
from solos.signal.fourier import stft
from solos.signal.warp import log_warp

NO_VIDEO = "no video of the players, whom this network tells apart by sight"


def separable(separator: Separator, segment: Segment) -> bool:
    """Whether there is what ``separator`` tells sources apart by; if not: :data:`NO_VIDEO`."""
    return not separator.needs_frames or bool(segment.piece.sources[0].frames)


def separate_segments(separator: Separator, segments: Sequence[Segment]) -> Iterator[NDArray]:
    """Estimates of each segment's sources, (n_src, n_samples), those of equal length at a time."""
    for _, alike in groupby(segments, lambda segment: segment.mix.size):  # a kept tail is shorter
        batch = list(alike)
        mixes = torch.from_numpy(np.stack([segment.mix for segment in batch]))
        targets = [targets_of(segment, separator.recipe) for segment in batch]
        yield from (estimates.numpy() for estimates in separator.separate(mixes, targets))


def predict_masks(separator: Separator, segment: Segment) -> Tensor:
    """A network's masks of a segment, before any decision: (n_src, 256, 1 + n_samples // 256)."""
    device = next(separator.network.parameters()).device
    targets, masks = targets_of(segment, separator.recipe), []
    for start, skip in block_starts(segment.mix.size):
        block = torch.from_numpy(segment.mix[start : start + SEGMENT])
        mag = log_warp(stft(fill(block).to(device)).abs())[None, None]
        (found,) = separator.predict_masks(mag, [targets(start)])
        masks.append(found[..., skip // HOP_LENGTH :])
    return torch.cat(masks, dim=-1)[..., : 1 + segment.mix.size // HOP_LENGTH].cpu()


def targets_of(segment: Segment, recipe: Recipe) -> Targets:
    """The targets of a block of a segment, by its first sample there."""
    sources = [(source.instrument, source.frames) for source in segment.piece.sources]
    return lambda start: picture_targets(sources, segment.start + start, recipe)

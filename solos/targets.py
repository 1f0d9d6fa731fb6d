"""What a network is told of a test segment: its sound, and the pictures of its sources."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solos import HOP_LENGTH, SAMPLE_RATE, SEGMENT, SEGMENT_FRAMES
from solos.dataset import frame_indices
from solos.evaluation import Segment
from solos.recipes import Recipe, SopRecipe
from solos.separation import Separator, Target, picture_targets
from solos.stft import log_warp, stft

NO_VIDEO = "no video of the players, whom this network tells apart by sight"


def separable(separator: Separator, segment: Segment) -> bool:
    """Whether there is what ``separator`` tells sources apart by; if not: :data:`NO_VIDEO`."""
    return not separator.needs_frames or bool(segment.piece.sources[0].frames)


def separate_segments(separator: Separator, segments: Sequence[Segment]) -> list[NDArray]:
    """Estimates of each segment's sources, (n_src, n_samples), all separated as one batch."""
    if not segments:
        return []
    mixes = torch.from_numpy(np.stack([segment.mix for segment in segments]))
    targets = [targets_of(segment, separator.recipe) for segment in segments]
    return [estimates.numpy() for estimates in separator.separate(mixes, targets)]


def predict_masks(separator: Separator, segment: Segment) -> Tensor:
    """The masks by which a segment is separated: (n_src, 256, 256)."""
    mags = seen_magnitudes(separator, segment)
    return separator.predict_masks(mags, [targets_of(segment, separator.recipe)])[0].cpu()


def seen_magnitudes(separator: Separator, segment: Segment) -> Tensor:
    """A segment's mixture as its network sees it: (1, 1, 256, 256), on the network's device."""
    device = next(separator.network.parameters()).device
    return log_warp(stft(torch.from_numpy(segment.mix).to(device)).abs())[None, None]


def targets_of(segment: Segment, recipe: Recipe) -> list[Target]:
    """A segment's sources as a network of ``recipe`` knows them: with pictures, if it sees."""
    sources = [(source.instrument, source.frames) for source in segment.piece.sources]
    return picture_targets(sources, start_of(segment), recipe)


def picture_number(segment: Segment, recipe: SopRecipe) -> int:
    """Number (at 8 fps) of the middle one of the pictures that a network sees of a segment."""
    middle = (start_of(segment) + HOP_LENGTH * SEGMENT_FRAMES // 2) / SAMPLE_RATE
    return frame_indices(middle, recipe.frames, recipe.frame_stride)[recipe.frames // 2]


def start_of(segment: Segment) -> int:
    """Samples of its piece before it."""
    return segment.number * SEGMENT

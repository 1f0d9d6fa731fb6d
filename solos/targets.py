"""What a network is told of the sources of a test segment, and its estimates of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solos import HOP_LENGTH, SAMPLE_RATE, SEGMENT
from solos.dataset import evaluation_frames, frame_indices, load_pictures
from solos.evaluation import Segment
from solos.recipes import Recipe, SopRecipe
from solos.separation import Separator, Target

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


def targets_of(segment: Segment, recipe: Recipe) -> list[Target]:
    """A segment's sources as a network of ``recipe`` knows them: with pictures, if it sees."""
    if not isinstance(recipe, SopRecipe):
        return [Target(source.instrument) for source in segment.piece.sources]
    indices = picture_indices(segment, recipe)
    return [
        Target(source.instrument, [_pictures(path, indices, recipe) for path in source.frames])
        for source in segment.piece.sources
    ]


def picture_indices(segment: Segment, recipe: SopRecipe) -> list[int]:
    """Numbers of the pictures (at 8 fps) that a network sees of a segment, around its middle."""
    middle = start_of(segment) + HOP_LENGTH * 128 / SAMPLE_RATE
    return frame_indices(middle, recipe.frames, recipe.frame_stride)


def start_of(segment: Segment) -> float:
    """Seconds into its piece."""
    return segment.number * SEGMENT / SAMPLE_RATE


def _pictures(path: Path, indices: list[int], recipe: SopRecipe) -> Tensor:
    return evaluation_frames(load_pictures(path, indices), recipe.image_size)

"""The musicians of a segment: their pictures, and what a network hears where in them."""

import math
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from solos import FRAME_RATE, SAMPLE_RATE
from solos.evaluation.segments import Segment
from solos.models.inputs import evaluation_frames, load_pictures
from solos.report.embed import blend, frame_uri
from solos.separation.separator import Separator
from solos.separation.targets import block_pictures

SIDE = 200
"""Pixels of a musician's picture."""


@dataclass(frozen=True)
class Player:
    """A musician: a picture from the middle of the segment, as a data URI."""

    part: int
    frame: str
    localisation: str = ""
    """The map over the picture; empty without a network that sees."""
    contrast: float = 0.0
    """dB between the map's loudest and its quietest place."""


def see_players(segment: Segment, eyes: Separator | None) -> list[tuple[Player, ...]]:
    """The players of each source, none where the piece has no video.

    Args:
        eyes: a Sound of Pixels whose localisation maps are wanted; None for none.
    """
    return [
        tuple(
            _player(part, path, segment, eyes)
            for part, path in zip(source.parts, source.frames, strict=bool(source.frames))
        )
        for source in segment.piece.sources
    ]


def _player(part: int, path: Path, segment: Segment, eyes: Separator | None) -> Player:
    if eyes is None:
        middle = (segment.start + segment.mix.size / 2) / SAMPLE_RATE
        return Player(part, frame_uri(_square(load_pictures(path, [round(middle * FRAME_RATE)]))))
    pictures = block_pictures(path, segment.start, eyes.recipe)
    frame = _square(pictures[len(pictures) // 2 :][:1])
    places = eyes.localize([segment.mix], lambda start: _seen(path, segment.start + start, eyes))
    contrast = 10 * math.log10(places.max() / max(float(places.min()), 1e-20))
    return Player(part, frame_uri(frame), frame_uri(blend(frame, places.numpy())), contrast)


def _seen(path: Path, start: int, eyes: Separator) -> Tensor:
    """What the network sees of a player in the block that begins at a sample of the piece."""
    return evaluation_frames(block_pictures(path, start, eyes.recipe), eyes.recipe.image_size)


def _square(pictures: Tensor) -> NDArray:
    """The centre of a picture (1, 3, H, W), as networks see it but larger: (SIDE, SIDE, 3)."""
    picture = transforms.resize(pictures, [SIDE], antialias=True)
    return transforms.center_crop(picture, [SIDE, SIDE])[0].permute(1, 2, 0).numpy()

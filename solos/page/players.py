"""The musicians of a segment: their pictures, and what a network hears where in them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as transforms

from solos import FRAME_RATE, SAMPLE_RATE
from solos.dataset import load_pictures
from solos.evaluation import Segment
from solos.masks import log_input
from solos.page.media import blend, frame_uri
from solos.separation import Separator
from solos.targets import picture_number, seen_magnitudes, start_of, targets_of

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
    if eyes is None:
        index = round((start_of(segment) + segment.mix.size / 2) / SAMPLE_RATE * FRAME_RATE)
    else:
        index = picture_number(segment, eyes.recipe)
    sources = segment.piece.sources
    maps = _localise(segment, eyes) if eyes else [[None] * len(s.frames) for s in sources]
    return [
        tuple(
            _player(part, _square(path, index), places)
            for part, path, places in zip(source.parts, source.frames, seen, strict=False)
        )  # parts without frames: a piece without video
        for source, seen in zip(sources, maps, strict=True)
    ]


def _player(part: int, frame: NDArray, places: NDArray | None) -> Player:
    if places is None:
        return Player(part, frame_uri(frame))
    contrast = 10 * np.log10(places.max() / max(float(places.min()), 1e-20))
    return Player(part, frame_uri(frame), frame_uri(blend(frame, places)), float(contrast))


def _square(path: Path, index: int) -> NDArray:
    """The centre of a picture, as networks see it but larger: uint8 (SIDE, SIDE, 3)."""
    picture = transforms.resize(load_pictures(path, [index]), [SIDE], antialias=True)
    return transforms.center_crop(picture, [SIDE, SIDE])[0].permute(1, 2, 0).numpy()


def _localise(segment: Segment, eyes: Separator) -> list[list[NDArray]]:
    """A map (h, w) for each player of each source."""
    log_mag = log_input(seen_magnitudes(eyes, segment))
    return [
        [
            eyes.network.localize(pictures[None].to(log_mag.device), log_mag)[0].cpu().numpy()
            for pictures in target.players
        ]
        for target in targets_of(segment, eyes.recipe)
    ]

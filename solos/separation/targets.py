"""What is known of the sources to be separated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from solos import HOP_LENGTH, SAMPLE_RATE, SEGMENT_FRAMES
from solos.config.recipes import Recipe, SopRecipe
from solos.models.inputs import evaluation_frames, frame_indices, load_pictures


@dataclass(frozen=True)
class Target:
    """What is known of a source to be separated."""

    instrument: str
    """One of ``solos.INSTRUMENTS``; Sound of Pixels goes by the pictures alone."""
    players: Sequence[Tensor] = field(default=())
    """Pictures of each player of that instrument: (3, T, H, W), normalised."""


Targets = Callable[[int], Sequence[Target]]
"""The targets of the block that begins at a sample: its pictures are those around its middle."""


def picture_targets(
    sources: Sequence[tuple[str, Sequence[Path]]], start: int, recipe: Recipe
) -> list[Target]:
    """Targets of the block of a recording that begins at sample ``start``.

    Args:
        sources: instrument and archives of pictures (8 fps) of its players, for each source.
        recipe: the network's: how many pictures of which size; MHU-Net needs none.
    """
    if not isinstance(recipe, SopRecipe):
        return [Target(instrument) for instrument, _ in sources]
    size = recipe.image_size
    return [
        Target(
            instrument,
            [evaluation_frames(block_pictures(path, start, recipe), size) for path in players],
        )
        for instrument, players in sources
    ]


def block_pictures(archive: Path, start: int, recipe: SopRecipe) -> Tensor:
    """Pictures around the middle of the block that begins at a sample: (T, 3, H, W) uint8."""
    middle = (start + HOP_LENGTH * SEGMENT_FRAMES // 2) / SAMPLE_RATE
    return load_pictures(archive, frame_indices(middle, recipe.frames, recipe.frame_stride))

"""Separate the test set's segments with a trained row, and score them."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pipeline.common import run_items, run_stage
from solos import HOP_LENGTH, SAMPLE_RATE
from solos.config import Params, Protocol
from solos.dataset import evaluation_frames, frame_indices, load_pictures
from solos.errors import UserError
from solos.evaluation import score_segment, skip_segment, write_absent_row, write_row
from solos.recipes import SopRecipe
from solos.segments import Segment, prepared_pieces, read_segments, segment_starts
from solos.separation import Separator, Target, load_separator

NO_VIDEO = "no video of the players, whom this network tells apart by sight"
EVALUATION = Path("data/evaluation")
METRICS = Path("metrics")


def main(params: Params, name: str) -> None:
    if name not in params.model:
        raise UserError(f"row {name!r} is not in params.yaml's model: {', '.join(params.model)}")
    protocol = params.evaluate
    separator = load_separator(Path("data/models") / name)
    pieces = prepared_pieces(Path("data/urmp"), protocol.repeats)
    segments = read_segments(pieces, protocol)
    if separator.needs_frames and not any(piece.sources[0].frames for piece in pieces):
        write_absent_row(name, segments, NO_VIDEO, EVALUATION, METRICS)
        return
    work = separate_all(separator, segments, protocol.batch_size)
    total = sum(len(segment_starts(piece, protocol)) for piece in pieces)
    one = partial(score, protocol=protocol)
    lines = run_items(one, work, params.parallel, f"evaluate {name}", total)
    write_row(name, [line for segment in lines for line in segment], EVALUATION, METRICS)


def score(work: tuple[Segment, np.ndarray | None], protocol: Protocol) -> list[dict]:
    """Lines of a segment; without estimates, why there are none."""
    torch.set_num_threads(1)  # the segments run in parallel
    segment, estimates = work
    if estimates is None:
        return skip_segment(segment, NO_VIDEO)
    return score_segment(segment, estimates, protocol)


def separate_all(
    separator: Separator, segments: Iterator[Segment], size: int
) -> Iterable[tuple[Segment, np.ndarray | None]]:
    """Each segment with its estimates (n_src, 65535), separated ``size`` at a time."""
    while batch := list(islice(segments, size)):
        possible = [segment for segment in batch if _possible(separator, segment)]
        estimates = iter(_separate(separator, possible))
        for segment in batch:
            yield segment, next(estimates) if _possible(separator, segment) else None


def _possible(separator: Separator, segment: Segment) -> bool:
    return not separator.needs_frames or bool(segment.piece.sources[0].frames)


def _separate(separator: Separator, segments: list[Segment]) -> list[np.ndarray]:
    if not segments:
        return []
    mixes = torch.from_numpy(np.stack([segment.mix for segment in segments]))
    targets = [_targets(separator, segment) for segment in segments]
    return [estimates.numpy() for estimates in separator.separate(mixes, targets)]


def _targets(separator: Separator, segment: Segment) -> list[Target]:
    recipe = separator.recipe
    if not isinstance(recipe, SopRecipe):
        return [Target(source.instrument) for source in segment.piece.sources]
    middle = (segment.start + HOP_LENGTH * 128) / SAMPLE_RATE
    indices = frame_indices(middle, recipe.frames, recipe.frame_stride)
    return [
        Target(source.instrument, [_pictures(path, indices, recipe) for path in source.frames])
        for source in segment.piece.sources
    ]


def _pictures(path: Path, indices: list[int], recipe: SopRecipe) -> torch.Tensor:
    return evaluation_frames(load_pictures(path, indices), recipe.image_size)


if __name__ == "__main__":
    run_stage(main, ())

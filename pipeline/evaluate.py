"""Separate the test set's segments with a trained row, and score them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pipeline.common import run_items, run_stage
from solos.config import Params
from solos.errors import UserError
from solos.evaluation import (
    Segment,
    prepared_pieces,
    read_segments,
    score_segment,
    skip_segment,
    write_absent_row,
    write_row,
)
from solos.separation import Separator, load_separator
from solos.targets import NO_VIDEO, separable, separate_segments

EVALUATION = Path("data/evaluation")
METRICS = Path("metrics")


def main(params: Params, name: str) -> None:
    if name not in params.model:
        raise UserError(f"row {name!r} is not in params.yaml's model: {', '.join(params.model)}")
    separator = load_separator(Path("data/models") / name)
    pieces = prepared_pieces(Path("data/urmp"))
    if separator.needs_frames and not any(piece.sources[0].frames for piece in pieces):
        write_absent_row(name, read_segments(pieces), NO_VIDEO, EVALUATION, METRICS)
        return
    work = separate_all(separator, read_segments(pieces), params.evaluate.batch_size)
    total = sum(piece.n_segments for piece in pieces)
    lines = run_items(score, work, params.parallel, f"evaluate {name}", total)
    write_row(name, [line for segment in lines for line in segment], EVALUATION, METRICS)


def score(work: tuple[Segment, np.ndarray | None]) -> list[dict]:
    """Lines of a segment; without estimates, why there are none."""
    torch.set_num_threads(1)  # the segments run in parallel
    segment, estimates = work
    if estimates is None:
        return skip_segment(segment, NO_VIDEO)
    return score_segment(segment, estimates)


def separate_all(
    separator: Separator, segments: Iterator[Segment], size: int
) -> Iterable[tuple[Segment, np.ndarray | None]]:
    """Each segment with its estimates (n_src, 65535), separated ``size`` at a time."""
    while batch := list(islice(segments, size)):
        possible = [segment for segment in batch if separable(separator, segment)]
        estimates = iter(separate_segments(separator, possible))
        for segment in batch:
            yield segment, next(estimates) if separable(separator, segment) else None


if __name__ == "__main__":
    run_stage(main, ())

"""Separate the test set's segments with a trained row, and score them."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pipeline.common import run_items, run_stage
from solos.config.params import Params
from solos.config.rows import Protocol
from solos.errors import UserError
from solos.evaluation.scores import score_segment, skip_segment, write_absent_row, write_row
from solos.evaluation.segments import Segment, prepared_pieces, read_segments, segment_starts
from solos.separation.segments import NO_VIDEO, separable, separate_segments
from solos.separation.separator import Separator, load_separator

EVALUATION = Path("data/evaluation")
METRICS = Path("metrics")


def main(params: Params, name: str) -> None:
    if name not in params.model:
        raise UserError(f"row {name!r} is not in params.yaml's model: {', '.join(params.model)}")
    protocol = params.evaluate
    separator = load_separator(Path("data/models") / name, protocol.masks)
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
    """Each segment with its estimates (n_src, n_samples), separated ``size`` at a time."""
    while batch := list(islice(segments, size)):
        possible = [segment for segment in batch if separable(separator, segment)]
        estimates = separate_segments(separator, possible)
        for segment in batch:
            yield segment, next(estimates) if separable(separator, segment) else None


if __name__ == "__main__":
    run_stage(main, ())

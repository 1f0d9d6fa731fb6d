"""Separate the test set's segments with a trained row, and score them.

Beside the row itself, ``data/variants/<row>.json`` has its figures by other choices.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.common import run_stage
from pipeline.engines.spread import run_items
from solos.config.params import Params
from solos.config.rows import Protocol
from solos.errors import UserError
from solos.evaluation import segments
from solos.evaluation.scores import (
    EACH,
    score_rows,
    skip_segment,
    write_absent_row,
    write_row,
    write_variants,
)
from solos.evaluation.segments import Piece, Segment, segment_starts
from solos.separation.segments import NO_VIDEO
from solos.separation.separator import load_separator
from solos.separation.variants import ROW, Way, separate_pieces, ways_of

URMP = Path("data/urmp")
EVALUATION = Path("data/evaluation")
VARIANTS = Path("data/variants")
METRICS = Path("metrics")


def main(params: Params, name: str) -> None:
    if name not in params.model:
        raise UserError(f"row {name!r} is not in params.yaml's model: {', '.join(params.model)}")
    protocol = params.evaluate
    separator = load_separator(Path("data/models") / name, protocol.masks)
    pieces = segments.prepared_pieces(URMP, protocol.repeats)
    if separator.needs_frames and not any(piece.sources[0].frames for piece in pieces):
        write_variants({}, VARIANTS, name)
        every = segments.read_segments(pieces, protocol)
        write_absent_row(name, every, NO_VIDEO, EVALUATION, METRICS)
        return
    ways, repeating = ways_of(separator, protocol), segments.repeating_pieces(URMP)
    lines = score_pieces(ways, pieces, params, f"evaluate {name}")
    row, own = lines.pop(ROW), {ROW: ways[ROW]}
    lines[EACH] = score_pieces(own, repeating, params, f"evaluate {name}, {EACH}")[ROW]
    write_variants(lines, VARIANTS, name)
    write_row(name, row, EVALUATION, METRICS)


def score_pieces(
    ways: dict[str, Way], pieces: list[Piece], params: Params, description: str
) -> dict[str, list[dict]]:
    """Each way's lines of all segments of some pieces."""
    protocol = params.evaluate
    work = separate_pieces(ways, pieces, protocol.batch_size)
    total = sum(len(segment_starts(piece, protocol)) for piece in pieces)
    one = partial(score, ways=list(ways), protocol=protocol)
    scored = run_items(one, work, params.parallel, description, total)
    return {way: [line for segment in scored for line in segment[way]] for way in ways}


def score(
    work: tuple[Segment, dict[str, np.ndarray]], ways: list[str], protocol: Protocol
) -> dict[str, list[dict]]:
    """Each way's lines of a segment; without estimates, why there are none."""
    torch.set_num_threads(1)  # the segments run in parallel
    segment, estimates = work
    if not estimates:
        return {way: skip_segment(segment, NO_VIDEO) for way in ways}
    return score_rows(segment, estimates, protocol)


if __name__ == "__main__":
    run_stage(main, ())

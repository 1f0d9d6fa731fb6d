"""Score what needs no training on the test set: the mixture itself, or the ideal masks.

Two stages of dvc.yaml, ``baselines`` and ``oracles``, as ``dvc metrics show`` prints rows in the
order of the stages, and the trained rows belong between the floor and the ceiling.
"""

from functools import partial
from pathlib import Path

import torch

from pipeline.common import run_stage
from pipeline.engines.spread import run_items
from solos.config.params import Params
from solos.config.rows import Protocol
from solos.evaluation.oracles import baseline_estimates
from solos.evaluation.scores import EACH, score_rows, write_row, write_variants
from solos.evaluation.segments import Piece, prepared_pieces, read_pairs, repeating_pieces

URMP = Path("data/urmp")
EVALUATION = Path("data/evaluation")
VARIANTS = Path("data/variants")
METRICS = Path("metrics")
ROWS = {"mixture": ("mixture",), "oracles": ("oracle_binary", "oracle_ratio")}


def score_piece(piece: Piece, rows: tuple[str, ...], protocol: Protocol) -> dict[str, list[dict]]:
    """Lines of the given rows for all segments of a piece."""
    torch.set_num_threads(1)  # the pieces run in parallel
    lines: dict[str, list[dict]] = {row: [] for row in rows}
    for segment, heard in read_pairs([piece], protocol):
        estimates = baseline_estimates(heard.mix, heard.references)
        scored = score_rows(segment, {row: estimates[row] for row in rows}, protocol)
        for row in rows:
            lines[row] += scored[row]
    return lines


def main(params: Params, which: str) -> None:
    """Write ``data/evaluation/<row>.csv``, ``metrics/<row>.json`` and the variants of each row."""
    rows = ROWS[which]
    score = partial(score_piece, rows=rows, protocol=params.evaluate)
    usable = prepared_pieces(URMP, params.evaluate.repeats)
    pieces = run_items(score, usable, params.parallel, which)
    each = run_items(score, repeating_pieces(URMP), params.parallel, f"{which}, {EACH}")
    for row in rows:
        lines = [line for piece in pieces for line in piece[row]]
        write_variants({EACH: [line for piece in each for line in piece[row]]}, VARIANTS, row)
        write_row(row, lines, EVALUATION, METRICS)


if __name__ == "__main__":
    run_stage(main, tuple(ROWS))

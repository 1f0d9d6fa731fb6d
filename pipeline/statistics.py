"""Intervals, improvements, breakdowns and comparisons of the rows, a table each."""

from pathlib import Path

from pipeline.common import run_stage
from solos.config.params import Params
from solos.evaluation.oracles import BASELINES
from solos.evaluation.rows import ROWS
from solos.statistics.bootstrap import Bootstrap
from solos.statistics.tables import all_tables, read_scores, write_table

EVALUATION = Path("data/evaluation")
OUTPUT = Path("data/statistics")


def main(params: Params) -> None:
    bootstrap = Bootstrap(**params.statistics.model_dump(), seed=params.seed)
    scores = read_scores(EVALUATION, rows_of(params))
    for name, table in all_tables(scores, bootstrap).items():
        write_table(table, OUTPUT / f"{name}.csv")


def rows_of(params: Params) -> list[str]:
    """The rows of this run in the table's order (files of other runs are ignored)."""
    run = [*BASELINES, *params.model]
    return [row for row in dict.fromkeys([*ROWS, *run]) if row in run]


if __name__ == "__main__":
    run_stage(main)

"""From a run's files to what the page shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from solos.config.rows import Protocol
from solos.evaluation.rows import ROWS, name_of
from solos.evaluation.scores import COLUMNS
from solos.evaluation.segments import Segment
from solos.report import curves, figures, tables
from solos.report.choice import Choice, choose, improvements
from solos.report.data import COVERAGE, PIECES, coverage, pieces
from solos.report.examples import Example, make_example
from solos.report.render import Content
from solos.report.table2 import (
    PLAYERS,
    PLAYERS_NOTE,
    VARIANTS,
    VARIANTS_NOTE,
    same_instrument,
    variants,
)
from solos.report.tables import Table
from solos.separation.separator import Separator
from solos.storage.frames import read_frame

_TEXTS = {"part": str, "skipped": str}

MUSIC = "pretrained"
"""The stage whose log is of Sound of Pixels' training on MUSIC; there is none if it had files."""
LOSSES = (
    ("sop", "Sound of Pixels: validation loss", "weighted binary cross-entropy"),
    ("mhunet", "Multi-Head U-Net: loss and curriculum", "squared error of the masks"),
    ("informed", "U-Net told the instruments: loss", "negative SDR of spectra, dB"),
)
"""Recipe, heading of its figure, and what its loss is."""


@dataclass(frozen=True)
class Run:
    """A run's folder ``data``, its rows and its settings."""

    data: Path
    metrics: Mapping[str, dict]
    """Of each row, as :func:`solos.report.table2.read_metrics` gives them."""
    others: Mapping[str, dict]
    """Of each row, what :func:`solos.evaluation.scores.write_variants` wrote."""
    networks: Mapping[str, str]
    """The network of each trained row, by its name in ``train``."""
    recipes: Mapping[str, str]
    """Of each trained row: ``sop``, ``mhunet`` or ``informed``."""
    sets: Sequence[str]
    """Names of the training sets."""
    protocol: Protocol
    profile: str
    seed: int
    confidence: float
    provenance: Mapping[str, object]

    @property
    def rows(self) -> list[str]:
        """All rows of the table: the paper's and this project's in order, then others."""
        return list(dict.fromkeys([*ROWS, *self.metrics]))

    @property
    def by_sight(self) -> list[str]:
        """The rows that tell players apart by their pictures."""
        return [row for row, recipe in self.recipes.items() if recipe == "sop"]


def read_lines(run: Run) -> dict[str, pd.DataFrame]:
    """``data/evaluation/<row>.csv`` of each row of the run that has one, in the table's order."""
    paths = {row: run.data / "evaluation" / f"{row}.csv" for row in run.rows if row in run.metrics}
    return {
        row: read_frame(path, "that scores it", COLUMNS, dtype=_TEXTS).fillna({"skipped": ""})
        for row, path in paths.items()
        if path.exists()
    }


def choose_segments(lines: Mapping[str, pd.DataFrame], run: Run) -> list[Choice]:
    """The segments to listen to (see :mod:`solos.report.choice`)."""
    return choose(improvements(lines, list(run.networks)), run.seed)


def find_eyes(run: Run) -> str | None:
    """The Sound of Pixels whose localisation maps are shown: the one of the highest mean SDR."""
    means = {
        row: run.metrics[row]["SDR"]["mean"]
        for row, network in run.networks.items()
        if network == "sop" and run.metrics.get(row, {}).get("SDR", {}).get("mean") is not None
    }
    return max(means, key=means.__getitem__, default=None)


def make_examples(
    choices: Sequence[Choice],
    segments: Iterable[Segment],
    separators: Mapping[str, Separator],
    eyes: str | None,
) -> list[Example]:
    """The chosen ones among ``segments``, in the order of the choices."""
    places = {(choice.piece, choice.number): choice for choice in choices}
    made = {}
    for segment in segments:
        choice = places.get((segment.piece.name, segment.number))
        if choice is not None:
            made[choice] = make_example(choice, segment, separators, eyes)
    return [made[choice] for choice in choices]


def gather(run: Run, lines: Mapping[str, pd.DataFrame], examples: Sequence[Example]) -> Content:
    """All that the page shows.

    Raises:
        UserError: a table of the stage ``statistics`` is missing.
    """
    statistics = tables.read_statistics(run.data / "statistics")
    scored = {row: table[table["skipped"] == ""] for row, table in lines.items()}
    scored = {row: table for row, table in scored.items() if not table.empty}
    return Content(
        profile=run.profile,
        confidence=run.confidence,
        rows=tables.table2(run.metrics, statistics["rows"], run.rows),
        examples=examples,
        no_examples="" if examples else _why_none(lines, run),
        scores=_scores(scored),
        eyes=find_eyes(run) or "",
        overview=figures.overview(statistics["rows"], run.rows),
        breakdowns=_breakdowns(statistics, scored, run),
        agreement=(
            figures.agreement(scored, run.rows, run.seed),
            tables.agreement(statistics["agreement"]),
        ),
        curves=_curves(run),
        tables=[_same_instrument(run), _other_choices(run), *_tables(statistics)],
        data=_data(run),
        provenance=run.provenance,
    )


def _why_none(lines: Mapping[str, pd.DataFrame], run: Run) -> str:
    trained = [lines[row] for row in run.networks if row in lines]
    reasons = sorted({reason for table in trained for reason in table["skipped"]} - {""})
    return f"No segment was scored for all trained rows: {'; '.join(reasons) or 'there are none'}."


def _scores(scored: Mapping[str, pd.DataFrame]) -> dict[tuple[str, str, int, str], str]:
    return {
        (row, line.piece, line.segment, line.part): tables.number(line.SDR, 1)
        for row, table in scored.items()
        for line in table.itertuples()
    }


def _breakdowns(
    statistics: Mapping[str, pd.DataFrame], scored: Mapping[str, pd.DataFrame], run: Run
) -> list[tuple[str, Table]]:
    shown = {row: table for row, table in scored.items() if row in (*run.networks, "mixture")}
    by_instrument = tables.breakdown(statistics["by_instrument"], "instrument", "SDR by instrument")
    by_n_sources = tables.breakdown(
        statistics["by_n_sources"], "n_sources", "SDR by number of sources"
    )
    what = "SDR by instrument, a box for each row; the means are in the table below"
    first = figures.boxes(shown, "instrument", run.rows, what, "")
    what = "SDR by number of sources, a box for each row; the means are in the table below"
    second = figures.boxes(scored, "n_sources", run.rows, what, "number of sources")
    return [(first, by_instrument), (second, by_n_sources)]


def _curves(run: Run) -> list[tuple[str, str]]:
    recipes = {**run.recipes, MUSIC: "sop"}
    logs = curves.read_curves(run.data / "training", list(recipes))
    logs = {row: log for row, log in logs.items() if len(log) > 1}  # others were only taken over
    names = {row: name_of(row) for row in run.rows} | {MUSIC: "on MUSIC"}
    found = []
    for recipe, heading, loss in LOSSES:
        some = {row: log for row, log in logs.items() if recipes[row] == recipe}
        if some:
            found.append((heading, curves.losses(some, names, loss, f"loss-{recipe}")))
    return found


def _other_choices(run: Run) -> Table:
    lines = variants(run.metrics, run.others)
    return Table(
        "Other choices: masks decided or not, drift or none", VARIANTS, lines, VARIANTS_NOTE
    )


def _same_instrument(run: Run) -> Table:
    lines = same_instrument(run.others, run.by_sight)
    return Table("Several players of one instrument", PLAYERS, lines, PLAYERS_NOTE)


def _tables(statistics: Mapping[str, pd.DataFrame]) -> list[Table]:
    every = [
        tables.improvement(statistics["improvement"]),
        *tables.paired(statistics["paired"]),
        tables.silence(statistics["silence"]),
    ]
    return [table for table in every if table.lines]


def _data(run: Run) -> list[Table]:
    sets = {name: run.data / "coverage" / f"{name}.csv" for name in run.sets}
    return [
        Table("Training data: recordings listed and usable", COVERAGE, coverage(sets)),
        Table("Test set: what became of its pieces", PIECES, pieces(run.data / "urmp/pieces.csv")),
    ]

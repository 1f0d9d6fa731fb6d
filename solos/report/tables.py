"""The page's tables, as text: Table II with intervals, and what stands behind its means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from solos.evaluation.rows import name_of
from solos.evaluation.scores import METRICS
from solos.report.table2 import PUBLISHED, absence, mean_std
from solos.storage.frames import read_frame

NAMES = ("rows", "improvement", "by_instrument", "by_n_sources", "paired", "silence", "agreement")
"""Of the tables that the stage ``statistics`` writes."""
_KEYS = {"silence": ("row",), "agreement": ("row",)}


@dataclass(frozen=True)
class Table:
    """A header and lines of text; the first cell of a line is what the line is about."""

    caption: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A cell of Table II."""

    measured: str
    interval: str
    paper: str


@dataclass(frozen=True)
class Row:
    """A line of Table II."""

    row: str
    name: str
    figures: Mapping[str, Figure]
    """By metric."""
    segments: str
    skipped: str
    reason: str
    """Why there are no figures; empty if there are."""


def read_statistics(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of the stage ``statistics``, by name.

    Raises:
        UserError: one is missing.
    """
    return {
        name: read_frame(folder / f"{name}.csv", "statistics", _KEYS.get(name, ("row", "metric")))
        for name in NAMES
    }


def table2(metrics: Mapping[str, dict], rows: pd.DataFrame, names: Sequence[str]) -> list[Row]:
    """Measured figures with intervals beside the published ones, a row a name.

    Args:
        metrics: as for :func:`solos.report.table2.table2`.
        rows: ``rows`` of :func:`read_statistics`.
    """
    lines = {(line["row"], line["metric"]): line for _, line in rows.iterrows()}
    return [
        Row(
            row=row,
            name=name_of(row),
            figures={name: _figure(row, name, metrics.get(row), lines) for name in METRICS},
            segments=str(metrics.get(row, {}).get("segments", "")),
            skipped=str(metrics.get(row, {}).get("skipped", "")),
            reason=absence(metrics.get(row)),
        )
        for row in names
    ]


def _figure(row: str, name: str, metrics: dict | None, lines: Mapping) -> Figure:
    summary = (metrics or {}).get(name)
    measured = summary is not None and summary["mean"] is not None
    line = lines.get((row, name))
    return Figure(
        measured=mean_std((summary["mean"], summary["std"])) if measured else "",
        interval=interval(line) if measured and line is not None else "",
        paper=mean_std(PUBLISHED.get(row, {}).get(name)),
    )


def number(value: float, digits: int = 2) -> str:
    """A figure with a real minus sign; empty for NaN."""
    return "" if np.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def interval(line: pd.Series) -> str:
    """The bounds of a mean; empty where there are none."""
    if np.isnan(line["low"]):
        return ""
    return f"{number(line['low'])} to {number(line['high'])}"


def improvement(table: pd.DataFrame) -> Table:
    """Scores less the mixture's."""
    metrics = list(dict.fromkeys(table["metric"]))
    lines = []
    for row, group in table.groupby("row", sort=False):
        found = group.set_index("metric")
        cells = [_mean_interval(found.loc[m]) if m in found.index else "" for m in metrics]
        lines.append([name_of(str(row)), *cells])
    header = ["row", *(f"{metric}, dB" for metric in metrics)]
    return Table("Improvement over the unprocessed mixture", header, lines)


def _mean_interval(line: pd.Series) -> str:
    bounds = interval(line)
    return number(line["mean"]) + (f" ({bounds})" if bounds else "")


def paired(table: pd.DataFrame) -> list[Table]:
    """Differences between each two rows on the same sources and segments, a table a metric."""
    header = ["rows", "mean, dB", "interval", "median", "better in", "sources", "titles"]
    return [
        Table(f"Paired differences in {metric}", header, [_pair(line) for _, line in g.iterrows()])
        for metric, g in table.groupby("metric", sort=False)
    ]


def _pair(line: pd.Series) -> list[str]:
    names = f"{name_of(line['other'])} over {name_of(line['row'])}"
    share = f"{100 * line['wins']:.0f} %"
    figures = [number(line["mean"]), interval(line), number(line["median"]), share]
    return [names, *figures, str(int(line["n"])), str(int(line["titles"]))]


def silence(table: pd.DataFrame) -> Table:
    """What is left where a source is silent."""
    lines = [
        [
            name_of(line["row"]),
            number(line["mean"]),
            interval(line),
            number(line["median"]),
            str(int(line["n"])),
            str(int(line["titles"])),
        ]
        for _, line in table.iterrows()
    ]
    header = ["row", "mean, dB", "interval", "median", "sources", "titles"]
    note = "PES: energy of the estimate where the reference is silent. Lower is better."
    return Table("Predicted energy at silence", header, lines, note)


def agreement(table: pd.DataFrame) -> Table:
    """How SDR and SI-SDR go together."""
    lines = [
        [
            name_of(line["row"]),
            number(line["pearson"]),
            number(line["spearman"]),
            mean_std((line["mean_difference"], line["std_difference"])),
            str(int(line["n"])),
        ]
        for _, line in table.iterrows()
    ]
    header = ["row", "Pearson", "Spearman", "SDR − SI-SDR, dB", "sources"]
    return Table("Agreement of SDR and SI-SDR", header, lines)


def breakdown(table: pd.DataFrame, by: str, caption: str) -> Table:
    """Mean SDR with its interval: a line for each value of the column ``by``, a column a row."""
    sdr = table[table["metric"] == "SDR"]
    rows = list(dict.fromkeys(sdr["row"]))
    lines = []
    for value, group in sdr.groupby(by):
        found = group.set_index("row")
        cells = [_mean_interval(found.loc[row]) if row in found.index else "" for row in rows]
        lines.append([str(value), *cells])
    return Table(caption, [by.replace("n_", ""), *map(name_of, rows)], lines)

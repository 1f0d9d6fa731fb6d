"""The page's figures of scores, as SVG."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from solos.evaluation.rows import name_of
from solos.report.style import GRID, INK, PAPER, WIDTH, colour, look, marker, svg
from solos.report.table2 import PUBLISHED

POINTS = 400
"""Points of a row in the scatter plots; beyond that, as many are drawn from them."""


def overview(rows: pd.DataFrame, names: Sequence[str]) -> str:
    """Mean SDR of each row with its interval, and the published mean.

    Args:
        rows: ``data/statistics/rows.csv``.
        names: all rows of the table, in order.
    """
    sdr = rows[rows["metric"] == "SDR"].set_index("row")
    with look("overview"):
        figure = Figure(figsize=(WIDTH, 0.36 * len(names) + 0.9), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(names):
            _interval(axes, place, sdr.loc[row] if row in sdr.index else None, row, names)
            if row in PUBLISHED:
                mean = PUBLISHED[row]["SDR"][0]
                axes.plot(mean, place, "d", mfc=PAPER, mec=INK, ms=8, zorder=2)
        axes.set_yticks(range(len(names)), [name_of(row) for row in names])
        axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="SDR, dB")
        axes.grid(visible=False, axis="y")
        axes.spines.left.set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.plot([], [], "o", color=INK, label="measured, with the interval of the mean")
        axes.plot([], [], "d", mfc=PAPER, mec=INK, ms=8, label="paper")
        figure.legend(loc="outside upper left", ncols=2)
        title = "Mean SDR of each row with its interval, beside the published means where there are"
        return svg(figure, "overview", f"{title}; the figures are in the table.")


def _interval(
    axes: Axes, place: int, line: pd.Series | None, row: str, names: Sequence[str]
) -> None:
    if line is None or np.isnan(line["mean"]):
        return
    paint = colour(row, names)
    axes.hlines(place, line["low"], line["high"], color=paint, lw=5, alpha=0.45, zorder=1)
    axes.plot(line["mean"], place, marker(row, names), color=paint, ms=8, zorder=3)
    axes.annotate(
        f"{line['mean']:.2f}".replace("-", "−"),
        (line["mean"], place),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        fontsize=8.5,
    )


def boxes(
    scores: Mapping[str, pd.DataFrame], by: str, names: Sequence[str], title: str, label: str
) -> str:
    """SDR of each row in box plots, one group for each value of the column ``by``.

    Boxes hold the middle half, whiskers reach to the last value within 1.5 times its width.

    Args:
        scores: the scored lines of each row.
        names: all rows of the table, in order, for their colours.
    """
    groups = sorted({value for lines in scores.values() for value in lines[by]})
    pitch = len(scores) + 1.2
    with look(by):
        height = 0.115 * pitch * len(groups) + 1.2
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        for offset, (row, lines) in enumerate(scores.items()):
            values = [lines.loc[lines[by] == group, "SDR"].dropna() for group in groups]
            places = np.arange(len(groups)) * pitch + offset - (len(scores) - 1) / 2
            _row_boxes(axes, values, places, colour(row, names))
        middle = np.arange(len(groups)) * pitch
        axes.set_yticks(middle, [str(group) for group in groups])
        axes.set_ylim((max(len(groups), 1) - 0.5) * pitch, -0.5 * pitch)
        for border in middle[:-1] + pitch / 2:
            axes.axhline(border, color=GRID, lw=0.7)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.axvline(0, color=INK, lw=0.8)
        axes.set(xlabel="SDR, dB", ylabel=label)
        handles = [Patch(color=colour(row, names), label=name_of(row)) for row in scores]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
        return svg(figure, by.replace("_", "-"), title)


def _row_boxes(axes: Axes, values: list[pd.Series], places: np.ndarray, paint: str) -> None:
    drawn = [(v, place) for v, place in zip(values, places, strict=True) if len(v)]
    if not drawn:
        return
    axes.boxplot(
        [v for v, _ in drawn],
        positions=[place for _, place in drawn],
        orientation="horizontal",
        widths=0.72,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": paint, "edgecolor": paint},
        medianprops={"color": PAPER, "linewidth": 1.6},
        whiskerprops={"color": paint, "linewidth": 1.2},
        capprops={"linewidth": 0},
        flierprops={"marker": ".", "ms": 2.5, "mfc": paint, "mec": "none"},
    )


def agreement(scores: Mapping[str, pd.DataFrame], names: Sequence[str], seed: int) -> str:
    """SDR against SI-SDR, a panel for each row: a point a source of a segment, :data:`POINTS`."""
    panels = max(1, -(-len(scores) // 2))
    with look("agreement"):
        figure = Figure(figsize=(WIDTH, 1.9 * panels + 0.4), layout="constrained")
        grid = figure.subplots(panels, 2, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(scores) :]:
            axes.set_visible(False)
        for axes, (row, lines) in zip(grid.flat, scores.items(), strict=False):
            axes.axline((0, 0), slope=1, color=INK, lw=0.8, ls=":")
            some = lines.sample(min(POINTS, len(lines)), random_state=seed % 2**32)
            paint = colour(row, names)
            axes.scatter(some["SI-SDR"], some["SDR"], s=9, alpha=0.55, lw=0, color=paint)
            axes.set_title(name_of(row))
        figure.supxlabel("SI-SDR, dB", fontsize=9)
        figure.supylabel("SDR, dB", fontsize=9)
        text = "SDR against SI-SDR of each source and segment, a panel for each row"
        return svg(figure, "agreement", f"{text}; correlations are in the table on agreement.")

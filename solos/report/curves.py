"""Training curves from dvclive's logs, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from solos.report.style import INK, WIDTH, colour, look, marker, svg
from solos.storage.files import intact
from solos.storage.frames import read_frame

_MANY = 40  # epochs beyond which points are not marked


def read_curves(folder: Path, rows: Sequence[str]) -> dict[str, pd.DataFrame]:
    """What was logged of each row that has a log: by epoch, a column for each metric.

    Args:
        folder: of ``<row>/plots/metrics/<metric>.tsv``; ``val_loss`` is always among them.
    """
    found = {row: sorted((folder / row / "plots" / "metrics").glob("*.tsv")) for row in rows}
    logs = {
        row: pd.concat([_read(path) for path in paths], axis=1).sort_index()
        for row, paths in found.items()
        if paths
    }
    for row, log in logs.items():
        with intact(found[row][0].with_name("val_loss.tsv"), "that trains it"):
            log["val_loss"]
    return logs


def _read(path: Path) -> pd.Series:
    table = read_frame(path, "that trains it", ("step", path.stem), sep="\t")
    return table.set_index("step")[path.stem]


def losses(
    curves: Mapping[str, pd.DataFrame], names: Mapping[str, str], ylabel: str, name: str
) -> str:
    """Validation loss of some rows by epoch; of a single row, also the training loss (dashed).

    Where the number of sources was raised, the curriculum is drawn behind, on an axis of its own.

    Args:
        curves: of :func:`read_curves`.
        names: what rows are called, of all rows in order, for their colours.
        name: the figure's, of letters.
    """
    with look(name):
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axes = figure.subplots()
        _curriculum(axes, curves)
        for row, log in curves.items():
            style = {"color": colour(row, list(names)), "markersize": 5}
            points = marker(row, list(names)) if len(log) <= _MANY else ""
            valid = log["val_loss"].dropna()
            axes.plot(valid.index, valid, marker=points, label=names[row], **style)
            if len(curves) == 1 and "train_loss" in log:
                train = log["train_loss"].dropna()
                axes.plot(train.index, train, ls="--", label=f"{names[row]}, training", **style)
        axes.set(xlabel="epoch", ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper left", ncols=2)
        return svg(figure, name, f"Loss by epoch of {', '.join(names[row] for row in curves)}.")


def _curriculum(axes: Axes, curves: Mapping[str, pd.DataFrame]) -> None:
    levels = [log["max_src"].dropna() for log in curves.values() if "max_src" in log]
    levels = [level for level in levels if level.nunique() > 1]
    if not levels:
        return
    behind = axes.twinx()
    axes.set_zorder(behind.get_zorder() + 1)
    for level in levels:
        behind.fill_between(level.index, 0, level, step="post", color=INK, alpha=0.1, lw=0)
        behind.step(level.index, level, where="post", color=INK, alpha=0.35, lw=1.2)
    top = int(max(level.max() for level in levels))
    behind.set(ylabel="curriculum: most sources in a mix", ylim=(0, top + 1))
    behind.set_yticks(range(2, top + 1))
    behind.grid(visible=False)

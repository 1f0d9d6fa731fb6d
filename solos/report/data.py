"""What the run was trained on and tested on, as lines of text."""

from collections.abc import Mapping
from pathlib import Path

from solos.storage.frames import read_frame

COVERAGE = ("set", "instrument", "usable", "hours", "not usable")


PIECES = ("status", "video", "remark", "pieces", "such as")


def coverage(tables: Mapping[str, Path]) -> list[list[str]]:
    """How much of each training set there was, by instrument and in all: :data:`COVERAGE`.

    Args:
        tables: name of the set -> the table that ``spectrograms`` wrote for it.
    """
    lines = []
    for name, path in tables.items():
        columns = ("instrument", "listed", "usable", "minutes", "not_usable")
        table = read_frame(path, "spectrograms", columns, keep_default_na=False)
        total = {"instrument": "all", "not_usable": ""}
        total |= {column: table[column].sum() for column in ("listed", "usable", "minutes")}
        for row in [total, *table.to_dict("records")]:
            usable = f"{row['usable']} of {row['listed']}"
            hours = f"{row['minutes'] / 60:.2f}"
            lines.append([name, row["instrument"], usable, hours, row["not_usable"]])
    return lines


def pieces(path: Path) -> list[list[str]]:
    """What became of the test set's pieces, a line for each kind of remark: :data:`PIECES`.

    Args:
        path: ``pieces.csv`` of the stage ``urmp``.
    """
    columns = ("status", "video", "reason", "piece")
    table = read_frame(path, "urmp", columns, keep_default_na=False)
    counted = table.groupby(["status", "video", "reason"])["piece"].agg(["count", "first"])
    return [[str(cell) for cell in row] for row in counted.reset_index().itertuples(index=False)]

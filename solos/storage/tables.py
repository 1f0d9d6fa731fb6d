"""The CSV tables in which every stage accounts for every item, usable or not."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from solos.storage.files import atomic, intact


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write ``rows`` under a header of ``columns``; what a row lacks is left empty.

    What is no UTF-8 (of a file's name, say) is escaped.

    Raises:
        ValueError: a row has a column that is not in ``columns``.
    """
    form = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
    with atomic(path) as temporary, temporary.open("w", **form) as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_table(path: Path, made_by: str) -> list[dict[str, str]]:
    """Read a table that the stage ``made_by`` wrote; every value is text.

    Raises:
        UserError: there is no such file, or it is damaged: rows are cut short, or no text at all.
    """
    with intact(path, made_by), path.open(newline="", encoding="utf-8") as stream:
        try:
            rows = list(csv.DictReader(stream))
        except csv.Error as error:
            raise ValueError(error) from None
        for line, row in enumerate(rows, 2):
            if None in row or None in row.values():
                cells = "more" if None in row else "fewer"
                raise ValueError(f"row {line} has {cells} cells than the header")
    return rows


def count_statuses(rows: Iterable[Mapping[str, object]]) -> str:
    """How many rows have which status, commonest first: ``118 ok, 3 private, 1 geo``."""
    counts = Counter(str(row["status"]) for row in rows)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {status}" for status, count in ordered) or "nothing"

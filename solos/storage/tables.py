"""The CSV tables in which every stage accounts for every item, usable or not."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from solos.errors import UserError
from solos.storage.files import atomic


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
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the stage {made_by} first") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): run the stage {made_by} again") from None
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values():
            cells = "more" if None in row else "fewer"
            raise UserError(
                f"{path} is damaged (row {line} has {cells} cells than the header): run the stage "
                f"{made_by} again"
            )
    return rows


def count_statuses(rows: Iterable[Mapping[str, object]]) -> str:
    """How many rows have which status, commonest first: ``118 ok, 3 private, 1 geo``."""
    counts = Counter(str(row["status"]) for row in rows)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {status}" for status, count in ordered) or "nothing"

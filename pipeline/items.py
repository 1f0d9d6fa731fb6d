"""The loop over items, written once: recordings, pieces, whatever a stage makes one by one.

A stage declares its items, what is made of one and which columns are said of it. Here each is made
under its key in ``.work`` (so an interruption loses none, and of several processes one makes it
while the others wait), linked into the stage's output and noted in its table.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.claims import Making
from pipeline.common import WORK
from solos.config.params import Parallel
from solos.errors import UserError
from solos.media.errors import ENVIRONMENT, MediaError
from solos.storage.cache import Cache, item_name, sweep
from solos.storage.files import empty
from solos.storage.tables import count_statuses, write_table

FOR_GOOD = ("download",)
"""Folders in ``.work`` of what is never pruned."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """What a stage makes files of."""

    name: str
    line: dict
    """What the table says of it whatever is made; with ``status`` and ``reason`` if nothing is."""
    subject: object = None
    """What :data:`Make` is given."""
    key: object = None
    """All that its files depend on, as plain values; None for one of which nothing can be made."""
    sources: tuple[Path, ...] = ()
    """The files it is made of. A verdict on them counts only if they are still as they were."""


Make = Callable[[object, Path], dict | None]
"""Writes the files of ``subject`` into a folder, laid out as in the output; returns columns.

Raises ``MediaError`` where the recording is the reason that there are none, anything else where the
machine is: then nothing is kept, and the stage ends.
"""


@dataclass(frozen=True)
class Place:
    """Where a stage works and writes."""

    title: str
    """Of the progress bar and the summary: ``extract solos``."""
    work: str
    """Folder in ``.work``."""
    output: Path
    table: str = ""
    """File in ``output``; none if empty."""
    columns: tuple[str, ...] = ()


def make_items(
    items: Sequence[Item],
    make: Make,
    place: Place,
    parallel: Parallel,
    *,
    complete: Callable[[list[dict]], None] | None = None,
    lasting: Callable[[dict], bool] | None = None,
) -> list[dict]:
    """Make all items, publish their files in ``place.output`` and write its table.

    Args:
        complete: fills in columns that depend on all lines, before the table is written.
        lasting: which results are for good, for items that are gone on with where they were left,
            and never pruned; by default all but those of status ``environment``.

    Returns:
        The table's lines.
    """
    cache = Cache(WORK / place.work)
    making = _making(make, cache, lasting)
    to_make = [(_folder(item), item) for item in items if item.key is not None]
    made = iter(making.all(to_make, parallel, place.title))
    results = [_nothing(item) if item.key is None else next(made) for item in items]
    empty(place.output)
    rows = [
        item.line | _publish(item, result, making, place.output)
        for item, result in zip(items, results, strict=True)
    ]
    if complete:
        complete(rows)
    if place.table:
        write_table(place.output / place.table, place.columns, rows)
    if not lasting:
        cache.prune(_folder(item) for item in items)
    sweep(WORK, FOR_GOOD)
    log.info("%s: %s", place.title, count_statuses(rows))
    return rows


def _publish(item: Item, result: dict, making: Making, output: Path) -> dict:
    """Link what was made of an item; its columns. What has vanished meanwhile is made again."""
    while result["status"] == "ok" and not making.cache.publish(_folder(item), output):
        result = making.one(_folder(item), item)
    return result


def _folder(item: Item) -> str:
    return item_name(item.name, item.key)


def _nothing(item: Item) -> dict:
    return {key: item.line[key] for key in ("status", "reason")}


def _making(make: Make, cache: Cache, lasting: Callable[[dict], bool] | None) -> Making:
    compute = partial(_attempt, make)
    return Making(cache, compute, lasting or _is_verdict, in_place=lasting is not None)


def _is_verdict(result: dict) -> bool:
    return result["status"] != ENVIRONMENT


def _attempt(make: Make, item: Item, folder: Path) -> dict:
    before = [_state(path) for path in item.sources]
    try:
        result = {"status": "ok", "reason": ""} | (make(item.subject, folder) or {})
        for path, state in zip(item.sources, before, strict=True):
            _require_unchanged(path, state, "")
        return result
    except MediaError as error:
        for path, state in zip(item.sources, before, strict=True):
            _require_unchanged(path, state, f" ({error})")
            _read_through(path)
        if not folder.is_dir():
            raise UserError(f"{folder} vanished while it was written to: run again") from error
        empty(folder)
        return {"status": error.status, "reason": str(error)}


def _require_unchanged(path: Path, state: object, remark: str) -> None:
    """What is made or said of a file holds if it is there, as it was.

    Raises:
        UserError: it is not: that says nothing about the recording.
    """
    if state is None or _state(path) != state:
        raise UserError(f"{path} vanished or changed while it was read{remark}: run again")


def _read_through(path: Path) -> None:
    """A verdict holds for a file that can be read to its end.

    Raises:
        UserError: the disk can't be read.
    """
    try:
        with path.open("rb") as stream:
            while stream.read(1 << 20):
                pass
    except OSError as error:
        raise UserError(
            f"{path} can't be read: {error.strerror}. Put that right, run again"
        ) from None


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns

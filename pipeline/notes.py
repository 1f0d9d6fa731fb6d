"""Stage ``notes``: recorded notes of the 13 instruments, trimmed, measured and divided.

Writes ``data/notes``: ``<Instrument>.npy`` and ``.csv`` (a line for each of its files, usable or
not), ``status.csv`` with a line an instrument and ``others.csv`` with the files not played from.
"""

import logging
from collections import Counter
from functools import partial
from pathlib import Path

from pipeline.archive import unpack_once
from pipeline.common import run_stage
from pipeline.items import Item, Place, make_items
from solos import notes as room
from solos.config.data import HOW_TO_GET_NOTES
from solos.config.params import Params
from solos.errors import UserError
from solos.notes.bank import build, short_of
from solos.notes.sources import archives, sort_files, unpack
from solos.storage.cache import code_of
from solos.storage.tables import write_table
from solos.synthesis.instruments import BY_NAME

log = logging.getLogger(__name__)
OUTPUT = Path("data/notes")
COLUMNS = ("instrument", "status", "reason", "files", "usable", "lowest", "highest")
FEWEST = 10
"""Usable notes of an instrument."""


def main(params: Params) -> None:
    """Prepare the notes in ``notes.path``."""
    path = Path(params.notes.path)
    folders = unpack_once(archives(path), unpack, "notes")
    files, others = sort_files([*([path] if path.is_dir() else []), *folders])
    place = Place("notes", "notes", OUTPUT, "status.csv", COLUMNS)
    make = partial(build_one, val_fraction=params.spectrograms.val_fraction)
    items = [to_item(name, files[name], params) for name in files]
    rows = make_items(items, make, place, params.parallel)
    write_table(OUTPUT / "others.csv", ("file", "reason"), others)
    for reason, count in Counter(line["reason"] for line in others).most_common():
        log.info("%d file(s) not played from: %s (%s)", count, reason, OUTPUT / "others.csv")
    for row in rows:
        if int(row["usable"]) and (remark := short_of(BY_NAME[row["instrument"]], row)):
            log.warning(remark)
    lacking = [row["instrument"] for row in rows if int(row["usable"]) < FEWEST]
    if lacking:
        raise UserError(
            f"{path}: fewer than {FEWEST} usable notes of {', '.join(lacking)} "
            f"({OUTPUT / 'status.csv'} counts them). {HOW_TO_GET_NOTES}"
        )


def to_item(instrument: str, files: list[Path], params: Params) -> Item:
    """All notes of an instrument."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    key = (stats, code_of(room), params.spectrograms.val_fraction)
    line = {"instrument": instrument, "files": len(files)}
    return Item(instrument, line, (files, instrument), key, tuple(files))


def build_one(subject: tuple[list[Path], str], folder: Path, val_fraction: float) -> dict:
    """Write an instrument's files; columns of the table."""
    return build(*subject, folder, val_fraction)


if __name__ == "__main__":
    run_stage(main)

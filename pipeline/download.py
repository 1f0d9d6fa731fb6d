"""Stage ``download@solos``, ``@music``: from the index to a file a recording, with yt-dlp.

Writes ``data/raw/<set>``: ``<id>.<ext>`` and ``status.csv``, a line a recording. Downloads are kept
in ``.work/download`` for good. (Solos and MUSIC share some recordings: those are fetched once.)
"""

import logging
from collections import Counter
from pathlib import Path

from pipeline.common import run_stage
from pipeline.items import Item, Place, make_items
from solos.config.data import Download
from solos.config.params import Parallel, Params
from solos.datasets.index import Recording, select
from solos.download.coverage import lacking
from solos.download.fetcher import Fetcher, content_of
from solos.download.outcomes import GONE
from solos.errors import UserError
from solos.storage.tables import count_statuses

log = logging.getLogger(__name__)

COLUMNS = (
    *("id", "instrument", "status", "reason", "file", "bytes"),
    *("duration", "resolution", "sha256", "attempts"),
)


def main(params: Params, name: str) -> None:
    """Fetch the recordings of the data set ``name``."""
    settings, output = params.download, Path("data/raw") / name
    fetch = Fetcher(settings)
    items = [to_item(recording, settings) for recording in select(params.dataset[name])]
    place = Place(f"download {name}", "download", output, "status.csv", COLUMNS)
    threads = Parallel(backend="threading", jobs=settings.jobs)
    rows = make_items(items, fetch, place, threads, lasting=fetch.is_final)
    _check_coverage(rows, name, settings, fetch.tripped)


def to_item(recording: Recording, settings: Download) -> Item:
    """A line of the index."""
    line = {"id": recording.id, "instrument": recording.instrument}
    key = (recording.url, settings.format, content_of(recording.url))
    return Item(recording.id, line, recording, key)


def _check_coverage(rows: list[dict], name: str, settings: Download, tripped: bool) -> None:
    if tripped:
        log.warning("refused %d times in a row: stopped", settings.refusals)
    failed = [row for row in rows if row["status"] not in ("ok", "pending")]
    reasons = Counter(f"{row['status']}: {row['reason']}" for row in failed)
    for reason, count in reasons.most_common(3):
        log.warning("%d times %s", count, reason)
    problems = lacking(rows, settings)
    if problems:
        raise UserError(
            f"too little of {name} is there (data/raw/{name}/status.csv tells each recording's "
            f"reason): {count_statuses(rows)}\n"
            + "\n".join(problems)
            + "\nWhat has been fetched is kept: run the same command again, or lower the minimum"
        )
    if any(row["status"] not in ("ok", *GONE) for row in rows):
        log.info("to try the rest again: dvc repro --force --single-item download@%s", name)


if __name__ == "__main__":
    run_stage(main, ("solos", "music"))

"""Stage ``download@solos``, ``@music``: from the index to a file a recording, with yt-dlp.

Writes ``data/raw/<set>``: ``<id>.<ext>`` and ``status.csv``, a line a recording. Downloads are kept
in ``.work/download/<set>``, where DVC's deletion of outputs does not reach them, and linked.
"""

import logging
from pathlib import Path

from pipeline.common import WORK, run_items, run_stage
from solos.config import Download, Parallel, Params
from solos.errors import UserError
from solos.index import Recording, read_index
from solos.resume import empty, link
from solos.tables import count_statuses, write_table
from solos.youtube import Fetcher, Outcome

log = logging.getLogger(__name__)

COLUMNS = (
    *("id", "instrument", "status", "reason", "file", "bytes"),
    *("duration", "resolution", "attempts"),
)


def main(params: Params, name: str) -> None:
    """Fetch the recordings of the data set ``name``."""
    recordings = read_index(Path(params.dataset[name].folder) / "index.csv")
    fetch = Fetcher(WORK / "download" / name, params.download)
    threads = Parallel(backend="threading", jobs=params.download.jobs)
    outcomes = run_items(fetch, recordings, threads, f"download {name}")
    output = Path("data/raw") / name
    empty(output)
    pairs = zip(recordings, outcomes, strict=True)
    rows = [_publish(*pair, fetch.store, output) for pair in pairs]
    write_table(output / "status.csv", COLUMNS, rows)
    log.info("download %s: %s", name, count_statuses(rows))
    _check_coverage(rows, name, params.download, fetch.tripped)


def _publish(recording: Recording, outcome: Outcome, store: Path, output: Path) -> dict:
    """Link a download to ``output``; returns the recording's line."""
    row = {"id": recording.id, "instrument": recording.instrument, "status": outcome.status}
    row |= {"reason": outcome.reason, "attempts": outcome.attempts}
    if outcome.status != "ok":
        return row
    file = f"{recording.id}{Path(outcome.file).suffix}"
    link(store / outcome.file, output / file)
    about = {"duration": outcome.duration, "resolution": outcome.resolution}
    return row | {"file": file, "bytes": outcome.bytes} | about


def _check_coverage(rows: list[dict], name: str, settings: Download, tripped: bool) -> None:
    got = sum(row["status"] == "ok" for row in rows)
    advice = f"What is there is kept; `dvc repro --force download@{name}` goes on with the rest."
    if tripped:
        log.warning("refused %d times in a row: stopped. %s", settings.refusals, advice)
    if got < settings.min_coverage * len(rows):
        raise UserError(
            f"data/raw/{name}/status.csv: {got} of {len(rows)} recordings, below "
            f"download.min_coverage ({settings.min_coverage:g}): {count_statuses(rows)}. {advice}"
        )


if __name__ == "__main__":
    run_stage(main, ("solos", "music"))

"""Stage ``download@solos``, ``@music``: from the index to a file a recording, with yt-dlp.

Writes ``data/raw/<set>``: ``<id>.<ext>`` and ``status.csv``, a line a recording. Downloads are kept
in ``.work/download``, where DVC's deletion of outputs does not reach them, and linked. (Solos and
MUSIC share some recordings: those are fetched once.)
"""

import logging
from collections import Counter
from pathlib import Path

from pipeline.common import WORK, run_items, run_stage
from solos.config import Download, Parallel, Params
from solos.errors import UserError
from solos.index import Recording, select
from solos.resume import empty, link
from solos.tables import count_statuses, write_table
from solos.youtube import GONE, Fetcher, Outcome

log = logging.getLogger(__name__)

COLUMNS = (
    *("id", "instrument", "status", "reason", "file", "bytes"),
    *("duration", "resolution", "sha256", "attempts"),
)


def main(params: Params, name: str) -> None:
    """Fetch the recordings of the data set ``name``."""
    recordings = select(params.dataset[name])
    fetch = Fetcher(WORK / "download", params.download)
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
    about = ("bytes", "duration", "resolution", "sha256")
    return row | {"file": file} | {name: getattr(outcome, name) for name in about}


def _check_coverage(rows: list[dict], name: str, settings: Download, tripped: bool) -> None:
    if tripped:
        log.warning("refused %d times in a row: stopped", settings.refusals)
    failed = [row for row in rows if row["status"] not in ("ok", "pending")]
    reasons = Counter(f"{row['status']}: {row['reason']}" for row in failed)
    for reason, count in reasons.most_common(3):
        log.warning("%d times %s", count, reason)
    problems = _lacking(rows, settings)
    if problems:
        raise UserError(
            f"too little of {name} is there (data/raw/{name}/status.csv tells each recording's "
            f"reason): {count_statuses(rows)}\n"
            + "\n".join(problems)
            + "\nWhat has been fetched is kept: run the same command again, or lower the minimum"
        )
    if any(row["status"] not in ("ok", *GONE) for row in rows):
        log.info("to try the rest again: dvc repro --force --single-item download@%s", name)


def _lacking(rows: list[dict], settings: Download) -> list[str]:
    """A line for the whole and for each instrument of which too little is there."""
    groups = {"all": rows}
    for row in rows:
        groups.setdefault(row["instrument"], []).append(row)
    lines = []
    for group, members in groups.items():
        name = "min_coverage" if group == "all" else "min_instrument_coverage"
        got = sum(row["status"] == "ok" for row in members)
        needed = getattr(settings, name)
        if got < needed * len(members):
            lines.append(f"  {group}: {got} of {len(members)}, below download.{name} ({needed:g})")
    return lines


if __name__ == "__main__":
    run_stage(main, ("solos", "music"))

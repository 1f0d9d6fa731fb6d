"""Stage ``extract@solos``, ``@music``: frames at 8 fps and mono audio at 11025 Hz, with ffmpeg.

Writes ``data/extracted/<set>``: ``<id>.wav``, ``<id>.zip`` and ``status.csv``, a line a recording.
"""

import logging
from functools import partial
from pathlib import Path

from pipeline.common import WORK, run_items, run_stage
from solos import media
from solos.config import Extract, Params
from solos.files import file_hash, fingerprint
from solos.resume import empty, link, once, prune
from solos.tables import count_statuses, read_table, write_table

log = logging.getLogger(__name__)

COLUMNS = (
    *("id", "instrument", "status", "reason"),
    *("duration", "n_frames", "width", "height", "sha256"),
)


def main(params: Params, name: str) -> None:
    """Extract the recordings of the data set ``name``."""
    source, output = Path("data/raw") / name, Path("data/extracted") / name
    work = WORK / "extract" / name
    lines = read_table(source / "status.csv", f"download@{name}")
    one = partial(extract_one, source=source, work=work, settings=params.extract)
    results = run_items(one, lines, params.parallel, f"extract {name}")
    empty(output)
    rows = [_publish(line, *result, output) for line, result in zip(lines, results, strict=True)]
    write_table(output / "status.csv", COLUMNS, rows)
    prune(work, [folder.name for _, folder in results if folder])
    log.info("extract %s: %s", name, count_statuses(rows))


def extract_one(
    line: dict, source: Path, work: Path, settings: Extract
) -> tuple[dict, Path | None]:
    """What the table says of a recording, and the folder of its results if it was downloaded."""
    if line["status"] != "ok":
        reason = f"not downloaded: {line['reason'] or line['status']}"
        return {"status": line["status"], "reason": reason}, None
    file = source / line["file"]
    if not file.is_file():
        return {"status": "missing", "reason": f"{file} is not there"}, None
    # The download's checksum, not one taken here: a new recording then costs its own work alone.
    source_id = (line["sha256"], file.stat().st_size)
    key = fingerprint(settings.model_dump(), file_hash(Path(media.__file__)), source_id)
    folder = work / f"{line['id']}.{key}"
    return once(folder, partial(_try, source=file, settings=settings)), folder


def _try(folder: Path, source: Path, settings: Extract) -> dict:
    try:
        return {"status": "ok"} | media.extract(folder, source=source, settings=settings)
    except media.MediaError as error:
        empty(folder)
        return {"status": error.status, "reason": str(error)}


def _publish(line: dict, result: dict, folder: Path | None, output: Path) -> dict:
    if result["status"] == "ok":
        link(folder / "audio.wav", output / f"{line['id']}.wav")
        link(folder / "frames.zip", output / f"{line['id']}.zip")
    return {"id": line["id"], "instrument": line["instrument"]} | result


if __name__ == "__main__":
    run_stage(main, ("solos", "music"))

"""Stage ``spectrograms@solos``, ``@music``: complex STFTs, spans and the split by recording.

Writes ``data/spectrograms/<set>``: ``<id>.npy``, ``<id>.peak.npy`` and ``recordings.csv``, a line
for each recording of the index; and ``data/coverage/<set>.csv``, a line for each instrument.
"""

import logging
from functools import partial
from pathlib import Path

from pipeline.common import WORK, run_items, run_stage
from solos import spectrograms
from solos import stft as stft_module
from solos.config import Params
from solos.errors import UserError
from solos.files import file_hash, fingerprint
from solos.index import Recording, dump_spans, select
from solos.resume import empty, link, once, prune
from solos.tables import count_statuses, read_table, write_table

log = logging.getLogger(__name__)

COVERAGE = Path("data/coverage")
COVERAGE_COLUMNS = ("instrument", "listed", "usable", "minutes", "not_usable")
COLUMNS = ("id", "instrument", "split", "status", "reason", "n_stft_frames", "spans")


def main(params: Params, name: str) -> None:
    """Transform the recordings of the data set ``name``."""
    extracted, output = Path("data/extracted") / name, Path("data/spectrograms") / name
    work = WORK / "spectrograms" / name
    recordings = select(params.dataset[name])
    lines = {line["id"]: line for line in read_table(extracted / "status.csv", f"extract@{name}")}
    one = partial(transform_one, lines=lines, extracted=extracted, work=work)
    results = run_items(one, recordings, params.parallel, f"spectrograms {name}")
    empty(output)
    rows = [_publish(*pair, output) for pair in zip(recordings, results, strict=True)]
    _split(rows, params)
    write_table(output / "recordings.csv", COLUMNS, rows)
    write_table(COVERAGE / f"{name}.csv", COVERAGE_COLUMNS, spectrograms.coverage(rows))
    prune(work, [folder.name for _, folder in results if folder])
    log.info("spectrograms %s: %s", name, count_statuses(rows))
    _check_enough(rows, output, params.spectrograms.min_recordings)


def transform_one(
    recording: Recording, lines: dict[str, dict], extracted: Path, work: Path
) -> tuple[dict, Path | None]:
    """What the table says of a recording, and the folder of its results if it has any."""
    line = lines.get(recording.id, {"status": "missing", "reason": "not in the extracted table"})
    if line["status"] != "ok":
        return {"status": line["status"], "reason": line["reason"]}, None
    if not recording.spans:
        return {"status": "no_spans", "reason": "the index gives no spans for it"}, None
    wav = extracted / f"{recording.id}.wav"
    if not wav.is_file():
        return {"status": "missing", "reason": f"{wav} is not there"}, None
    code = [file_hash(Path(module.__file__)) for module in (spectrograms, stft_module)]
    key = fingerprint(recording.spans, code, line["sha256"])
    folder = work / f"{recording.id}.{key}"
    return once(folder, partial(_try, wav=wav, recording=recording)), folder


def _try(folder: Path, wav: Path, recording: Recording) -> dict:
    try:
        n_frames = spectrograms.store(wav, folder)
    except ValueError as error:
        return {"status": "too_short", "reason": str(error)}
    spans = spectrograms.stft_spans(recording.spans, n_frames)
    result = {"status": "ok", "reason": "", "n_stft_frames": n_frames, "spans": dump_spans(spans)}
    if not spans:
        empty(folder)
        reason = "no span holds a segment (5.9 s) within the recording"
        return result | {"status": "short_spans", "reason": reason}
    return result


def _publish(recording: Recording, result: tuple[dict, Path | None], output: Path) -> dict:
    row, folder = result
    if row["status"] == "ok":
        link(folder / "spec.npy", output / f"{recording.id}.npy")
        link(folder / "peak.npy", output / f"{recording.id}.peak.npy")
    return {"id": recording.id, "instrument": recording.instrument, "split": ""} | row


def _split(rows: list[dict], params: Params) -> None:
    """Fill in the column ``split`` of the usable rows."""
    usable = [row for row in rows if row["status"] == "ok"]
    for instrument in sorted({row["instrument"] for row in usable}):
        members = [row for row in usable if row["instrument"] == instrument]
        ids = [row["id"] for row in members]
        parts = spectrograms.split(ids, instrument, params.spectrograms.val_fraction, params.seed)
        for row in members:
            row["split"] = parts[row["id"]]


def _check_enough(rows: list[dict], output: Path, needed: int) -> None:
    lacking = spectrograms.too_few(rows, needed)
    if lacking:
        raise UserError(
            f"{output / 'recordings.csv'}: too few recordings to train and validate on "
            "(spectrograms.min_recordings); the table says why each other one is unusable\n"
            + "\n".join(lacking)
        )


if __name__ == "__main__":
    run_stage(main, ("solos", "music"))

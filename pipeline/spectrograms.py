"""Stage ``spectrograms@solos``, ``@music``: complex STFTs, spans and the split by recording.

Writes ``data/spectrograms/<set>``: ``<id>.npy`` and ``recordings.csv``, a line for each recording
of the index; and ``data/coverage/<set>.csv``, a line for each instrument.
"""

from functools import partial
from pathlib import Path

from pipeline.common import run_stage
from pipeline.items import Item, Place, make_items
from solos import signal
from solos.config.params import Params
from solos.datasets.index import OPTIONAL, Recording, select
from solos.errors import UserError
from solos.preparation import spectrograms, splits
from solos.storage.cache import code_of
from solos.storage.files import intact
from solos.storage.tables import read_table, write_table

COVERAGE = Path("data/coverage")
COVERAGE_COLUMNS = ("instrument", "listed", "usable", "minutes", "not_usable")
COLUMNS = ("id", "instrument", *OPTIONAL, "status", "reason", "n_stft_frames", "spans")


def main(params: Params, name: str) -> None:
    """Transform the recordings of the data set ``name``."""
    extracted, output = Path("data/extracted") / name, Path("data/spectrograms") / name
    table, recordings = extracted / "status.csv", select(params.dataset[name])
    with intact(table, f"extract@{name}"):  # with all columns
        lines = {line["id"]: line for line in read_table(table, f"extract@{name}")}
        items = [to_item(recording, lines.get(recording.id), extracted) for recording in recordings]
    place = Place(f"spectrograms {name}", f"spectrograms/{name}", output, "recordings.csv", COLUMNS)
    split = partial(splits.assign, val_fraction=params.spectrograms.val_fraction)
    rows = make_items(items, transform, place, params.parallel, complete=split)
    write_table(COVERAGE / f"{name}.csv", COVERAGE_COLUMNS, splits.coverage(rows))
    lacking = splits.too_few(rows, params.spectrograms.min_recordings)
    if lacking:
        raise UserError(
            f"{output / place.table}: too few recordings to train and validate on "
            "(spectrograms.min_recordings); the table says why each other one is unusable\n"
            + "\n".join(lacking)
        )


def to_item(recording: Recording, line: dict | None, extracted: Path) -> Item:
    """A line of the index, with that of the table of extracted recordings."""
    about = {name: getattr(recording, name) for name in ("id", "instrument", *OPTIONAL)}
    wav = extracted / f"{recording.id}.wav"
    line = line or {"status": "missing", "reason": "not in the extracted table"}
    problem = None
    if line["status"] != "ok":
        problem = {"status": line["status"], "reason": line["reason"]}
    elif not recording.spans:
        problem = {"status": "no_spans", "reason": "the index gives no spans for it"}
    elif not wav.is_file():
        problem = {"status": "missing", "reason": f"{wav} is not there"}
    if problem:
        return Item(recording.id, about | problem)
    key = (recording.spans, code_of(spectrograms, signal), line["sha256"])
    return Item(recording.id, about, (recording, wav), key, (wav,))


def transform(subject: tuple[Recording, Path], folder: Path) -> dict:
    """Write ``<id>.npy``; columns of the table."""
    recording, wav = subject
    about = spectrograms.transform(wav, recording.spans, folder)
    (folder / "spec.npy").rename(folder / f"{recording.id}.npy")
    return about


if __name__ == "__main__":
    run_stage(main, ("solos", "music"))

"""Stage ``extract@solos``, ``@music``: frames at 8 fps and mono audio at 11025 Hz, with ffmpeg.

Writes ``data/extracted/<set>``: ``<id>.wav``, ``<id>.zip`` (unless ``dataset.<set>.pictures`` says
no) and ``status.csv``, a line a recording.
"""

from functools import partial
from pathlib import Path

from pipeline.common import run_stage
from pipeline.items import Item, Place, make_items
from solos import media
from solos.config.data import Aspect, Extract
from solos.config.params import Params
from solos.preparation import recordings
from solos.storage import pictures
from solos.storage.cache import code_of
from solos.storage.files import intact
from solos.storage.tables import read_table

COLUMNS = (
    *("id", "instrument", "status", "reason"),
    *("duration", "n_frames", "width", "height", "sha256"),
)


def main(params: Params, name: str) -> None:
    """Extract the recordings of the data set ``name``."""
    source, output = Path("data/raw") / name, Path("data/extracted") / name
    lines = read_table(source / "status.csv", f"download@{name}")
    dataset = params.dataset[name]
    aspect = dataset.aspect if dataset.pictures else None
    with intact(source / "status.csv", f"download@{name}"):  # with all columns
        items = [to_item(line, source, params.extract, aspect) for line in lines]
    place = Place(f"extract {name}", f"extract/{name}", output, "status.csv", COLUMNS)
    make = partial(extract, settings=params.extract, aspect=aspect)
    make_items(items, make, place, params.parallel)


def to_item(line: dict, source: Path, settings: Extract, aspect: Aspect | None) -> Item:
    """A line of the table of downloads."""
    about = {"id": line["id"], "instrument": line["instrument"]}
    if line["status"] != "ok":
        reason = f"not downloaded: {line['reason'] or line['status']}"
        return Item(line["id"], about | {"status": line["status"], "reason": reason})
    file = source / line["file"]
    if not file.is_file():
        return Item(line["id"], about | {"status": "missing", "reason": f"{file} is not there"})
    # The download's checksum, not one taken here: a new recording then costs its own work alone.
    key = (
        settings.model_dump(),
        aspect,
        code_of(media, recordings, pictures),
        line["sha256"],
        file.stat().st_size,
    )
    return Item(line["id"], about, (line["id"], file), key, (file,))


def extract(
    subject: tuple[str, Path], folder: Path, settings: Extract, aspect: Aspect | None
) -> dict:
    """Write ``<id>.wav`` and, with an aspect, ``<id>.zip``; columns of the table."""
    identity, file = subject
    about = recordings.extract(folder, source=file, settings=settings, aspect=aspect)
    (folder / "audio.wav").rename(folder / f"{identity}.wav")
    if aspect:
        (folder / "frames.zip").rename(folder / f"{identity}.zip")
    return about


if __name__ == "__main__":
    run_stage(main, ("solos", "music"))

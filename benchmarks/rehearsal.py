"""The real profile's data path at full count, at many times that, and with a very long recording.

``python -m benchmarks.rehearsal FOLDER [TIMES [EVERY]]`` serves short films from this machine under
the names of Solos' 754 recordings, then TIMES as many. For each count it clones the committed
project into FOLDER (which must not exist), runs download, extract and spectrograms there through
DVC, asks for ``dvc status`` and begins a training. Then it prepares and reads a recording of two
minutes and one of two hours at the real profile's sizes. What each costs is printed side by side;
memory is that of this process's children, looked at ten times a second. FOLDER is removed.

With EVERY, only each such recording is fetched and extracted. The others' files are put, with bytes
of their own, where these stages keep what they have made, for those who have no hours: all else is
done with all of them.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from benchmarks.films import ffmpeg, noted, serving, write_film
from benchmarks.measuring import (
    Figures,
    apart,
    disk,
    measured,
    note,
    print_table,
    stopwatch,
    timed,
)
from pipeline.download import to_item as to_download
from pipeline.extract import to_item as to_extract
from pipeline.fit import run_identity
from solos.config.params import load_params
from solos.datasets.index import WHOLE, Recording, read_index, write_index
from solos.preparation import recordings, spectrograms
from solos.storage.cache import Cache, item_name
from solos.storage.files import file_hash
from solos.storage.tables import read_table, write_table
from solos.training.distributed import ALONE
from solos.training.store import Crop, SpectrogramStore
from solos.training.tasks import make_task

ROOT = Path(__file__).resolve().parents[1]
SECONDS, SIZE, SIDE = 6.2, "160x120", 64
"""Length of a short recording, which has room for one segment, its pictures and theirs: what is
measured is mostly the cost of each, whatever its length."""
STAGES = {"download": "raw", "extract": "extracted", "spectrograms": "spectrograms"}
MINUTES = (2, 120)
READS = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rehearsal")
    parser.add_argument("folder", type=Path, help="must not exist")
    for name in ("times", "every"):
        parser.add_argument(name, nargs="?", type=int, default=1)
    given = parser.parse_args()
    folder = given.folder
    if folder.exists():
        parser.error(f"{folder} exists")
    folder.mkdir(parents=True)
    print_table([rehearse(folder / f"{n}", n, given.every) for n in sorted({1, given.times})])
    print_table([prepare(folder / f"{n} minutes", n) for n in MINUTES])
    shutil.rmtree(folder)


def rehearse(folder: Path, times: int, every: int) -> Figures:
    """What so many times Solos' recordings cost; ``folder`` is removed."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    film = write_film(folder / "film.mp4", SECONDS, SIZE)
    solos = read_index(ROOT / "data/index/solos/index.csv")
    found: Figures = {"recordings": times * len(solos)}
    with serving(film.read_bytes()) as address:
        names = [(line, f"{line.id}-{k}" if k else line.id) for k in range(times) for line in solos]
        films = [
            replace(line, id=name, url=f"{address}/{name}.mp4", spans=WHOLE) for line, name in names
        ]
        write_index(folder / "set" / "index.csv", films)
        configure(clone, folder / "set")
        for stage in STAGES:
            place(stage, clone, film, [films[k] for k in range(len(films)) if k % every])
            arguments = ("repro", "--single-item", f"{stage}@solos")
            note(found, stage, measured(partial(command, clone, "dvc", *arguments)))
    for name in STAGES.values():
        files = [path for path in (clone / "data" / name / "solos").iterdir() if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        note(found, f"data/{name}", {"files": len(files), "MB": size})
    note(found, "all of the clone", {"MB, links counted once": disk(folder) / 1e6})
    status = partial(command, clone, "dvc", "status")
    note(found, "dvc status", measured(status))
    note(found, "dvc status again", measured(status))
    shutil.rmtree(folder / "dvc")
    note(found, "dvc status, checksums forgotten", measured(status))
    note(found, "training", measured(partial(apart, start_training, clone)))
    with (clone / "data/spectrograms/solos/recordings.csv").open() as stream:
        usable = sum(row["status"] == "ok" for row in csv.DictReader(stream))
    note(found, "usable", {"recordings": usable})
    shutil.rmtree(folder)
    return found


def place(stage: str, clone: Path, film: Path, films: Sequence[Recording]) -> None:
    """Put what a stage would make of some recordings where it keeps such, if EVERY says so."""
    params, raw = load_params(clone / "params.yaml"), clone / "data/raw/solos"
    if not films or stage == "spectrograms":
        return
    if stage == "download":
        cache = Cache(clone / ".work/download")
        for item in [to_download(recording, params.download) for recording in films]:
            write = partial(place_film, name=item.name, film=film.read_bytes())
            cache.make(item_name(item.name, item.key), write, in_place=True)
        return
    about = recordings.extract(film.parent, source=film, settings=params.extract, aspect="squash")
    cache, names = Cache(clone / ".work/extract/solos"), {recording.id for recording in films}
    for line in read_table(raw / "status.csv", "download"):
        if line["id"] in names:
            item = to_extract(line, raw, params.extract, "squash")
            write = partial(place_extracted, name=item.name, about=about, model=film.parent)
            cache.make(item_name(item.name, item.key), write)


def place_film(folder: Path, name: str, film: bytes) -> dict:
    file = folder / f"{name}.mp4"
    file.write_bytes(film + noted(name))
    about = {"file": file.name, "bytes": file.stat().st_size, "duration": SECONDS}
    return {"status": "ok", "reason": "", "sha256": file_hash(file), "attempts": 1} | about


def place_extracted(folder: Path, name: str, about: dict, model: Path) -> dict:
    wav, archive = folder / f"{name}.wav", folder / f"{name}.zip"
    wave = (model / "audio.wav").read_bytes()
    wav.write_bytes(wave[:-80] + name.encode().ljust(80))  # as samples
    shutil.copy(model / "frames.zip", archive)
    with ZipFile(archive, "a") as stream:
        stream.comment = name.encode()
    return about | {"status": "ok", "sha256": file_hash(wav)}


def start_training(clone: Path) -> Figures:
    """Seconds until a training's first mix, and of mixes read at random."""
    os.chdir(clone)
    params = load_params(Path("params.yaml"))
    folders = (Path("data/spectrograms/solos"), Path("data/extracted/solos"))
    task, table = timed(make_task, params.train.sop, params.seed, *folders)
    _, identity = timed(run_identity, task, 1, Path("data/weights/scratch"), ALONE)
    mixes, epoch = timed(task.train_mixes, 1, 2)
    first = timed(mixes.__getitem__, 0)[1]
    others = timed(lambda: [mixes[k] for k in range(1, 1 + READS)])[1]
    found = {"tables, s": table, "identity, s": identity, "epoch, s": epoch}
    return found | {"first mix, s": first, f"{READS} mixes, s": others}


def prepare(folder: Path, minutes: int) -> Figures:
    """What a recording of so many minutes costs; ``folder`` is removed."""
    folder.mkdir()
    found: Figures = {"minutes of video": minutes}
    part = write_film(folder / "part.mp4", 60 * min(MINUTES), "640x480")  # 480p, as YouTube's
    film, repeats = folder / "film.mp4", minutes // min(MINUTES) - 1
    ffmpeg("-stream_loop", repeats, "-i", part, "-c", "copy", film)
    settings = load_params(ROOT / "params.yaml").extract.model_copy(update={"short_side": 256})
    extract = partial(recordings.extract, folder, source=film, settings=settings)
    note(found, "extract", measured(partial(apart, stopwatch, extract)))
    store = partial(spectrograms.store, folder / "audio.wav", folder)
    note(found, "spectrograms", measured(partial(apart, stopwatch, store)))
    for name in ("film.mp4", "frames.zip", "audio.wav", "spec.npy"):
        note(found, name, {"MB": (folder / name).stat().st_size / 1e6})
        (folder / name).rename(folder / f"film{Path(name).suffix}")
    note(found, f"{READS} segments with a picture", measured(partial(apart, read_crops, folder)))
    shutil.rmtree(folder)
    return found


def read_crops(folder: Path) -> Figures:
    """Seconds of reading segments and pictures at random places of ``film``."""
    n_frames = len(np.load(folder / "film.npy", mmap_mode="r"))
    about = {"id": "film", "instrument": "Cello", "split": "train", "status": "ok"}
    line = about | {"spans": f"[[0,{n_frames}]]"}
    write_table(folder / "recordings.csv", list(line), [line, line])
    store, rng = SpectrogramStore(folder, folder, "train"), np.random.default_rng(0)

    def read() -> None:
        recording = store.recordings[0]
        crop = Crop(recording, store.place(recording, rng)[0])
        store.read(crop)
        store.frames(crop, 1, 1)

    first, others = timed(read)[1], timed(lambda: [read() for _ in range(READS)])[1]
    return {"the first, s": first, "s": others}


def configure(clone: Path, index: Path) -> None:
    pauses = ("sleep_interval", "max_sleep_interval", "sleep_interval_requests")
    overrides = [f"download.{pause}=0.0" for pause in pauses]
    overrides += [f"extract.short_side={SIDE}", f"dataset.solos.folder={index.absolute()}"]
    overrides += [f"urmp.path={index.absolute()}"]  # something that is there
    command(clone, "python", "-m", "pipeline.params", "data=solos", "pretrained=url", *overrides)


def command(clone: Path, *words: str) -> Figures:
    """Seconds of a command in the clone. DVC's database of checksums is beside that."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    places = {"PATH": programs, "DVC_SITE_CACHE_DIR": str(clone.absolute().with_name("dvc"))}
    environment = os.environ | places | {"DVC_NO_ANALYTICS": "true"}
    run = partial(subprocess.run, words, cwd=clone, env=environment, check=True)
    return stopwatch(run, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

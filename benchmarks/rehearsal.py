"""The real profile's data path at full count: 754 short recordings from a server on this machine.

``python -m benchmarks.rehearsal FOLDER`` clones the committed project into FOLDER (which must not
exist), runs download, extract and spectrograms there through DVC, and prints for each stage the
seconds, and for each output files and bytes a recording; then the seconds of ``dvc status``; and
what an hour of video costs on one core, by a film as long as a recording of Solos is on average.
"""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from solos.config.params import load_params
from solos.datasets.index import Recording, read_index, write_index
from solos.media.process import ffmpeg_path
from solos.preparation import recordings, spectrograms

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 8
"""Length of a recording: what is measured is mostly the cost of each, whatever its length."""
LONG = 300
"""Length of the film by which the cost of an hour is measured."""
STAGES = {"download": "raw", "extract": "extracted", "spectrograms": "spectrograms"}


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    listed = read_index(ROOT / "data/index/solos/index.csv")
    write_films(folder / "site", [recording.id for recording in listed])
    with serving(folder / "site") as address:
        films = [
            Recording(item.id, item.instrument, f"{address}/{item.id}.mp4", ((0, 10_000),))
            for item in listed
        ]
        write_index(folder / "set" / "index.csv", films)
        configure(clone, folder / "set")
        for stage in STAGES:
            seconds = timed(clone, "dvc", "repro", "--single-item", f"{stage}@solos")
            print(f"{stage}: {seconds:.0f} s, {1000 * seconds / len(films):.0f} ms a recording")
    for stage, name in STAGES.items():
        files = [path for path in (clone / "data" / name / "solos").iterdir() if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        each = f"{len(files) / len(films):.2f} files, {size / len(films) / 1000:.0f} kB a recording"
        print(f"{stage}: {each}")
    print(f"dvc status: {timed(clone, 'dvc', 'status', 'spectrograms@solos'):.1f} s")
    with (clone / "data/spectrograms/solos/recordings.csv").open() as stream:
        print("usable:", sum(row["status"] == "ok" for row in csv.DictReader(stream)))
    print_cost_of_an_hour(folder / "long")


def print_cost_of_an_hour(folder: Path) -> None:
    folder.mkdir()
    film = write_film(folder / "film.mp4", LONG)
    settings = load_params(ROOT / "params.yaml").extract.model_copy(update={"short_side": 256})
    start = time.perf_counter()
    recordings.extract(folder, source=film, settings=settings)
    extracted = time.perf_counter()
    spectrograms.store(folder / "audio.wav", folder)
    stored = time.perf_counter()
    hours = LONG / 3600
    for name, seconds in (("extract", extracted - start), ("spectrograms", stored - extracted)):
        print(f"an hour of video, {name}: {seconds / hours:.0f} s of one core")
    for name in ("film.mp4", "frames.zip", "audio.wav", "spec.npy"):
        print(f"an hour of video, {name}: {(folder / name).stat().st_size / hours / 1e6:.0f} MB")


def write_film(path: Path, seconds: int) -> Path:
    """480p, as YouTube's."""
    inputs = [
        *("-f", "lavfi", "-i", f"testsrc2=s=640x480:r=25:d={seconds}"),
        *("-f", "lavfi", "-i", f"anoisesrc=d={seconds}:a=0.2:r=44100"),
    ]
    codecs = ["-c:v", "libx264", "-preset", "fast", "-c:a", "aac", "-movflags", "+faststart"]
    subprocess.run([ffmpeg_path(), "-v", "error", *inputs, *codecs, path], check=True)
    return path


def write_films(folder: Path, names: list[str]) -> None:
    """Each with bytes of its own."""
    folder.mkdir()
    film = write_film(folder / "film.mp4", SECONDS).read_bytes()
    for name in names:
        note = name.encode()
        atom = (8 + len(note)).to_bytes(4) + b"free" + note  # players skip it
        (folder / f"{name}.mp4").write_bytes(film + atom)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def configure(clone: Path, index: Path) -> None:
    pauses = ("sleep_interval", "max_sleep_interval", "sleep_interval_requests")
    overrides = [f"download.{pause}=0.0" for pause in pauses]
    overrides += ["data=solos", "pretrained=url", f"dataset.solos.folder={index.absolute()}"]
    timed(clone, "python", "-m", "pipeline.params", *overrides)


def timed(folder: Path, *command: str) -> float:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": programs, "DVC_NO_ANALYTICS": "true"}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The real profile's data path at full count: 754 short recordings from a server on this machine.

``python -m benchmarks.rehearsal FOLDER`` clones the committed project into FOLDER (which must not
exist), runs download, extract and spectrograms there through DVC, and prints for each stage the
seconds, and for each output files and bytes a recording; then the seconds of ``dvc status``.
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

from solos.index import Recording, read_index, write_index
from solos.media import ffmpeg_path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 8
"""Length of a recording; costs beyond those of starting programs grow with it."""
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


def write_films(folder: Path, names: list[str]) -> None:
    """480p, as YouTube's; each with bytes of its own."""
    folder.mkdir()
    first = folder / "film.mp4"
    inputs = [
        *("-f", "lavfi", "-i", f"testsrc2=s=640x480:r=25:d={SECONDS}"),
        *("-f", "lavfi", "-i", f"anoisesrc=d={SECONDS}:a=0.2:r=44100"),
    ]
    codecs = ["-c:v", "libx264", "-preset", "fast", "-c:a", "aac", "-movflags", "+faststart"]
    subprocess.run([ffmpeg_path(), "-v", "error", *inputs, *codecs, first], check=True)
    film = first.read_bytes()
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

"""A cluster of two worker processes, and a stage of twelve items for it."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from closure import ROOT
from waiting import wait_for

from solos.storage.tables import read_table

COUNT = 12
BROKEN = 7
"""The item that nothing can be made of."""

# A stage of 12 items; what befalls one is said by files beside it.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from pipeline import items
from pipeline.common import run_stage
from pipeline.items import Item, Place, make_items
from solos.config.params import Parallel
from solos.errors import UserError
from solos.media.errors import MediaError

def make(number, folder):
    with open("made.log", "a") as log:
        log.write(f"{number} {os.getpid()}\\n")
    (folder / f"{number}.txt").write_text(f"{number}" * 1000)
    time.sleep(0.1)
    while Path(f"hold.{number}").exists():
        time.sleep(0.02)
    for what in ("once", "always"):
        if Path(f"{what}.{number}").exists():
            Path(f"once.{number}").unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
    if Path(f"refused.{number}").exists():
        raise UserError("data/x.wav is locked: unlock it")
    if number == BROKEN:
        raise MediaError("silent", "nothing to hear")
    return {"size": 5 * number}

def main(params):
    listed = [Item(str(n), {"id": n}, n, ("key", n)) for n in range(COUNT)]
    place = Place("test", "things", Path(output), "table.csv", ("id", "status", "reason", "size"))
    make_items(listed, make, place, Parallel(backend=backend, jobs=2, address=address or None))

if __name__ == "__main__":
    backend, address, output = sys.argv[1:]
    items.WORK = Path("shared")
    sys.argv = [f"{output}.py"]
    run_stage(main)
""".replace("COUNT", str(COUNT)).replace("BROKEN", str(BROKEN))


def environment(**more: str) -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    quick = {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    return os.environ | quick | {"PYTHONPATH": os.pathsep.join(paths)} | more


@contextmanager
def started(folder: Path):
    """A scheduler with two worker processes on this machine: its address, and its process."""
    pytest.importorskip("distributed")
    about = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}

    def begin(kind: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard"]
        return subprocess.Popen([*command, *arguments], env=environment(), **quiet)

    options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(about))
    scheduler = begin("scheduler", *options)
    wait_for(lambda: about.exists() and about.read_text().endswith("\n}"))  # all of it
    address = json.loads(about.read_text())["address"]
    workers = begin("worker", address, "--nworkers", "2", "--nthreads", "1")
    try:
        yield address, scheduler
    finally:
        for process in (workers, scheduler):
            process.terminate()
        for process in (workers, scheduler):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # it was just starting a worker anew
                process.kill()
                process.wait()


def start(folder: Path, backend: str, address: str, output: str = "out") -> subprocess.Popen:
    command = [sys.executable, "program.py", backend, address, output]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen, status: int = 0) -> str:
    """What it said on standard error, once it has ended so."""
    _, errors = process.communicate(timeout=240)
    assert process.returncode == status and "Traceback" not in errors, errors
    return errors


def run(folder: Path, backend: str, address: str, output: str = "out") -> str:
    """What the stage said on standard error, where it ended well."""
    return ended(start(folder, backend, address, output))


def failed(folder: Path, backend: str, address: str) -> str:
    """The line that it ended with."""
    errors = ended(start(folder, backend, address), 1)
    (line,) = (line for line in errors.splitlines() if line.startswith("error: "))
    return line


def check(output: Path) -> None:
    lines = []
    for number in range(COUNT):
        made = {"status": "ok", "reason": "", "size": str(5 * number)}
        if number == BROKEN:
            made = {"status": "silent", "reason": "nothing to hear", "size": ""}
        else:
            assert (output / f"{number}.txt").read_text() == str(number) * 1000
        lines.append({"id": str(number)} | made)
    assert read_table(output / "table.csv", "") == lines
    assert len(list(output.iterdir())) == COUNT  # eleven files and the table


@contextmanager
def held(folder: Path, number: int) -> Iterator[None]:
    """An item that is not made, nor kills its worker, before this ends."""
    hold = folder / f"hold.{number}"
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


def begun(folder: Path) -> list[tuple[int, int]]:
    """Items, as they were begun, and the processes that made them."""
    log = folder / "made.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


def made(folder: Path) -> Counter:
    """How often each item was begun."""
    return Counter(number for number, _ in begun(folder))


def kept(folder: Path) -> set[int]:
    """The items that are made, as far as the stage's process knows."""
    return {int(path.name.split(".")[0]) for path in folder.glob("shared/things/[!.]*")}


def run_with_a_worker_lost(folder: Path, backend: str, address: str) -> str:
    """What a stage said whose item 5 killed its worker, which by then held no other's result.

    It would be lost with the worker, and made again. A result is let go after it is kept, before
    more is begun: once three more are kept, of which two at most were under way, that is past.
    """
    (folder / "once.5").touch()
    with held(folder, 5):
        process = start(folder, backend, address)
        wait_for(lambda: 5 in made(folder))
        worker = dict(begun(folder))[5]
        earlier = {number for number, by in begun(folder) if by == worker} - {5}
        wait_for(lambda: earlier <= kept(folder))
        enough = len(kept(folder)) + 3
        wait_for(lambda: len(kept(folder)) >= enough)
    return ended(process)

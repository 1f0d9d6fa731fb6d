"""The loop over items: made once, by one process, and condemned for nothing but themselves."""

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from closure import ROOT
from test_media import SETTINGS, write_clip

from pipeline import extract, items
from pipeline.items import Item, Place, make_items
from solos.config.params import Parallel
from solos.errors import UserError
from solos.media.errors import MediaError
from solos.storage.files import file_hash
from solos.storage.tables import read_table

COLUMNS = ("id", "status", "reason", "size")
ALONE = Parallel(backend="threading", jobs=1)

# Makes 40 items slowly, each telling when it begins and what it finds; as a process of its own.
PROGRAM = f"""
import os, sys, time
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}]
from pipeline import items
from pipeline.items import Item, Place, make_items
from solos.config.params import Parallel

def make(number, folder):
    with open("made.log", "a") as log:
        log.write(f"{{number}} {{os.getpid()}}\\n")
    for part in range(5):
        (folder / f"{{number}}.{{part}}").write_text(f"{{number}} {{part}}" * 1000)
        time.sleep(0.004)
    return {{"size": 5 * number}}

items.WORK = Path("shared")
listed = [Item(str(n), {{"id": n}}, n, ("key", n)) for n in range(40)]
place = Place("test", "things", Path(sys.argv[1]), "table.csv", ("id", "status", "reason", "size"))
make_items(listed, make, place, Parallel(backend="threading", jobs=2))
"""


def start(folder: Path, output: str) -> subprocess.Popen:
    quiet = os.environ | {"TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", PROGRAM, output]
    return subprocess.Popen(command, cwd=folder, env=quiet, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen) -> str:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0 and "Traceback" not in errors, errors
    return errors


def check(folder: Path) -> None:
    lines = [{"id": str(n), "status": "ok", "reason": "", "size": str(5 * n)} for n in range(40)]
    assert read_table(folder / "table.csv", "") == lines
    for number in range(40):
        for part in range(5):
            assert (folder / f"{number}.{part}").read_text() == f"{number} {part}" * 1000
    assert len(list(folder.iterdir())) == 201


def test_two_processes_started_together_make_each_item_once(tmp_path):
    for process in [start(tmp_path, output) for output in ("a", "b")]:
        end(process)
    check(tmp_path / "a")
    check(tmp_path / "b")
    made = [line.split()[0] for line in (tmp_path / "made.log").read_text().splitlines()]
    assert sorted(made, key=int) == [str(n) for n in range(40)]


def test_two_processes_killed_at_random_lose_and_repeat_nothing(tmp_path):
    rng, kills = random.Random(7), 0
    log = tmp_path / "made.log"
    while not log.exists() or len(set(log.read_text().split()[::2])) < 40:
        running = [start(tmp_path, output) for output in ("a", "b")]
        seen = log.stat().st_size if log.exists() else 0
        while all(process.poll() is None for process in running):
            if (log.stat().st_size if log.exists() else 0) > seen + 8 * rng.random():
                break
            time.sleep(0.005)
        time.sleep(0.1 * rng.random())
        for process in running:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        assert kills < 100
    for process in [start(tmp_path, output) for output in ("a", "b")]:
        end(process)
    check(tmp_path / "a")
    check(tmp_path / "b")
    assert kills >= 4
    # A process makes two at a time: a kill costs two items their halves, and nothing finished.
    assert len(log.read_text().splitlines()) <= 40 + 2 * kills


@pytest.fixture
def film(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(items, "WORK", tmp_path / "work")
    return write_clip(tmp_path / "raw" / "film.mp4", seconds=2)


def item_of(film: Path) -> Item:
    """The stage ``extract``'s item of a film."""
    line = {"id": "a", "instrument": "Tuba", "status": "ok", "file": film.name}
    line["sha256"] = file_hash(film) if film.exists() else "x"
    return extract.to_item(line, film.parent, SETTINGS, "keep")


MAKE = partial(extract.extract, settings=SETTINGS, aspect="keep")


def run_extract(film: Path) -> list[dict]:
    """The loop of the stage ``extract`` over one recording."""
    place = Place("extract", "extract", Path("out"), "status.csv", extract.COLUMNS)
    return make_items([item_of(film)], MAKE, place, ALONE)


def fake_ffmpeg(folder: Path, monkeypatch, script: str) -> None:
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


ENVIRONMENT = {
    "full disk": ("echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1"),
    "full disk, by its exit code": "exit 228",
    "no memory": "echo 'Error while opening: Cannot allocate memory' >&2; exit 244",
    "killed": "kill -9 $$",
    "killed within a shell": "exit 137",
    "the film vanished": "rm -r raw; echo 'Invalid data found' >&2; exit 183",
    "another film in its place": "echo more >> raw/film.mp4; exit 183",
    "its folder vanished": "rm -rf work/extract/.half; exit 183",
    "a disk error": "echo 'Input/output error' >&2; exit 251",
    "a file too large": "exit 229",
    "it crashed": "kill -SEGV $$",
    "it ended well, after having no memory": "echo 'Cannot allocate memory' >&2; exit 0",
    "no such file": "echo 'raw/film.mp4: No such file or directory' >&2; exit 254",
}


@pytest.mark.parametrize("script", ENVIRONMENT.values(), ids=ENVIRONMENT.keys())
def test_what_the_machine_did_condemns_no_recording(script, film, tmp_path, monkeypatch):
    """The stage ends, or says so in the table; the next run tries again."""
    content = film.read_bytes()
    with monkeypatch.context() as broken:
        fake_ffmpeg(tmp_path, broken, script)
        try:
            (row,) = run_extract(film)
            assert row["status"] == "environment" and row["reason"]
        except (UserError, OSError) as error:
            assert not isinstance(error, OSError) or error.errno in (errno.ENOSPC, errno.EFBIG)
    film.parent.mkdir(exist_ok=True)
    film.write_bytes(content)
    assert [row["status"] for row in run_extract(film)] == ["ok"]


def test_a_source_that_the_disk_does_not_give_back_is_not_condemned(film, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        fake_ffmpeg(tmp_path, broken, "exit 183")
        listed = [item_of(film)]
        broken.setattr(Path, "open", refuse)
        with pytest.raises(UserError, match=r"film\.mp4 can't be read: Input/output error"):
            items._attempt(MAKE, listed[0], tmp_path)
    assert [row["status"] for row in run_extract(film)] == ["ok"]


def test_a_verdict_on_the_recording_itself_is_kept(film, monkeypatch):
    film.write_bytes(film.read_bytes()[:3000])
    (first,) = run_extract(film)
    assert first["status"] == "undecodable"
    monkeypatch.setattr(items, "_attempt", lambda *_: pytest.fail("tried again"))
    assert run_extract(film) == [first]


def test_what_vanishes_before_it_is_linked_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "WORK", tmp_path)
    made = []

    def make(subject, folder):
        made.append(subject)
        (folder / "x").write_text(subject)
        if len(made) == 2:  # as another process would, that found it old
            (first,) = tmp_path.glob("things/a.*/x")
            first.unlink()

    listed = [Item(name, {"id": name}, name, name) for name in "ab"]
    place = Place("test", "things", tmp_path / "out")
    rows = make_items(listed, make, place, ALONE)
    assert made == ["a", "b", "a"]
    assert [row["status"] for row in rows] == ["ok", "ok"]


def test_other_errors_keep_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "WORK", tmp_path)

    def make(subject, folder):
        (folder / "x").write_text("half")
        raise MemoryError

    place = Place("test", "things", tmp_path / "out")
    with pytest.raises(MemoryError):
        make_items([Item("a", {}, "a", "a")], make, place, ALONE)
    assert not list((tmp_path / "things").glob("[!.]*")) + list(
        (tmp_path / "things/.half").iterdir()
    )


def test_a_reasoned_failure_is_a_line_without_files(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "WORK", tmp_path)

    def make(subject, folder):
        (folder / "x").write_text("half")
        raise MediaError("silent", "nothing to hear")

    place = Place("test", "things", tmp_path / "out", "t.csv", COLUMNS)
    make_items([Item("a", {"id": "a"}, "a", "a")], make, place, ALONE)
    (line,) = read_table(tmp_path / "out" / "t.csv", "")
    assert line == {"id": "a", "status": "silent", "reason": "nothing to hear", "size": ""}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["t.csv"]


def test_a_worker_that_is_killed_ends_the_stage_in_one_line(tmp_path):
    program = """
import os, signal, sys
from pipeline.common import run_stage
from pipeline.engines.spread import run_items
from solos.config.params import Parallel
sys.argv = ["stage.py"]
def main(params):
    run_items(die, [1, 2], Parallel(backend="loky", jobs=2), "x")
def die(_):
    os.kill(os.getpid(), signal.SIGKILL)
run_stage(main)
"""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    path = os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, env=path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: a worker was killed, or out of memory" in done.stderr

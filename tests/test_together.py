"""Several runs at once: the queue with two workers, and a stage that outlives a killed ``dvc``."""

import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from test_end_to_end import TINY, Clone
from waiting import wait_for


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """A clone with its training set downloaded, and an ffmpeg that takes its time, or is held."""
    folder = tmp_path_factory.mktemp("together")
    clone = Clone(folder / "clone")
    clone.run("python", "-m", "pipeline.params", *TINY)
    clone.run("dvc", "repro", "download@solos")
    clone.commit()
    slow = folder / "bin" / "ffmpeg"
    slow.parent.mkdir()
    real = shutil.which("ffmpeg") or clone.run("python", "-c", REAL).strip()
    held = f'while [ -e "{folder}/hold" ]; do sleep 0.1; done'
    slow.write_text(f'#!/bin/sh\nsleep 0.2\n{held}\nexec "{real}" "$@"\n')
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    clone.environment["PATH"] = f"{slow.parent}{os.pathsep}{clone.environment['PATH']}"
    return clone


REAL = "from solos.media.process import ffmpeg_path; print(ffmpeg_path())"


def made(clone: Clone) -> list[Path]:
    return list((clone.folder / ".work/extract/solos").glob("[!.]*"))


def test_a_stage_that_outlives_dvc_and_its_successor_do_no_harm(clone):
    """``kill -9`` of ``dvc`` alone during ``extract``, then the same command again."""
    command = ["dvc", "repro", "extract@solos"]
    log, hold = clone.folder.parent / "both.log", clone.folder.parent / "hold"

    def start() -> subprocess.Popen:
        with log.open("a") as said:
            return subprocess.Popen(
                command, cwd=clone.folder, env=clone.environment, stdout=said, stderr=said
            )

    first = start()
    wait_for(lambda: len(made(clone)) >= 3)
    hold.touch()  # the stage itself is still at work, until its successor has come
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert len(made(clone)) < 26
    second = start()
    wait_for(lambda: "waiting for another process" in log.read_text(), 240)
    hold.unlink()
    assert second.wait(240) == 0
    assert "Traceback" not in log.read_text()
    together = clone.table("data/extracted/solos/status.csv")
    assert [line["status"] for line in together] == ["ok"] * 26
    shutil.rmtree(clone.folder / ".work" / "extract")
    shutil.rmtree(clone.folder / "data" / "extracted")
    clone.run("python", "-m", "pipeline.extract", "solos")  # undisturbed
    assert clone.table("data/extracted/solos/status.csv") == together
    assert "up to date" in clone.run("dvc", "repro", "extract@solos")


def test_two_workers_of_the_queue_share_the_work(clone):
    """Two experiments that differ elsewhere, and so want the same recordings extracted anew."""
    clone.run("git", "add", "dvc.lock")
    clone.run("git", "commit", "--quiet", "--message", "extracted")
    flags = [part for override in TINY for part in ("-S", override)]
    flags += ["-S", "extract.jpeg_quality=9", "-S", "statistics.resamples=10,20"]
    clone.run("dvc", "exp", "run", "--queue", *flags, "extract@solos")
    before = set(made(clone))
    clone.run("dvc", "queue", "start", "-j", "2")
    try:
        wait_for(lambda: "Running" not in (s := status(clone)) and "Queued" not in s, 900)
        shown = status(clone)
        assert shown.count("Success") == 2, shown + logs(clone)
        assert "Traceback" not in logs(clone)
        new = set(made(clone)) - before
        assert len(new) == 26  # each once, whoever made it
    finally:
        clone.run("dvc", "queue", "stop", "--kill")


def status(clone: Clone) -> str:
    return clone.run("dvc", "queue", "status")


def logs(clone: Clone) -> str:
    """What the experiments printed."""
    tasks = [line.split()[0] for line in status(clone).splitlines() if "Success" in line]
    shown = [clone.run("dvc", "queue", "logs", task) for task in tasks]
    assert len(shown) == 2
    return "\n".join(shown)

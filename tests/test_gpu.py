"""``benchmarks.gpu``: its checks as tests where there is a GPU, and itself where there is none."""

import os
import subprocess
import sys

import pytest
import torch
from closure import ROOT

from benchmarks.gpu import __main__ as program
from benchmarks.gpu import recordings
from benchmarks.gpu.checks import CHECKS, run
from benchmarks.gpu.rows import Row, Setting, attempt, require


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    recordings.make(folder)
    return folder


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CHECKS)
def test_on_a_gpu(name, made):
    rows = run(name, Setting("cuda", False, made))
    assert rows and [row.cells() for row in rows if row.failure] == []


def test_without_a_gpu_it_says_so_and_is_done(tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--json", str(tmp_path / "gpu.json")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "no CUDA device: nothing was checked\n"
    assert not list(tmp_path.iterdir())


def test_a_check_runs_in_its_own_process(tmp_path):
    rows = run("bss", Setting("cpu", True, tmp_path))
    assert [row.failure for row in rows] == ["", ""]
    assert all(row.figures["dB off by"] < 1e-6 for row in rows)


def test_what_stops_a_check_is_a_line(tmp_path):
    """Without its recordings; and with its time over before it has said anything."""
    (row, last) = run("steps-sop", Setting("cpu", True, tmp_path))
    assert "recordings.csv" in row.failure and last.failure.startswith("exit code 1")
    (late,) = run("golden", Setting("cpu", True, tmp_path), left=4)
    assert late.failure == "no time left"


def test_a_case_that_fails_is_a_line_and_a_bad_exit_code(tmp_path, monkeypatch, capsys):
    def wrong() -> dict:
        return require(False, "too far off", {"dB": 3.0})

    rows = [Row("a", "good", {"s": 1.5}), attempt("a", "wrong", wrong)]
    rows.append(attempt("a", "raises", lambda: 1 / 0))
    assert rows[1].cells() == ["a", "wrong", "FAILED: too far off", "dB 3"]
    assert rows[2].failure == "ZeroDivisionError: division by zero"
    monkeypatch.setattr(program, "run_all", lambda *_: rows)
    monkeypatch.setattr(program.recordings, "make", lambda _: None)
    monkeypatch.setattr(
        sys, "argv", ["gpu", "--device", "cpu", "--json", str(tmp_path / "gpu.json")]
    )
    assert program.main() == 1
    assert "| a | good | ok | s 1.5 |" in capsys.readouterr().out
    assert '"failure": "too far off"' in (tmp_path / "gpu.json").read_text()

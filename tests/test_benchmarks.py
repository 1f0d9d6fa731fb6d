"""Benchmarks given what they don't take: a line, before minutes or hours of work."""

import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("bss_eval", ["FOLDER"], "pieces.csv is missing: run the stage urmp first"),
        ("bss_eval", ["--quick"], "unrecognized arguments: --quick"),
        ("train", ["papers"], "invalid choice: 'papers'"),
        ("waiting", ["paper"], "unrecognized arguments: paper"),
        ("gpu", ["--only", "nothing"], "invalid choice: 'nothing'"),
        (
            "gpu",
            ["--json", "/nowhere/gpu.json"],
            "--json: there is no folder for /nowhere/gpu.json",
        ),
        ("rehearsal", [], "the following arguments are required: folder"),
        ("rehearsal", ["FOLDER"], "exists"),
        ("rehearsal", ["new", "ten"], "invalid int value: 'ten'"),
    ],
)
def test_mistakes_are_one_line(name, words, message, tmp_path, monkeypatch, capsys):
    words = [str(tmp_path) if word == "FOLDER" else word for word in words]
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(SystemExit) as end:
        import_module(f"benchmarks.{name}{'.__main__' * (name == 'gpu')}").main()
    assert end.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"python -m benchmarks.{name}: error: ") and message in line

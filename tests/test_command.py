"""The command ``solos`` as a process: start-up, pipes, signals, odd names, full disks, damage."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from closure import ROOT
from test_media import ffmpeg
from waiting import wait_for

from solos import SAMPLE_RATE
from solos.commands.cli import main
from solos.models.weights import build_network, save_network

BAD = os.fsdecode(b"caf\xe9.wav")
"""A file name that is no UTF-8, as old archives have them."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, mhu_recipe) -> Path:
    """A trained row and a recording of two seconds."""
    root = tmp_path_factory.mktemp("workspace")
    shutil.copy(ROOT / "params.yaml", root)
    about = {"network": "mhunet", "epoch": 3, "val_loss": 0.5, "recipe": mhu_recipe.model_dump()}
    save_network(root / "data/models/mhunet", build_network(mhu_recipe), about)
    wave = 0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE)
    soundfile.write(root / "a.wav", wave, SAMPLE_RATE)
    return root


@pytest.fixture
def sound(workspace) -> Path:
    return workspace / "a.wav"


def separating(*inputs: object, out: Path) -> list[str]:
    words = ["separate", *map(str, inputs), "--model", "mhunet", "--instruments", "horn,cello"]
    return [*words, "--out", str(out)]


def begin(folder: Path, *words: str, **options: object) -> subprocess.Popen:
    """Python in a folder, whose output is caught."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([sys.executable, *words], cwd=folder, env=environment, **pipes)


def start(workspace: Path, *arguments: str, **options: object) -> subprocess.Popen:
    return begin(workspace, "-m", "solos", *arguments, **options)


TORCHLESS = {
    "help": (["--help"], 0),
    "a command's help": (["separate", "--help"], 0),
    "nothing": ([], 2),
    "an unknown option": (["score", "--refs", "x"], 2),
    "an unknown row": (["separate", "a.wav", "--out", "o", "--model", "sopp"], 2),
    "no such folder": (["score", "--references", "r", "--estimates", "nowhere"], 1),
    "info": (["info", "--json"], 0),
}
PROBE = (
    "import sys; from solos.commands.cli import main\n"
    "try: code = main(sys.argv[1:])\nexcept SystemExit as end: code = end.code\n"
    "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'soundfile'} & set(sys.modules)\n"
    "sys.stderr.write(f'\\n{code} {sorted(heavy)}')"
)


@pytest.mark.parametrize("case", TORCHLESS)
def test_what_needs_no_torch_does_not_wait_for_it(workspace, case):
    """A third of a second, once it took four; told by what was imported, not by the clock."""
    arguments, code = TORCHLESS[case]
    command = [sys.executable, "-c", PROBE, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": ""}  # no nvidia-smi
    done = subprocess.run(
        command, cwd=workspace, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == f"{code} []", done.stderr


@pytest.mark.parametrize("arguments", [["--json"], ["separate", "--json"], ["score", "--json"]])
def test_a_command_line_that_cannot_be_is_json_where_that_is_asked_for(arguments, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"] in printed.err
    assert len(printed.err.splitlines()) == 1


def test_quiet_means_results_and_errors_in_all_commands(workspace, sound, tmp_path, capsys):
    separate = separating(sound, out=tmp_path / "o")
    assert main([*separate, "--workspace", str(workspace), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and printed.out.splitlines()[-1] == f"{tmp_path}/o/separation.json"
    assert main(["info", "--workspace", str(workspace), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and "best epoch 3" in printed.out


@pytest.mark.parametrize("words", ["info", "info --json", "separate --help"])
def test_a_reader_that_goes_away_is_no_error(workspace, words):
    reading, writing = os.pipe()
    os.close(reading)
    process = start(workspace, *words.split(), stdout=writing)
    os.close(writing)
    _, errors = process.communicate()
    assert errors == b"" and process.returncode in (0, 1)


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
def test_a_stream_that_is_closed_is_written_to_by_nobody(workspace, sound, tmp_path, closed):
    def close() -> None:
        for number in closed:
            os.close(number)

    process = start(workspace, *separating(sound, out=tmp_path / "o"), preexec_fn=close)
    printed, errors = process.communicate()
    assert process.returncode == 0 and (printed != b"") == (1 not in closed), errors
    assert soundfile.info(tmp_path / "o" / "Horn.wav").frames == 2 * SAMPLE_RATE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_output_that_is_full_is_one_line(workspace):
    with Path("/dev/full").open("w") as full:
        process = start(workspace, "info", stdout=full)
        _, errors = process.communicate()
    assert errors == b"solos: standard output: No space left on device\n"
    assert process.returncode == 1


def test_names_that_are_no_utf8_are_printed_as_they_are_and_cost_nobody(
    workspace, sound, tmp_path, capsys
):
    odd = shutil.copy(sound, tmp_path / BAD)
    broken = tmp_path / os.fsdecode(b"\xff\xfe.wav")
    broken.write_bytes(b"no sound" * 99)
    other = shutil.copy(sound, tmp_path / "Dvořák.wav")
    words = separating(broken, odd, other, out=tmp_path / "out")
    printed, errors = start(workspace, *words, "--quiet").communicate()
    assert os.fsencode(f"{tmp_path}/out/caf\udce9/Horn.wav\n") in printed
    escaped = str(broken).encode("utf-8", "backslashreplace")
    assert errors.startswith(b"solos separate: " + escaped) and errors.count(b"\n") == 1
    report = json.loads((tmp_path / "out" / "caf\udce9" / "separation.json").read_bytes())
    assert report["input"]["file"] == str(odd)
    assert "Dvořák" in (tmp_path / "out" / "Dvořák" / "separation.json").read_text("utf-8")
    assert main([*words, "--json", "--overwrite", "--workspace", str(workspace)]) == 1
    first, second, _ = json.loads(capsys.readouterr().out.encode("utf-8"))  # strictly
    assert first["input"]["file"] == str(broken) and "error" in first
    assert second["input"]["file"] == str(odd)


def test_a_fault_nobody_expected_costs_one_input(workspace, sound, tmp_path, capsys, monkeypatch):
    from solos.commands import recording  # noqa: PLC0415

    def fail(path: Path, *rest: object) -> object:
        if path.name == "b.wav":
            raise ZeroDivisionError("division by zero")
        return whole(path, *rest)

    whole = recording.open_recording
    monkeypatch.setattr(recording, "open_recording", fail)
    other = shutil.copy(sound, tmp_path / "b.wav")
    words = separating(other, sound, out=tmp_path / "out")
    assert main([*words, "--workspace", str(workspace), "--quiet"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"solos separate: {other}: ZeroDivisionError: division by zero (")
    assert (tmp_path / "out" / "a" / "Horn.wav").is_file()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def little_space() -> None:
    """Files of 60 kB at most: the system's answer is that of a full disk, but for its number."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def test_a_full_disk_of_one_input_is_not_that_of_the_next(workspace, sound, tmp_path):
    short = tmp_path / "short.wav"
    soundfile.write(short, soundfile.read(sound)[0][:6000], SAMPLE_RATE)
    words = separating(sound, short, out=tmp_path / "out")
    process = start(workspace, *words, "--quiet", preexec_fn=little_space)
    _, errors = process.communicate()
    assert errors.decode() == f"solos separate: {tmp_path}/out/a: File too large\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"short"}


def test_a_full_disk_while_a_sound_is_decoded_is_one_line(workspace, sound, tmp_path):
    """As floats, which an Opus of a few kB takes a hundred of."""
    opus = tmp_path / "a.opus"
    ffmpeg("-i", sound, opus)
    process = start(workspace, *separating(opus, out=tmp_path / "out"), preexec_fn=little_space)
    _, errors = process.communicate()
    assert errors.decode().splitlines()[-1].startswith(f"solos separate: {tmp_path}/out")
    assert errors.endswith(b": File too large\n") and b"Traceback" not in errors


def test_a_sound_is_decoded_from_and_into_folders_that_are_no_utf8(workspace, sound, tmp_path):
    folder = tmp_path / os.fsdecode(b"\xe9t\xe9")
    folder.mkdir()
    opus = folder / os.fsdecode(b"caf\xe9.opus")
    ffmpeg("-i", sound, opus.with_name("a.opus"))
    opus.with_name("a.opus").rename(opus)
    process = start(workspace, *separating(opus, out=folder / "out"), "--quiet")
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
    with Path(folder / "out" / "Horn.wav").open("rb") as stream:
        assert len(soundfile.read(stream)[0]) > 0


MOUNTED = "mount -t tmpfs -o size=100k tmpfs out && exec {} -m solos {} --out out/new --quiet"


def test_a_full_file_system_is_one_line(workspace, sound, tmp_path):
    """In a file system of 100 kB, where one may be mounted, that ffmpeg decodes into."""
    (tmp_path / "out").mkdir()
    apart = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*apart, "mount -t tmpfs tmpfs out"], cwd=tmp_path, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    opus = tmp_path / "a.ogg"
    soundfile.write(opus, np.tile(soundfile.read(sound)[0], 20), SAMPLE_RATE)
    network = workspace / "data/models/mhunet"
    words = f"separate {opus} --weights {network} --instruments horn,cello"
    command = MOUNTED.format(sys.executable, words)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*apart, command], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.stderr.decode() == "solos separate: out/new: No space left on device\n"
    assert done.returncode == 1


def test_a_stopped_separation_leaves_nothing_behind(workspace, tmp_path):
    """SIGTERM, which batch systems and `timeout` send, while an ffmpeg is at work."""
    long = tmp_path / "long.ogg"
    with soundfile.SoundFile(long, "w", 8000, 1) as stream:
        for _ in range(1500):
            stream.write(np.random.default_rng(0).uniform(-0.1, 0.1, 8000))
    out = tmp_path / "out"
    process = start(workspace, *separating(long, out=out), "--quiet")
    while not list(out.glob(".solos-*/sound.wav")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (128 + signal.SIGTERM, b"")
    assert not out.exists()


DROPPING = """
import contextlib, signal, sys, time
from pathlib import Path
from solos.commands import cli

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever was begun with nohup, or as a job
signal.signal(signal.SIGINT, signal.default_int_handler)

def run(arguments):
    try:
        Path("begun").touch()
        with contextlib.suppress(BaseException):  # as a library may
            time.sleep(30)
        time.sleep(30)
    finally:
        time.sleep(0.3)  # which nothing is to interrupt
        Path("tidied").touch()

cli.info.run = run
sys.exit(cli.main(["info"]))
"""


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM, b""),
        (signal.SIGHUP, 128 + signal.SIGHUP, b""),
        (signal.SIGINT, 1, b"solos info: interrupted\n"),
    ],
)
def test_a_stop_that_a_library_drops_is_repeated(tmp_path, number, code, said):
    with begin(tmp_path, "-c", DROPPING) as process:
        wait_for((tmp_path / "begun").exists)
        for each in (number, signal.SIGTERM):  # two at once are one
            process.send_signal(each)
            time.sleep(0.2)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (code, said)
    assert (tmp_path / "tidied").exists()


ENDING = """
import atexit, signal, sys, time
from pathlib import Path
from solos.commands import cli

signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(time.sleep, 30)  # as libraries take a while, too
atexit.register(Path("ending").touch)

def run(arguments):
    Path("begun").touch()
    time.sleep(30)

cli.info.run = run
sys.exit(cli.main(["info"]))
"""


def test_a_second_interruption_ends_what_is_ending(tmp_path):
    with begin(tmp_path, "-c", ENDING) as process:
        for name in ("begun", "ending"):
            wait_for((tmp_path / name).exists)
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (-signal.SIGINT, b"solos info: interrupted\n")


DAMAGE = {
    "a row of fewer cells": b"instrument,listed,usable,minutes,not_usable\nTuba,4,2,1.0,\nVio",
    "a word for a number": b"instrument,listed,usable,minutes,not_usable\nTuba,four,2,1.0,\n",
    "another table": b"a,b\n1,2\n",
    "no text": b"\xff\xfe\x00\x01" * 40,
    "an open quote": b'instrument,listed,usable,minutes,not_usable\n"' + b"x" * 200_000,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_costs_info_its_own_line(workspace, tmp_path, capsys, damage):
    shutil.copytree(workspace / "data/models/mhunet", tmp_path / "data/models/mhunet")
    for name in ("coverage/solos.csv", "raw/solos/status.csv", "models/bad/network.yaml"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(DAMAGE[damage])
    (tmp_path / "data/coverage/music.csv").write_text(
        "instrument,listed,usable,minutes,not_usable\nTuba,4,2,1.0,\n"
    )
    (tmp_path / "data/models/a file").touch()
    for params in (None, b"seed: [", DAMAGE[damage]):
        if params is not None:
            (tmp_path / "params.yaml").write_bytes(params)
        assert main(["info", "--workspace", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "row        mhunet: mhunet, best epoch 3, validation loss 0.50000" in lines
        assert "coverage   music: 2 of 4 recordings, 1.0 minutes" in lines
        assert any(line.startswith("row        bad: ") for line in lines)
        assert any(line.startswith("coverage   solos: ") and "damaged" in line for line in lines)
        assert main(["info", "--workspace", str(tmp_path), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert "network.yaml" in found["rows"]["bad"]["error"]
        assert (found["profile"] or "params.yaml").count("params.yaml") == 1


EMPTY = {
    "nothing": (b"", "0 bytes without a row"),
    "a header alone": (b"instrument,listed,usable,minutes,status\n", "40 bytes without a row"),
    "no header": (b"Tuba,4,2,1.0,ok\nTuba,4,2,1.0,ok\n", "its header is Tuba,4,2,1.0,ok, without"),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_a_table_of_nothing_is_not_shown_as_nothing(kind, tmp_path, capsys):
    content, said = EMPTY[kind]
    for name, stage in (
        ("coverage/solos.csv", "spectrograms"),
        ("raw/solos/status.csv", "download"),
    ):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        assert main(["info", "--workspace", str(tmp_path)]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if str(path) in line]
        assert len(lines) == 1 and f"is damaged (ValueError: {said}" in lines[0]
        assert lines[0].endswith(f": run the stage {stage}@solos again")

"""What all stages share: errors as one message, and where work in progress is kept."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from closure import ROOT
from hydra.core.override_parser.overrides_parser import OverridesParser
from test_media import extract_one

from pipeline import common
from solos.config.data import Extract
from solos.media.probe import Probe
from solos.preparation import recordings


def run_stage(folder: Path, stage: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{stage}", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def write_params(folder: Path, change) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    change(content)
    (folder / "params.yaml").write_text(yaml.safe_dump(content))


def real(content: dict) -> None:
    content["synthesize"] = {}
    content["urmp"]["path"] = "/nowhere/Dataset.tar.gz"


def released(content: dict) -> None:
    content["pretrained"] |= {"source": "files", "path": "/nowhere/weights"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (real, r"urmp.path: /nowhere/Dataset.tar.gz is not there. URMP is free: get"),
        (released, r"pretrained.path: /nowhere/weights is no folder with three files"),
        (lambda content: content.pop("seed"), "1 problem(s)\n  seed: Field required"),
    ],
)
def test_what_is_missing_is_named_by_the_first_stage_that_runs(change, message, tmp_path):
    write_params(tmp_path, change)
    done = run_stage(tmp_path, "download", "solos")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_are_checked(tmp_path):
    write_params(tmp_path, lambda content: None)
    for arguments in ((), ("kazoo",), ("solos", "music")):
        done = run_stage(tmp_path, "extract", *arguments)
        assert done.returncode == 1 and done.stderr.startswith("error: ")


def test_work_of_a_temporary_experiment_is_kept_with_the_workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert common._work() == Path(".work")
    for name in (".dvc/tmp/exps/tmpabc", ".dvc/tmp/exps/standalone/tmpabc"):
        (tmp_path / name).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        assert common._work() == tmp_path / ".work"


def test_a_disk_that_is_full_condemns_no_recording(tmp_path, monkeypatch):
    """An ffmpeg that fails for the disk's sake: nothing is kept, and the next run tries again."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\necho 'av_interleaved_write_frame(): No space left on device' >&2\nexit 228\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(recordings, "probe", lambda path: Probe(4, True, 96, 64))
    (tmp_path / "film.mp4").touch()
    line = {"id": "a", "instrument": "Tuba", "status": "ok", "file": "film.mp4", "sha256": "x"}
    settings = Extract(short_side=48, jpeg_quality=2)
    with pytest.raises(OSError, match="No space left") as error:
        extract_one(line, tmp_path, tmp_path / "work", settings)
    assert error.value.errno == errno.ENOSPC
    assert str(tmp_path / "work") in error.value.filename
    assert not [*(tmp_path / "work").glob("[!.]*"), *(tmp_path / "work").glob(".half/*")]


GROWING = """
import time, numpy
from pipeline.engines.spread import run_items
from solos.config.params import Parallel
held = []
def grow(k):
    held.append(numpy.ones(60_000_000))
    time.sleep(0.6)
    return k
"""


def test_a_worker_that_is_replaced_is_nothing_to_warn_of(tmp_path):
    """loky replaces one that has grown by 300 MB, as those of `evaluate` do."""
    (tmp_path / "growing.py").write_text(GROWING)
    run = "print(run_items(grow, range(5), Parallel(backend='loky', jobs=2), 'x', 5))"
    done = subprocess.run(
        [sys.executable, "-c", f"from growing import *; {run}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "TQDM_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[0, 1, 2, 3, 4]\n", "")


HIDDEN = {
    "urmp.path": ("data/source/urmp", "data/source/urmp"),
    "notes.path": ("data/source/notes", "data/source/notes"),
    "pretrained.path": ("data/source/weights", "data/source/weights"),
    "model.mhunet.path": ("data/weights/published/their.pth", "data/weights/published"),
}
"""What is given, and where a README stands."""


@pytest.mark.parametrize("name", HIDDEN)
def test_what_a_temporary_experiment_does_not_see_is_named_with_the_line_to_use(name, tmp_path):
    """Data that lies where its README sends people, a README alone in the copy that DVC makes."""
    path, folder = HIDDEN[name]
    workspace, copy = tmp_path / "a (b)", tmp_path / "a (b)/.dvc/tmp/exps/standalone/tmpx"
    for root in (workspace, copy):
        (root / folder).mkdir(parents=True)
        (root / folder / "README.md").touch()
    (workspace / folder / Path(path).name).touch()

    def change(content: dict) -> None:
        if name == "urmp.path":
            content["synthesize"] = {}
        if name == "pretrained.path":
            content["pretrained"]["source"] = "files"
        if name == "model.mhunet.path":
            content["model"]["mhunet"] |= {"init": "published", "epochs": 0}
        section = content
        *sections, key = name.split(".")
        for each in sections:
            section = section.setdefault(each, {})
        section[key] = path

    write_params(copy, change)
    done = run_stage(copy, "download", "solos")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"-S \"{name}='{workspace / path}'\"" in done.stderr
    line = done.stderr.partition('-S "')[2].partition('"')[0]
    assert OverridesParser.create().parse_overrides([line])[0].value() == str(
        workspace / path
    )  # as Hydra reads it


def test_imagenet_weights_in_place_are_not_fetched_by_a_temporary_experiment(tmp_path):
    copy = tmp_path / ".dvc/tmp/exps/tmpx"
    for root in (tmp_path, copy):
        (root / "data/weights/scratch").mkdir(parents=True)
    (tmp_path / "data/weights/scratch/resnet18-f37072fd.pth").touch()

    def change(content: dict) -> None:
        content["train"]["sop"]["trunk_weights"] = "imagenet"

    write_params(copy, change)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        done = run_stage(copy, "download", "solos")
        assert len(done.stderr.splitlines()) == 1
        line = done.stderr.partition("looks too, ")[2].strip()
        assert line.startswith("mkdir -p")
        subprocess.run(["sh", "-c", line], check=True)
        assert "resnet18" not in run_stage(copy, "download", "solos").stderr


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/source/urmp", "urmp.path: data/source/urmp is not there. URMP is free: get"),
        ("~/a (b)/Dataset", "write -S \"urmp.path='$HOME/a (b)/Dataset'\""),
    ],
)
def test_a_place_that_holds_a_readme_alone_and_a_home_that_nobody_expanded(path, message, tmp_path):
    (tmp_path / "data/source/urmp").mkdir(parents=True)
    (tmp_path / "data/source/urmp/README.md").touch()

    def change(content: dict) -> None:
        content["synthesize"] = {}
        content["urmp"]["path"] = path

    write_params(tmp_path, change)
    done = run_stage(tmp_path, "extract", "solos")
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["pipeline.train", "solos.commands.recording"])
@pytest.mark.parametrize("given", [{}, {"GOMP_SPINCOUNT": "7"}])
def test_torchs_threads_are_told_how_to_wait_before_it_is_loaded(module, given):
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(name, *_):\n"
        "        if name == 'torch':\n"
        "            print(os.environ.get('GOMP_SPINCOUNT'))\n"
        f"sys.meta_path.insert(0, Watch)\nimport {module}"
    )
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"} | given
    environment["PYTHONPATH"] = str(ROOT)
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.split() == [given.get("GOMP_SPINCOUNT", "2000")]

"""The whole pipeline, as a user runs it, on the smallest data and networks that mean anything."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from copy import copy
from pathlib import Path

import pytest
import yaml
from closure import ROOT

from solos.evaluation.rows import ROWS as ROWS_AS_SHOWN

TINY = (
    "synthesize.solos.recordings=2",
    "synthesize.solos.seconds=10.0",
    "synthesize.solos.height=96",
    "synthesize.music.recordings=2",
    "synthesize.music.seconds=10.0",
    "synthesize.music.height=96",
    "synthesize.urmp.pieces=2",
    "synthesize.urmp.seconds=14.0",
    "synthesize.urmp.height=96",
    "extract.short_side=40",
    "train.sop.channels=[2,4,4]",
    "train.sop.components=2",
    "train.sop.image_size=32",
    "train.sop.mixes_per_recording=1",
    "train.sop.val_mixes=4",
    "train.sop.epochs=1",
    "train.mhunet.channels=[2,4,4]",
    "train.mhunet.train_mixes=16",
    "train.mhunet.val_mixes=4",
    "train.mhunet.epochs=1",
    "train.mhunet.curriculum.stop=3",
)
ROWS = ["mixture", "sop_pretrained", "sop", "sop_ft", "mhunet", "oracle_binary", "oracle_ratio"]


class Clone:
    """A clone of the project in a folder of its own, and its commands."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        bin_folder = Path(sys.executable).parent
        quiet = {"DVC_NO_ANALYTICS": "true", "TQDM_DISABLE": "1"}
        path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | quiet | {"PATH": path}
        self._copy()
        self.run("git", "init", "--quiet")
        self.run("git", "config", "user.name", "test")
        self.run("git", "config", "user.email", "test@localhost")
        self.commit()

    def _copy(self) -> None:
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.check_output(listed, cwd=ROOT, text=True).rstrip("\0").split("\0")
        for name in names:
            if (ROOT / name).exists() and name != "dvc.lock":
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, self.folder / name)

    def commit(self) -> None:
        self.run("git", "add", ".")
        self.run("git", "commit", "--quiet", "--message", "test")

    def run(self, *command: str, ok: bool = True) -> str:
        """Output of a command; with ``ok``, it must succeed.

        It goes into a file: a pipe would be waited for as long as any process that the command
        leaves behind, as the workers of DVC's queue, holds it.
        """
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=1200,
            )
            output.seek(0)
            shown = output.read()
        assert (done.returncode == 0) == ok, f"{' '.join(command)}\n{shown[-4000:]}"
        return shown

    def metrics(self, row: str) -> dict:
        return json.loads((self.folder / "metrics" / f"{row}.json").read_text())

    def table(self, name: str) -> list[dict]:
        with (self.folder / name).open() as stream:
            return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("clone"))
    clone.run("python", "-m", "pipeline.params", *TINY)
    clone.run("dvc", "repro")
    return clone


def test_every_row_is_scored_on_the_same_sources(clone):
    metrics = {row: clone.metrics(row) for row in ROWS}
    for row in ROWS:
        lines = clone.table(f"data/evaluation/{row}.csv")
        assert len({(line["piece"], line["segment"]) for line in lines}) == 4
        assert metrics[row]["segments"] + metrics[row]["skipped"] == 4
    assert metrics["mixture"]["segments"] == 4
    assert metrics["mixture"]["SDR"]["mean"] < 3
    assert metrics["oracle_ratio"]["SDR"]["mean"] > metrics["mixture"]["SDR"]["mean"] + 5


def test_every_recording_is_accounted_for(clone):
    for name, recordings in (("solos", 26), ("music", 22)):
        for table in ("raw/{}/status", "extracted/{}/status", "spectrograms/{}/recordings"):
            rows = clone.table(f"data/{table.format(name)}.csv")
            assert [row["status"] for row in rows] == ["ok"] * recordings


def test_metrics_show_is_the_table_and_nothing_else(clone):
    lines = clone.run("dvc", "metrics", "show").strip().splitlines()
    assert [line.split()[0] for line in lines] == ["Path"] + [f"metrics/{row}.json" for row in ROWS]


def test_the_report_has_the_table(clone):
    report = (clone.folder / "report" / "table2.md").read_text()
    mean = clone.metrics("mhunet")["SDR"]["mean"]
    assert "−0.56 ± 5.96" in report  # published
    assert f"{mean:.2f}".replace("-", "−") in report  # measured


def test_the_page_has_the_table_the_plots_and_something_to_hear(clone):
    page = (clone.folder / "report" / "index.html").read_text()
    mean = clone.metrics("mhunet")["SDR"]["mean"]
    assert f"{mean:.2f}".replace("-", "−") in page
    assert page.count('class="example"') == 4  # all the segments there are
    for row in ("sop_pretrained", "sop", "sop_ft", "mhunet"):
        assert f"Violin, {ROWS_AS_SHOWN[row]}" in page
    assert len(page.encode()) < 25e6


def test_dvc_plots_show_every_plot(clone):
    declared = yaml.safe_load((clone.folder / "dvc.yaml").read_text())["plots"]
    output = clone.run("dvc", "plots", "show")
    assert "failed" not in output
    shown = (clone.folder / "dvc_plots" / "index.html").read_text()
    for plot in declared:
        for name, settings in plot.items():
            assert settings["title"] in shown, name
    assert shown.count("vegaEmbed(") == len(declared) == 6


def test_the_training_log_has_every_epoch(clone):
    for row, epochs in (("sop_pretrained", 1), ("sop", 2), ("mhunet", 2)):
        folder = clone.folder / "data" / "training" / row / "plots" / "metrics"
        for name in ("val_loss", "lr", "max_src"):
            lines = (folder / f"{name}.tsv").read_text().splitlines()
            assert len(lines) == 1 + epochs


def test_a_second_repro_has_nothing_to_do(clone):
    assert "Data and pipelines are up to date." in clone.run("dvc", "repro")


def test_a_colleague_pulls_the_run_from_a_remote_and_has_nothing_to_do(clone, tmp_path):
    """A folder as the remote: push, clone, pull, and the clone is up to date; a part alone, too."""
    clone.run("dvc", "remote", "add", "--default", "storage", str(tmp_path / "remote"))
    clone.commit()
    assert "pushed" in clone.run("dvc", "push")
    assert "Everything is up to date" in clone.run("dvc", "push")
    clone.run("git", "clone", "--quiet", ".", str(tmp_path / "colleague"))
    colleague = copy(clone)
    colleague.folder = tmp_path / "colleague"
    colleague.run("dvc", "pull", "report")
    page = "report/index.html"
    assert (colleague.folder / page).read_bytes() == (clone.folder / page).read_bytes()
    assert not (colleague.folder / "data/models").exists()
    colleague.run("dvc", "pull")
    assert "Data and pipelines are up to date." in colleague.run("dvc", "repro")
    assert colleague.run("git", "status", "--porcelain") == ""
    clone.run("dvc", "remote", "remove", "storage")


def test_sop_pretrained_is_the_music_weights(clone):
    music, row = clone.folder / "data/weights/music", clone.folder / "data/models/sop_pretrained"
    for name in ("sound_best.pth", "frame_best.pth", "synthesizer_best.pth"):
        assert (music / name).read_bytes() == (row / name).read_bytes()


def test_a_broken_recording_is_a_line_and_the_rest_goes_on(clone, tmp_path):
    """A truncated video: a reasoned line in each table; training goes on without it."""
    row = clone.table("data/raw/solos/status.csv")[0]
    video = clone.folder / "data" / "raw" / "solos" / row["file"]
    whole = video.read_bytes()
    video.unlink()
    video.write_bytes(whole[: len(whole) // 3])
    clone.run("python", "-m", "pipeline.extract", "solos")
    extracted = clone.table("data/extracted/solos/status.csv")[0]
    assert extracted["status"] != "ok" and extracted["reason"]
    message = clone.run("python", "-m", "pipeline.spectrograms", "solos", ok=False)
    assert "Traceback" not in message
    assert row["instrument"] in message  # it has one usable recording left, and two are needed
    clone.run("dvc", "checkout", "--force")


def test_one_row_as_an_experiment(clone):
    """Last, as it changes the workspace: another budget for one row, from the command line."""
    clone.commit()
    overrides = [*TINY, "model=sop", "model.sop.epochs=2"]
    flags = [part for override in overrides for part in ("-S", override)]
    output = clone.run("dvc", "exp", "run", *flags)
    assert "Running stage 'train@sop'" in output
    assert "Running stage 'train@mhunet'" not in output
    assert "Running stage 'extract@solos'" not in output
    log = clone.folder / "data" / "training" / "sop" / "plots" / "metrics" / "val_loss.tsv"
    assert len(log.read_text().splitlines()) == 1 + 3  # a header, the start, two epochs
    shown = clone.run("dvc", "metrics", "show")
    assert "metrics/sop.json" in shown and "metrics/mhunet.json" not in shown
    assert "model.sop.epochs" in clone.run("dvc", "exp", "show", "--csv")
    clone.run("dvc", "metrics", "diff")
    clone.run("dvc", "plots", "diff", "HEAD")
    plots = (clone.folder / "dvc_plots" / "index.html").read_text()
    assert "SDR by instrument" in plots and '"rev": "workspace"' in plots
    page = (clone.folder / "report" / "index.html").read_text()
    assert "Violin, SoP-Solos" in page and "Violin, MHU-Net" not in page

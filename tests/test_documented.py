"""Every command line that README and the documents print is run, or is in a list that says why not.

In a clone of the project, without its outputs: what trains for hours is composed and parsed as DVC
would, what reads is run.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from closure import ROOT
from dvc.cli.parser import get_main_parser
from test_contributing import run as run_in
from test_media import write_clip

from pipeline.params import compose
from solos import SAMPLE_RATE
from solos.commands.cli import main
from solos.models.weights import build_network, save_network

PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{n}.md" for n in ("real-data", "notes"))]
PAGES += ["docs/sharing.md", "docs/fidelity.md", "docs/speed.md"]
PAGES += ["data/weights/published/README.md"]
PAGES += [f"data/{name}/README.md" for name in ("source/urmp", "source/notes", "source/weights")]
PROGRAMS = ("dvc", "make", "solos", "python", "git", "pip", "pytest", "source", "ruff")
PROGRAMS += ("dask",)
VALUES = {
    "FOLDER": "given",
    "PATH": "given",
    "FILE": "given",
    "…": "3",
    "sha256=3": f"sha256={'0' * 64}",
}
"""What stands for a placeholder."""

ELSEWHERE = {
    r"make repro": "tests/test_end_to_end.py runs the stages; the metrics are of a clean run",
    r"make test|pytest .*|make lint|source .*": "what runs these tests",
    r"make lock": "needs the package index",
    r"dvc (push|pull|repro).*|git push|git clone .*": "tests/test_end_to_end.py, a remote",
    r"dvc exp (push|pull) .*|dvc push --run-cache": "need a git server",
    r"dvc plots show": "tests/test_end_to_end.py",
    r"dvc queue start.*": "tests/test_together.py, with two workers",
    r"dvc status": "tests/test_end_to_end.py: `dvc repro` finds nothing to do",
    r"git restore . && (rm .* && )?dvc repro": "tests/test_end_to_end.py",
    r"pip install .*": "needs the package index",
    r"dask (scheduler|worker .*)": "tests/test_cluster.py, by Python",
    r"python docs/curves.py": "draws a full run's curves",
    r"python -m benchmarks.gpu.*": "tests/test_gpu.py, what can be without a GPU",
    r"python tests/random_media.py 500": "tests/test_random_media.py draws 64",
    r"python -m benchmarks.(stages|train|waiting)": "times a run, and training steps: minutes",
    r"python -m benchmarks.rehearsal .*": "serves 754 recordings for an hour",
    r"solos separate Vid_….*": "tests/test_cli.py: the estimates are those that evaluate scores",
    r"git (add|commit) .*|git init": "plain git",
    r"solos separate|dvc remote modify --local": "a command's name",
}
"""Lines that are not run here, and why."""


def command_lines() -> list[str]:
    """What is typed in console blocks and named in the text, placeholders as they are."""
    found: list[str] = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        found += [re.sub(r"\s{2,}#.*", "", line) for line in re.findall(r"^\$ (.*)$", text, re.M)]
        plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        found += [
            re.sub(r"\s*\\?\n\s*", " ", line)
            for line in re.findall(r"^    (dvc .*(?:\n {8}.*)?)$", plain, re.M)
        ]
        for code in re.findall(r"`([^`]+)`", plain):
            line = " ".join(code.split())
            if line.startswith("-S "):
                found.append(f"dvc exp run {line}")
            elif line.split()[0] in PROGRAMS and " " in line:
                found.append(line)
    return list(dict.fromkeys(found))


LINES = command_lines()


def reason_of(line: str) -> str | None:
    return next((why for form, why in ELSEWHERE.items() if re.fullmatch(form, line)), None)


def filled(line: str) -> str:
    for placeholder, value in VALUES.items():
        line = re.sub(rf"(?<![A-Z_]){re.escape(placeholder)}", value, line)
    return line


@pytest.fixture(scope="module")
def clone(tmp_path_factory, params, sop_recipe, mhu_recipe) -> Path:
    """A clone with CONTRIBUTING's row in place, and what the lines name: recordings, networks."""
    folder = tmp_path_factory.mktemp("documented") / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        shutil.copyfile(ROOT / name, folder / name)  # as it is, committed or not
    text = (ROOT / "CONTRIBUTING.md").read_text()
    blocks = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)```$", text, re.M | re.S)
    for name, content in blocks:
        (folder / name).write_text(content)
    for row, recipe in (("sop", sop_recipe), ("mhunet", mhu_recipe)):
        about = {"network": row, "epoch": 1, "val_loss": 0.5, "recipe": recipe.model_dump()}
        save_network(folder / "data/models" / row, build_network(recipe), about)
    write_clip(folder / "duet.mp4", seconds=2)
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 2 * SAMPLE_RATE))
    soundfile.write(folder / "song.mp3", wave[0], SAMPLE_RATE)
    for top in ("URMP_FOLDER", "given"):
        piece = folder / top / "01_Duet_vn_vc"
        piece.mkdir(parents=True)
        for k in (1, 2):
            tone = np.concatenate([wave[k - 1]] * 4)
            soundfile.write(piece / f"AuSep_{k}_x_01_Duet.wav", tone, SAMPLE_RATE)
    return folder


def test_lines_are_found_and_reasons_are_needed():
    assert len(LINES) > 60
    for form in ELSEWHERE:
        assert any(re.fullmatch(form, line) for line in LINES), f"nothing printed is {form}"


@pytest.mark.parametrize("line", [line for line in LINES if reason_of(line) is None])
def test_a_printed_line_works(line, clone, monkeypatch):
    monkeypatch.chdir(clone)
    shutil.copy(ROOT / ".dvc/config", clone / ".dvc/config")
    shutil.rmtree("separated", ignore_errors=True)
    program, *words = shlex.split(os.path.expandvars(filled(line)))
    if program == "dvc":
        options = get_main_parser().parse_args(words)  # exits where it has no such option
        if words[:2] == ["exp", "run"]:
            check_overrides(options.set_param or [], clone)
            return
        run_in(clone, sys.executable, "-m", "dvc", *words)
    elif program == "make":
        run_in(clone, "make", "--dry-run", *words)
    elif program == "solos":
        with ThreadPoolExecutor(2) as threads:  # what a test has replaced, processes don't see
            pool = "solos.commands.scoring.get_reusable_executor"
            monkeypatch.setattr(pool, lambda **_: threads)
            assert main(words) == 0
    else:
        raise AssertionError(f"{line}: run it, or say in ELSEWHERE why not")


def check_overrides(overrides: list[str], clone: Path) -> None:
    """They compose what all stages take; of a sweep, each of its values."""
    if "+foo=1" in overrides:
        return  # README's example of what DVC accepts and no stage sees
    sweeps = [o for o in overrides if re.fullmatch(r"\w+=\w+(,\w+)+", o)]
    for sweep in sweeps or [""]:
        name, _, values = sweep.partition("=")
        for value in values.split(","):
            own = [f"{name}={value}" if o == sweep else o for o in overrides]
            compose(clone / "composed.yaml", [*needed(own), *own])


def needed(overrides: list[str]) -> list[str]:
    """The profile that a line of the documents on real data is about."""
    real = ("index.", "dataset.music", "pretrained=url", "urmp.sha256")
    return ["data=solos"] if any(o.startswith(real) for o in overrides) else []


def block(page: str, language: str, within: str) -> str:
    """The one block of a page in a language that holds some text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    (found,) = (text for text in blocks if within in text)
    return found


def test_the_script_for_slurm_gives_dvc_what_composes(clone, tmp_path, monkeypatch):
    programs = {"dvc": "printf '%s\\n' \"$@\"", "scontrol": "printf 'n1\\nn2\\n'"}
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    paths = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    script = ["bash", "-c", block("docs/real-data.md", "bash", "#SBATCH")]
    words = subprocess.check_output(script, env=os.environ | paths, text=True).splitlines()
    options = get_main_parser().parse_args(words)
    monkeypatch.chdir(clone)
    check_overrides(options.set_param, clone)
    launcher = yaml.safe_load((clone / "composed.yaml").read_text())["launcher"]
    assert launcher == (
        "srun torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-id=7 "
        "--rdzv-endpoint=n1:29500"
    )


def test_the_script_of_a_cluster_prints_its_address(tmp_path):
    """With a stand-in for Slurm's cluster that takes what the real one takes."""
    (tmp_path / "dask_jobqueue.py").write_text(
        "class SLURMCluster:\n"
        "    scheduler_address = 'tcp://n1:8786'\n"
        "    def __init__(self, *, cores, processes, memory, walltime):\n"
        "        assert cores == processes  # a thread each\n"
        "    def scale(self, *, jobs): pass\n"
    )
    (tmp_path / "cluster.py").write_text(block("docs/real-data.md", "python", "SLURMCluster"))
    command = [sys.executable, "cluster.py"]
    said = subprocess.check_output(command, cwd=tmp_path, input="\n", text=True)
    assert said.startswith("tcp://n1:8786\n")

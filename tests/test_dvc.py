"""dvc.yaml against the code and the configuration, without running a stage."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from closure import ROOT, reached_by

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def definition(stage: str) -> dict:
    return STAGES[stage].get("do", STAGES[stage])


def test_a_stage_is_a_file_in_pipeline():
    not_stages = {"__init__", "common", "fit", "params"}
    files = {path.stem for path in Path(ROOT / "pipeline").glob("*.py")} - not_stages
    assert set(STAGES) == files | {"oracles"}
    for stage in STAGES:
        launcher = "${launcher}" if stage in ("pretrained", "train") else "python"
        assert definition(stage)["cmd"].split()[:3] == [launcher, "-m", f"pipeline.{script(stage)}"]


def script(stage: str) -> str:
    """The file of a stage: its own, but for the oracles, which are baselines too."""
    return "baselines" if stage == "oracles" else stage


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_imports(stage):
    """If this fails: make the stage's deps what is reached, no more and no less.

    But for networks: a row depends on its own alone, so that a new one retrains no other.
    """
    code = {dep for dep in definition(stage)["deps"] if dep.endswith(".py")}
    reached = reached_by(ROOT / "pipeline" / f"{script(stage)}.py")
    network = {"pretrained": "sop", "train": "${item.network}", "evaluate": "${item.network}"}
    if stage in network:
        reached -= {"solos/models/sop.py", "solos/models/mhunet.py"}
        reached.add(f"solos/models/{network[stage]}.py")
    assert code == reached


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_own_section(stage):
    """What differs by row or data set is checked by running; here, the sections' names."""
    others = {"report": {"profile"}, "train": {"train.${item.network}"}}
    others |= {"baselines": {"evaluate"}, "oracles": {"evaluate"}}
    expected = others.get(stage, {stage})
    params = set(definition(stage).get("params", []))
    assert expected <= {param.removesuffix(".${key}") for param in params} | params


def ignored(path: str) -> bool:
    return (
        subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == 0
    )


def test_outputs_are_ignored_by_git_and_metrics_are_not():
    for stage in STAGES:
        for out in definition(stage)["outs"]:
            assert ignored(out.replace("${key}", "music") + "/"), out  # also if it is not there
        for metric in definition(stage).get("metrics", []):
            assert not ignored(next(iter(metric)))


def test_nothing_but_the_renderer_knows_the_profile():
    """A profile is data: no other module names one."""
    for folder in ("solos", "pipeline"):
        for path in (ROOT / folder).glob("*.py"):
            assert not re.search(
                r"""["'](mini|solos)["']\s*[=!]=|[=!]=\s*["'](mini|solos)["']""", path.read_text()
            ), path
            assert "params.profile ==" not in path.read_text(), path


@pytest.mark.parametrize(("row", "least"), [("sop", 2.0), ("sop_ft", 2.0), ("mhunet", 3.0)])
def test_committed_rows_lie_between_the_mixture_and_the_oracles(row, least):
    """Decibels of mean SDR above the mixture that the miniature is meant to reach."""
    names = (row, "mixture", "oracle_binary", "oracle_ratio")
    files = [json.loads((ROOT / "metrics" / f"{name}.json").read_text()) for name in names]
    score, mixture, *oracles = (metrics["SDR"]["mean"] for metrics in files)
    assert mixture + least <= score < min(oracles)

"""dvc.yaml against the code and the configuration, without running a stage."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from closure import ROOMS, ROOT, files_of, imported_modules, networks, place_of, reached_by

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def definition(stage: str) -> dict:
    return STAGES[stage].get("do", STAGES[stage])


def test_a_stage_is_a_file_in_pipeline():
    not_stages = {"__init__", "archive", "claims", "common", "fit", "items", "params"}
    not_stages |= {"provenance"}
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
    deps = {dep for dep in definition(stage)["deps"] if dep.startswith(("solos/", "pipeline/"))}
    reached = reached_by(f"pipeline/{script(stage)}.py")
    network = {"pretrained": "sop", "train": "${item.network}", "evaluate": "${item.network}"}
    if stage in network:
        reached.remove("solos/models")
        reached |= files_of("solos/models") - networks()
        reached.add(f"solos/models/{network[stage]}.py")
    assert deps == reached


def test_rooms_are_those_of_the_flow():
    folders = {path.parent.name for path in (ROOT / "solos").glob("*/__init__.py")}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_those_before_it_alone(room):
    allowed = {f"solos/{earlier}" for earlier in ROOMS[: ROOMS.index(room) + 1]}
    allowed |= {"solos/__init__.py", "solos/errors.py"}
    for path in (ROOT / "solos" / room).glob("*.py"):
        places = {place_of(name) for name in imported_modules(path)}
        assert places <= allowed, f"{path.name} looks down the flow: {places - allowed}"


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "commands"])
def test_a_room_says_what_it_may_import(room):
    """Its docstring names each room that it imports."""
    said = ast.get_docstring(ast.parse((ROOT / "solos" / room / "__init__.py").read_text()))
    for path in (ROOT / "solos" / room).glob("*.py"):
        for place in {place_of(name) for name in imported_modules(path)}:
            other = place.removeprefix("solos/")
            assert other in (room, "__init__.py", "errors.py") or f"``{other}``" in said, path


def test_the_first_modules_import_no_room():
    for name in ("__init__", "errors"):
        assert not imported_modules(ROOT / "solos" / f"{name}.py")


# Of one line changed there: stages of the miniature's graph that it must not concern.
_TRAININGS = {"pretrained", "train"}
_SCORINGS = {"evaluate", "baselines", "oracles"}
UNCONCERNED = {
    "download": _TRAININGS | _SCORINGS,
    "media": _TRAININGS | _SCORINGS,
    "preparation": _TRAININGS | _SCORINGS,
    "datasets": _TRAININGS | _SCORINGS,
    "synthesis": _TRAININGS | _SCORINGS,
    "evaluation": _TRAININGS,
    "separation": _TRAININGS,
    "statistics": _TRAININGS | _SCORINGS,
    "report": _TRAININGS | _SCORINGS,
    "commands": set(STAGES),
}


@pytest.mark.parametrize("room", UNCONCERNED)
def test_a_change_in_a_room_costs_no_stage_that_it_does_not_concern(room):
    concerned = {stage for stage in STAGES if f"solos/{room}" in definition(stage)["deps"]}
    assert not concerned & UNCONCERNED[room]


def test_the_house_is_small_enough_to_read():
    """What the design should yield by itself; a file that fails wants a second look, not a cut."""
    lengths = {
        path: len(path.read_text().splitlines())
        for folder in ("solos", "pipeline")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert max(lengths.values()) <= 250
    for stage in STAGES:
        assert lengths[ROOT / "pipeline" / f"{script(stage)}.py"] <= 80, stage
    assert len(list((ROOT / "solos").glob("*.py"))) <= 4
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) < 300


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
            assert ignored(re.sub(r"\$\{(key|item)\}", "music", out) + "/"), out  # there or not
        for metric in definition(stage).get("metrics", []):
            assert not ignored(next(iter(metric)))


def test_nothing_but_the_renderer_knows_the_profile():
    """A profile is data: no other module names one."""
    for folder in ("solos", "pipeline"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(
                r"""["'](mini|solos)["']\s*[=!]=|[=!]=\s*["'](mini|solos)["']""", path.read_text()
            ), path
            assert "params.profile ==" not in path.read_text(), path


@pytest.mark.parametrize(
    ("row", "least"), [("sop_pretrained", 0.0), ("sop", 1.5), ("sop_ft", 1.5), ("mhunet", 3.0)]
)
def test_committed_rows_lie_between_the_mixture_and_the_oracles(row, least):
    """Decibels of mean SDR above the mixture that the miniature is meant to reach."""
    names = (row, "mixture", "oracle_binary", "oracle_ratio")
    files = [json.loads((ROOT / "metrics" / f"{name}.json").read_text()) for name in names]
    score, mixture, *oracles = (metrics["SDR"]["mean"] for metrics in files)
    assert mixture + least < score < min(oracles)

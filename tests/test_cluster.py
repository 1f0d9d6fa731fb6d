"""Clusters: Dask's with two worker processes, and Ray's where it is installed: what is made.

The workers are processes of their own, started in another folder, as on other machines.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from closure import ROOT
from cluster_stage import (
    COUNT,
    PROGRAM,
    check,
    ended,
    environment,
    failed,
    held,
    kept,
    made,
    run,
    run_with_a_worker_lost,
    start,
    started,
)
from prepared import write_test_set
from test_media import write_clip
from waiting import wait_for

from pipeline import evaluate, extract
from pipeline.download import COLUMNS
from solos.config.params import Parallel
from solos.models.weights import build_network, save_network
from solos.storage.files import file_hash
from solos.storage.tables import write_table


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """The address of a cluster."""
    with started(tmp_path_factory.mktemp("dask")) as (address, _):
        yield address


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def test_a_cluster_makes_what_one_machine_makes_and_shows_its_progress(dask, folder):
    for backend, address in (("loky", ""), ("dask", dask)):
        said = run(folder, backend, address, backend)
        check(folder / backend)
        assert f"{COUNT}/{COUNT}" in said and "test: 11 ok, 1 silent" in said
        assert made(folder) == dict.fromkeys(range(COUNT), 1)
        run(folder, backend, address, "again")  # which finds all there
        assert made(folder) == dict.fromkeys(range(COUNT), 1)
        shutil.rmtree(folder / "shared")
        (folder / "made.log").unlink()
    tables = [(folder / each / "table.csv").read_bytes() for each in ("loky", "dask", "again")]
    assert len(set(tables)) == 1


def test_a_worker_that_is_killed_costs_its_item_a_second_try(dask, folder):
    run_with_a_worker_lost(folder, "dask", dask)
    check(folder / "out")
    assert made(folder) == dict.fromkeys(range(COUNT), 1) | {5: 2}
    assert not list((folder / "shared/things/.half").iterdir())


def test_an_item_that_kills_its_workers_ends_the_stage_in_one_line(dask, folder):
    (folder / "always.5").touch()
    line = failed(folder, "dask", dask)
    assert f"parallel.address: {dask}: workers were killed, or out of memory" in line
    (folder / "always.5").unlink()
    run(folder, "dask", dask)
    check(folder / "out")
    run(folder, "dask", "tcp://127.0.0.1:9", "again")  # all is there: no worker is needed
    check(folder / "again")


def test_a_stage_that_is_killed_goes_on_where_it_was(dask, folder):
    with held(folder, COUNT - 1):
        process = start(folder, "dask", dask)
        wait_for(lambda: len(kept(folder)) >= 3)
        process.kill()
        process.communicate()
    there = kept(folder)
    assert 3 <= len(there) < COUNT
    run(folder, "dask", dask)
    check(folder / "out")
    tries = made(folder)
    assert set(tries) == set(range(COUNT))
    assert all(tries[number] == 1 for number in there)
    assert tries.total() <= COUNT + 4  # so many are under way at once


def test_two_stages_at_once_make_each_item_once(dask, folder):
    running = [start(folder, "dask", dask, output) for output in ("a", "b")]
    for process in running:
        ended(process)
    check(folder / "a")
    check(folder / "b")
    assert made(folder) == dict.fromkeys(range(COUNT), 1)


def test_what_the_user_can_put_right_comes_back_as_one_line(dask, folder):
    (folder / "refused.3").touch()
    assert failed(folder, "dask", dask) == "error: data/x.wav is locked: unlock it"


def test_a_cluster_that_is_lost_ends_the_stage_in_one_line(folder):
    with started(folder) as (address, scheduler), held(folder, COUNT - 1):
        process = start(folder, "dask", address)
        wait_for(lambda: made(folder))
        scheduler.kill()
        errors = ended(process, 1)
    assert f"error: parallel.address: {address}: the dask cluster was lost" in errors


def test_stages_write_the_same_bytes(dask, tmp_path, params, mhu_recipe, monkeypatch):
    """Films extracted and a network's estimates scored: in this process, and by workers."""
    stages = {"extract": (extract, "solos"), "evaluate": (evaluate, "mhunet")}
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        write_inputs(folder, mhu_recipe)
    monkeypatch.chdir(here)
    alone = params.model_copy(update={"parallel": Parallel(backend="threading", jobs=1)})
    for stage, argument in stages.values():
        stage.main(alone, argument)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["parallel"] = {"backend": "dask", "jobs": 1, "address": dask}
    (there / "params.yaml").write_text(yaml.safe_dump(content))
    for name, (_, argument) in stages.items():
        command = [sys.executable, "-m", f"pipeline.{name}", argument]
        subprocess.run(command, cwd=there, env=environment(), check=True, timeout=240)
    outputs = ("data/extracted", "data/evaluation", "data/variants", "metrics")
    files = [path for each in outputs for path in (here / each).rglob("*") if path.is_file()]
    names = {str(path.relative_to(here)) for path in files}
    assert {"data/extracted/solos/b.zip", "metrics/mhunet.json"} < names
    for name in names:
        assert file_hash(there / name) == file_hash(here / name), name


def write_inputs(folder: Path, recipe) -> None:
    """What the two stages read."""
    raw, urmp = folder / "data/raw/solos", folder / "data/urmp"
    urmp.mkdir(parents=True)
    write_test_set(urmp)
    lines = []
    for name in "ab":
        film = write_clip(raw / f"{name}.mp4", seconds=2)
        line = {"id": name, "instrument": "Tuba", "status": "ok", "file": film.name}
        lines.append(line | {"sha256": file_hash(film)})
    write_table(raw / "status.csv", COLUMNS, lines)
    about = {"network": "mhunet", "epoch": 1, "val_loss": 0.5, "recipe": recipe.model_dump()}
    torch.manual_seed(0)
    save_network(folder / "data/models/mhunet", build_network(recipe), about)


def test_rays_cluster_makes_the_same(folder):
    """A worker is killed on the way."""
    pytest.importorskip("ray")
    said = run_with_a_worker_lost(folder, "ray", "")
    check(folder / "out")
    assert f"{COUNT}/{COUNT}" in said
    assert made(folder) == dict.fromkeys(range(COUNT), 1) | {5: 2}
    (folder / "refused.3").touch()
    shutil.rmtree(folder / "shared")
    assert failed(folder, "ray", "") == "error: data/x.wav is locked: unlock it"


def test_rays_address_where_nobody_answers(folder):
    pytest.importorskip("ray")
    line = failed(folder, "ray", "127.0.0.1:9")
    assert line.startswith("error: parallel.address: 127.0.0.1:9: no cluster answers there (Conn")

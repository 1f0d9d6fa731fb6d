"""Clusters: Dask's with two worker processes, and Ray's where it is installed: what is made.

The workers are processes of their own, started in another folder, as on other machines.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path

import cloudpickle
import pytest
import torch
import yaml
from closure import ROOT
from prepared import write_test_set
from test_media import write_clip

from pipeline import calls, cluster, evaluate, extract
from pipeline.download import COLUMNS
from pipeline.engines import run_items, spread
from solos.config.params import Parallel
from solos.errors import UserError
from solos.models.weights import build_network, save_network
from solos.storage.files import file_hash
from solos.storage.tables import read_table, write_table

COUNT = 12
BROKEN = 7
"""The item that nothing can be made of."""

# A stage of 12 items; what befalls one is said by files beside it.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from pipeline import items
from pipeline.common import run_stage
from pipeline.items import Item, Place, make_items
from solos.config.params import Parallel
from solos.errors import UserError
from solos.media.errors import MediaError

def make(number, folder):
    with open("made.log", "a") as log:
        log.write(f"{number} {os.getpid()}\\n")
    (folder / f"{number}.txt").write_text(f"{number}" * 1000)
    time.sleep(0.1)
    for what in ("once", "always"):
        if Path(f"{what}.{number}").exists():
            time.sleep(0.4)
            Path(f"once.{number}").unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
    if Path(f"refused.{number}").exists():
        raise UserError("data/x.wav is locked: unlock it")
    if number == BROKEN:
        raise MediaError("silent", "nothing to hear")
    return {"size": 5 * number}

def main(params):
    listed = [Item(str(n), {"id": n}, n, ("key", n)) for n in range(COUNT)]
    place = Place("test", "things", Path(output), "table.csv", ("id", "status", "reason", "size"))
    make_items(listed, make, place, Parallel(backend=backend, jobs=2, address=address or None))

if __name__ == "__main__":
    backend, address, output = sys.argv[1:]
    items.WORK = Path("shared")
    sys.argv = [f"{output}.py"]
    run_stage(main)
""".replace("COUNT", str(COUNT)).replace("BROKEN", str(BROKEN))


def environment(**more: str) -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    quick = {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    return os.environ | quick | {"PYTHONPATH": os.pathsep.join(paths)} | more


def wait_for(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def started(folder: Path):
    """A scheduler with two worker processes on this machine: its address, and its process."""
    pytest.importorskip("distributed")
    about = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}

    def begin(kind: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard"]
        return subprocess.Popen([*command, *arguments], env=environment(), **quiet)

    options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(about))
    scheduler = begin("scheduler", *options)
    wait_for(about.exists)
    address = json.loads(about.read_text())["address"]
    workers = begin("worker", address, "--nworkers", "2", "--nthreads", "1")
    yield address, scheduler
    for process in (workers, scheduler):
        process.terminate()
    for process in (workers, scheduler):
        process.wait(60)


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


def start(folder: Path, backend: str, address: str, output: str = "out") -> subprocess.Popen:
    command = [sys.executable, "program.py", backend, address, output]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
    )


def run(folder: Path, backend: str, address: str, output: str = "out") -> str:
    """What the stage said on standard error, where it ended well."""
    process = start(folder, backend, address, output)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0 and "Traceback" not in errors, errors
    return errors


def failed(folder: Path, backend: str, address: str) -> str:
    """The line that it ended with."""
    process = start(folder, backend, address)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 1 and "Traceback" not in errors, errors
    (line,) = (line for line in errors.splitlines() if line.startswith("error: "))
    return line


def check(output: Path) -> None:
    lines = []
    for number in range(COUNT):
        made = {"status": "ok", "reason": "", "size": str(5 * number)}
        if number == BROKEN:
            made = {"status": "silent", "reason": "nothing to hear", "size": ""}
        else:
            assert (output / f"{number}.txt").read_text() == str(number) * 1000
        lines.append({"id": str(number)} | made)
    assert read_table(output / "table.csv", "") == lines
    assert len(list(output.iterdir())) == COUNT  # eleven files and the table


def made(folder: Path) -> Counter:
    """How often each item was begun."""
    log = folder / "made.log"
    return Counter(int(line.split()[0]) for line in log.read_text().splitlines() if line)


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
    (folder / "once.5").touch()
    run(folder, "dask", dask)
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
    process = start(folder, "dask", dask)
    wait_for(lambda: len(list(folder.glob("shared/things/[!.]*"))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = {int(path.name.split(".")[0]) for path in folder.glob("shared/things/[!.]*")}
    assert 3 <= len(there) < COUNT
    run(folder, "dask", dask)
    check(folder / "out")
    begun = made(folder)
    assert set(begun) == set(range(COUNT))
    assert all(begun[number] == 1 for number in there)
    assert begun.total() <= COUNT + 4  # two workers, each at one, maybe one more begun meanwhile


def test_two_stages_at_once_make_each_item_once(dask, folder):
    running = [start(folder, "dask", dask, output) for output in ("a", "b")]
    for process in running:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0 and "Traceback" not in errors, errors
    check(folder / "a")
    check(folder / "b")
    assert made(folder) == dict.fromkeys(range(COUNT), 1)


def test_what_the_user_can_put_right_comes_back_as_one_line(dask, folder):
    (folder / "refused.3").touch()
    assert failed(folder, "dask", dask) == "error: data/x.wav is locked: unlock it"


def test_a_cluster_that_is_lost_ends_the_stage_in_one_line(folder):
    with started(folder) as (address, scheduler):
        process = start(folder, "dask", address)
        wait_for((folder / "made.log").exists)
        scheduler.kill()
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 1 and "Traceback" not in errors, errors
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


def test_an_address_where_nobody_answers_and_what_is_not_installed(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "TIMEOUT", 0.2)
    with pytest.raises(UserError, match=r"parallel.address: tcp://127.0.0.1:9: no cluster answers"):
        cluster._dask("tcp://127.0.0.1:9", 1)
    for name, connect in cluster.CONNECT.items():
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(
            UserError, match=rf"{name} is not installed: pip install -e '.\[{name}\]'"
        ):
            connect("tcp://nowhere:8786", 1)


def test_workers_with_several_threads_are_refused():
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 2}
    with (
        distributed.LocalCluster(**options, dashboard_address=":0") as local,
        pytest.raises(UserError, match=r"workers with several threads.* --nthreads 1"),
    ):
        cluster._dask(local.scheduler_address, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token": "/nowhere/run-x"}, "does not see /the/run: all machines need the folder"),
        ({"code": "older"}, "runs other code or another Python than this run: end the workers"),
    ],
)
def test_a_worker_that_is_elsewhere_or_other_does_nothing(change, message, tmp_path):
    (tmp_path / "run-x").touch()
    about = {"folder": "/the/run", "token": str(tmp_path / "run-x"), "code": calls.CODE} | change
    work = cloudpickle.dumps((pytest.fail, "it was called"))
    fine, error = cloudpickle.loads(calls.call(calls.Site(**about), work))
    assert not fine and isinstance(error, UserError) and message in str(error)


def test_calls_run_in_the_folder_of_the_run(tmp_path, monkeypatch):
    (tmp_path / "run-x").touch()
    here = calls.Site(str(tmp_path), str(tmp_path / "run-x"), calls.CODE)
    work = cloudpickle.dumps((os.path.abspath, "data"))
    answer = cloudpickle.loads(calls.call(here, work))
    assert answer == (True, str(tmp_path / "data")) and Path.cwd() != tmp_path


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_calls_are_taken_a_few_ahead_of_the_workers(backend):
    taken = []

    def numbers():
        for number in range(40):
            taken.append(number)
            yield f"the {number}th", number

    done = {}
    with closing(spread(abs, numbers(), Parallel(backend=backend, jobs=2))) as results:
        for key, result in results:
            done[key] = result
            assert len(taken) <= len(done) + 4  # two at work, two ahead
    assert done == {f"the {number}th": number for number in range(40)}


def test_an_error_ends_the_rest():
    begun = []

    def fail(number):
        begun.append(number)
        raise UserError(f"{number} is wrong")

    with pytest.raises(UserError, match="is wrong"):
        run_items(fail, range(100), Parallel(backend="threading", jobs=2), "x")
    assert len(begun) <= 6


def test_rays_cluster_makes_the_same(folder):
    """A worker is killed on the way."""
    pytest.importorskip("ray")
    (folder / "once.5").touch()
    said = run(folder, "ray", "")
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

"""Calls and what takes them, without a cluster's processes: refusals, and what is begun when."""

import os
import sys
import threading
from concurrent.futures import Future
from contextlib import closing, nullcontext
from pathlib import Path

import cloudpickle
import pytest

from pipeline.engines import calls, cluster
from pipeline.engines import spread as spreading
from pipeline.engines.spread import run_items, spread
from solos.config.params import Parallel
from solos.errors import UserError


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


def test_a_cluster_without_a_worker_is_waited_for_and_that_is_said(monkeypatch, tmp_path, caplog):
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    options = {"processes": False, "n_workers": 0, "threads_per_worker": 1}
    with distributed.LocalCluster(**options, dashboard_address=":0") as local:
        parallel = Parallel(backend="dask", jobs=1, address=local.scheduler_address)
        threading.Timer(0.5, local.scale, [1]).start()
        assert run_items(abs, [-1, -2], parallel, "x") == [1, 2]
        cluster._dask(parallel.address, 1).close()
        cluster._dask.cache_clear()
    said = [record.getMessage() for record in caplog.records if record.name == cluster.__name__]
    assert len(said) > 1  # at first, and while it waits
    assert set(said) == {f"{parallel.address}: no worker is there: waiting for one"}


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


def fail_oddly(number):
    """By classes that are new: Dask's own make those that are there before it fit to travel."""

    class TwoPartsError(Exception):
        """Can be packed, and not unpacked: that takes both."""

        def __init__(self, what: str, why: str):
            super().__init__(f"{what} {why}")

    class LockedError(Exception):
        """Can't be packed."""

        def __init__(self):
            super().__init__("it holds a lock")
            self.lock = threading.Lock()

    raise (TwoPartsError("four", "legs"), LockedError())[number]


@pytest.mark.parametrize("said", ["TwoPartsError: four legs", "LockedError: it holds a lock"])
def test_an_error_that_does_not_travel_is_told_and_taken_for_no_workers_death(said, tmp_path):
    number = int("Locked" in said)
    with pytest.raises(RuntimeError, match=said):
        run_items(fail_oddly, [number], Parallel(backend="loky", jobs=2), "x")
    (tmp_path / "run-x").touch()
    here = calls.Site(str(tmp_path), str(tmp_path / "run-x"), calls.CODE)
    fine, error = cloudpickle.loads(calls.call(here, cloudpickle.dumps((fail_oddly, number))))
    assert (fine, type(error), str(error)) == (False, RuntimeError, said)
    assert "in fail_oddly" in error.__notes__[0]


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


def test_results_beside_an_error_come_before_it(monkeypatch):
    """So that they are kept: a cluster may have made a hundred."""

    def submit(function, item):
        return Future()

    def first(running):
        for number, future in enumerate(list(running)):
            if number:
                future.set_result(number)
            else:
                future.set_exception(UserError("the first is wrong"))

    engine = cluster.Engine(submit, lambda: 3, first)
    monkeypatch.setattr(spreading, "_engine", lambda _: nullcontext(engine))
    results = spread(abs, enumerate("abc"), Parallel(backend="loky", jobs=3))
    assert [next(results), next(results)] == [(1, 1), (2, 2)]
    with pytest.raises(UserError, match="the first is wrong"):
        next(results)


def test_what_is_done_when_there_are_no_more_calls_for_an_error_comes_before_it(monkeypatch):
    futures = []

    def submit(function, item):
        futures.append(Future())
        return futures[-1]

    def calls():
        yield "a", 1
        futures[0].set_result(1)
        raise UserError("the disk is full")

    engine = cluster.Engine(submit, lambda: 3)
    monkeypatch.setattr(spreading, "_engine", lambda _: nullcontext(engine))
    results = spread(abs, calls(), Parallel(backend="loky", jobs=3))
    assert next(results) == ("a", 1)
    with pytest.raises(UserError, match="the disk is full"):
        next(results)

"""Calls and what takes them, without a cluster's processes: refusals, and what is begun when."""

import os
import sys
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

import os
import time
from multiprocessing import Process
from pathlib import Path

import pytest

from pipeline.fit import EXPORTED, _remove_others
from solos.storage.cache import (
    MONTH,
    RESULT,
    WEEK,
    Cache,
    claimed,
    item_name,
    locked,
    read_result,
    sweep,
)


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "work")


class Sound:
    """Makes one file; counts how often."""

    def __init__(self, text: str = "sound", result: dict | None = None):
        self.text, self.result, self.calls = text, result or {"status": "ok"}, 0

    def __call__(self, folder: Path) -> dict:
        self.calls += 1
        (folder / "deep").mkdir(exist_ok=True)
        (folder / "deep" / "audio.wav").write_text(self.text)
        return self.result


def names(cache: Cache) -> list[str]:
    """What lies in the cache, apart from its locks."""
    halves = (path for path in (cache.root / ".half").glob("*/*"))
    found = [path for path in cache.root.iterdir() if path.name not in (".locks", ".half")]
    return sorted(str(path.relative_to(cache.root)) for path in [*found, *halves])


def age(path: Path, seconds: float) -> None:
    """As if nothing had used it for so long."""
    then = time.time() - seconds
    for each in (path / RESULT, path):
        if each.exists():
            os.utime(each, (then, then))


def test_finished_work_is_not_repeated(cache):
    sound = Sound()
    for _ in range(2):
        assert cache.make("item", sound) == {"status": "ok"}
        assert (cache.root / "item" / "deep" / "audio.wav").read_text() == "sound"
    assert sound.calls == 1
    assert Cache(cache.root).make("item", sound) == {"status": "ok"}
    assert sound.calls == 1
    assert read_result(cache.root / "item") == {"status": "ok"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_interrupted_work_leaves_nothing_that_looks_finished(cache, error):
    def compute(folder):
        (folder / "audio.wav").write_text("half")
        raise error

    with pytest.raises(error):
        cache.make("item", compute)
    assert names(cache) == []
    assert not cache.publish("item", cache.root.parent / "out")
    assert cache.make("item", lambda folder: {"files": len(list(folder.iterdir()))}) == {"files": 0}


def test_what_a_killed_process_left_is_not_gone_on_with(cache):
    half = cache.root / ".half" / "item" / "old"
    half.mkdir(parents=True)
    (half / "audio.wav").write_text("half")
    assert cache.make("item", lambda folder: {"files": len(list(folder.iterdir()))}) == {"files": 0}
    assert names(cache) == ["item"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "deep" / "audio.wav").unlink(),
        lambda folder: (folder / "deep" / "audio.wav").write_text("longer sound"),
        lambda folder: (folder / RESULT).unlink(),
        lambda folder: (folder / RESULT).write_text(""),
        lambda folder: (folder / RESULT).write_text('{"result": {"status": "ok"}}'),
    ],
    ids=["vanished", "other size", "no note", "empty note", "half a note"],
)
def test_what_is_not_as_it_was_is_made_again(cache, damage, tmp_path):
    sound = Sound()
    cache.make("item", sound)
    damage(cache.root / "item")
    assert not cache.publish("item", tmp_path / "out")
    cache.make("item", sound)
    assert sound.calls == 2
    assert (cache.root / "item" / "deep" / "audio.wav").read_text() == "sound"
    assert cache.publish("item", tmp_path / "out")


def test_what_is_not_for_good_is_made_anew_next_time(cache):
    def final(result):
        return result["status"] == "ok"

    failing = Sound(result={"status": "environment"})
    for calls in (1, 2):
        assert cache.make("item", failing, lasting=final) == {"status": "environment"}
        assert failing.calls == calls
        assert names(cache) == []
    good = Sound()
    for _ in range(2):
        assert cache.make("item", good, lasting=final) == {"status": "ok"}
    assert good.calls == 1


def test_work_in_place_goes_on_where_it_was_left(cache):
    def count(folder):
        path = folder / "pieces"
        pieces = path.read_text() + "x" if path.exists() else "x"
        path.write_text(pieces)
        if len(pieces) == 2:
            raise KeyboardInterrupt
        return {"pieces": len(pieces)}

    def make():
        return cache.make("item", count, lasting=lambda it: it["pieces"] == 3, in_place=True)

    assert make() == {"pieces": 1}
    assert read_result(cache.root / "item") == {"pieces": 1}
    with pytest.raises(KeyboardInterrupt):
        make()
    assert [make(), make()] == [{"pieces": 3}] * 2


def test_files_are_published_by_links_laid_out_alike(cache, tmp_path):
    cache.make("item", Sound())
    target = tmp_path / "out"
    for _ in range(2):
        assert cache.publish("item", target)
    assert [path for path in target.rglob("*") if path.is_file()] == [target / "deep" / "audio.wav"]
    assert (target / "deep" / "audio.wav").samefile(cache.root / "item" / "deep" / "audio.wav")
    assert not cache.publish("other", target)


def test_prune_removes_what_was_unused_for_a_week_alone(cache):
    listed = ("named", "recent", "used", "locked", "old", "older")
    for name in listed:
        cache.make(name, Sound())
        age(cache.root / name, WEEK + 60)
    age(cache.root / "recent", WEEK - 3600)
    for name in ("killed", "made"):
        (cache.root / ".half" / name / "1").mkdir(parents=True)
    age(cache.root / ".half" / "killed" / "1", WEEK + 60)
    age(cache.root / ".half" / "killed", WEEK + 60)
    cache.make("used", Sound())  # finished long ago, asked for just now
    with locked(cache.root / ".locks" / "locked.lock"):
        cache.prune(iter(["named"]))
    assert names(cache) == [".half/made/1", "locked", "named", "recent", "used"]
    cache.prune(["named"])
    assert names(cache) == [".half/made/1", "named", "recent", "used"]


def test_prune_of_nothing(cache):
    cache.prune(["item"])
    assert not cache.root.exists()


def test_a_lock_is_claimed_by_one_at_a_time(tmp_path):
    path = tmp_path / "locks" / "a.lock"
    with locked(path), claimed(path) as free:
        assert not free
    with claimed(path) as free:
        assert free


def test_a_name_tells_the_item_and_all_that_determines_it():
    assert item_name("a", ["x", 1]) == item_name("a", ("x", 1))
    assert item_name("a", ["x", 1]).startswith("a.")
    assert len({item_name("a", 1), item_name("a", 2), item_name("b", 1)}) == 3


def test_two_that_prune_at_once_do_not_meet(cache):
    for number in range(200):
        cache.make(str(number), Sound())
        age(cache.root / str(number), WEEK + 60)
    children = [Process(target=cache.prune, args=([],)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert names(cache) == []


def test_what_a_killed_runs_child_still_writes_harms_nobody(cache):
    """An ffmpeg outlives its stage, and goes on in a folder that nobody reads."""
    left = cache.root / ".half" / "item" / "killed"
    left.mkdir(parents=True)

    def compute(folder):
        left.mkdir(parents=True, exist_ok=True)
        (left / "000001.jpg").write_text("late")
        (folder / "000001.jpg").write_text("good")
        return {}

    cache.make("item", compute)
    assert (cache.root / "item" / "000001.jpg").read_text() == "good"


def test_a_sweep_removes_what_no_run_came_back_to_for_a_month(tmp_path):
    """Of any cache below, but those kept for good, what is in use, and what is locked."""
    folders = ("extract/solos", "urmp", "download", "unpacked/notes")
    caches = {folder: Cache(tmp_path / folder) for folder in folders}
    for kept in caches.values():
        for name in ("recent", "old", "locked"):
            kept.make(name, Sound())
        age(kept.root / "recent", MONTH - 3600)
        age(kept.root / "old", MONTH + 60)
        age(kept.root / "locked", MONTH + 60)
    (tmp_path / "stages").mkdir()
    with locked(tmp_path / "urmp/.locks/locked.lock"):
        sweep(tmp_path, spared=("download",))
    assert names(caches["extract/solos"]) == names(caches["unpacked/notes"]) == ["recent"]
    assert names(caches["urmp"]) == ["locked", "recent"]
    assert names(caches["download"]) == ["locked", "old", "recent"]
    sweep(tmp_path / "nowhere", spared=())


def test_trainings_that_were_given_up_go_after_a_month(tmp_path):
    """Of any row; of the own row those that are exported at once; none that another run holds."""
    own = tmp_path / "train/sop/own"
    folders = {
        **dict.fromkeys(("sop/own", "sop/recent", "mhunet/exported", "mhunet/locked"), True),
        **dict.fromkeys(("sop/exported", "sop/old", "mhunet/old"), False),
    }
    for name in folders:
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        if name.endswith("exported"):
            (folder / EXPORTED).touch()
        (folder / "last.pth").touch()
        if name.endswith(("old", "locked")):
            for path in (folder / "last.pth", folder):
                os.utime(path, (time.time() - MONTH - 60,) * 2)
    with locked(tmp_path / "train/mhunet/locked.lock"):
        _remove_others(own)
    assert {name: (tmp_path / "train" / name).exists() for name in folders} == folders

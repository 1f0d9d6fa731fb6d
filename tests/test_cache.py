import pytest

from solos.storage.cache import empty, link, once, prune


def test_finished_work_is_not_repeated(tmp_path):
    calls = []

    def compute(folder):
        calls.append(folder)
        (folder / "audio.wav").write_text("sound")
        return {"status": "ok"}

    for _ in range(2):
        assert once(tmp_path / "item", compute) == {"status": "ok"}
        assert (tmp_path / "item" / "audio.wav").read_text() == "sound"
    assert len(calls) == 1


def test_interrupted_work_leaves_nothing_that_looks_finished(tmp_path):
    def compute(folder):
        (folder / "audio.wav").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path / "item", compute)
    assert not (tmp_path / "item").exists()
    assert once(tmp_path / "item", lambda folder: {"files": len(list(folder.iterdir()))}) == {
        "files": 0
    }


def test_links_replace_and_share(tmp_path):
    source, target = tmp_path / "source", tmp_path / "out" / "target"
    source.write_text("new")
    link(source, target)
    link(source, target)
    assert target.samefile(source)


def test_prune_keeps_what_is_named(tmp_path):
    for name in ("kept", "old", ".partial-x"):
        empty(tmp_path / name)
    prune(tmp_path, ["kept"])
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]

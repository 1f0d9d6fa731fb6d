import pytest

from solos.storage.files import atomic, file_hash, fingerprint, link


def test_atomic_writes_all_or_nothing(tmp_path):
    target = tmp_path / "new" / "table.csv"
    with atomic(target) as temporary:
        assert temporary.suffix == ".csv"
        temporary.write_text("first")
    with pytest.raises(RuntimeError), atomic(target) as temporary:
        temporary.write_text("half of the sec")
        raise RuntimeError
    assert target.read_text() == "first"
    assert [path.name for path in target.parent.iterdir()] == ["table.csv"]


def test_atomic_replaces_a_read_only_link_without_editing_it(tmp_path):
    cached, target = tmp_path / "cached", tmp_path / "target"
    cached.write_text("cached")
    cached.chmod(0o444)
    target.hardlink_to(cached)
    with atomic(target) as temporary:
        temporary.write_text("new")
    assert (cached.read_text(), target.read_text()) == ("cached", "new")


def test_fingerprint_tells_values_apart_but_not_the_order_of_keys():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint("a", "b") != fingerprint("ab")


def test_file_hash_is_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_hash(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_links_replace_and_share(tmp_path):
    source, target = tmp_path / "source", tmp_path / "out" / "target"
    source.write_text("new")
    link(source, target)
    link(source, target)
    assert target.samefile(source)

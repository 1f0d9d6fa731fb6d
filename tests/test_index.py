from collections import Counter

import pytest
from closure import ROOT

from solos import INSTRUMENTS
from solos.config.data import Dataset
from solos.datasets.index import Recording, dump_spans, load_spans, read_index, select, write_index
from solos.errors import UserError

HEADER = "id,instrument,url,spans\n"


def test_what_is_written_comes_back_with_relative_urls_resolved(tmp_path):
    path = tmp_path / "set" / "index.csv"
    remote = Recording("l0GBOoS_Zv4", "Violin", "https://youtu.be/x", ((0, 200), (763, 1450)))
    local = Recording("-abc_DEF123", "DoubleBass", "videos/-abc_DEF123.mp4", ())
    write_index(path, [remote, local])
    assert path.read_text().splitlines()[1:] == [
        'l0GBOoS_Zv4,Violin,https://youtu.be/x,"[[0,200],[763,1450]]"',
        "-abc_DEF123,DoubleBass,videos/-abc_DEF123.mp4,[]",
    ]
    url = f"file://{tmp_path}/set/videos/-abc_DEF123.mp4"
    assert read_index(path) == [remote, Recording("-abc_DEF123", "DoubleBass", url, ())]


def test_folders_with_spaces_and_percent_signs_make_proper_urls(tmp_path):
    path = tmp_path / "a b%20c" / "index.csv"
    write_index(path, [Recording("a", "Tuba", "a.mp4", ())])
    assert read_index(path)[0].url.endswith("/a%20b%2520c/a.mp4")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("../etc,Tuba,u,[]", "id '../etc'"),
        (",Tuba,u,[]", "id ''"),
        ("a,,u,[]", "must not be empty"),
        ("a,Tuba,,[]", "must not be empty"),
        ("a,Tuba,u", "spans are not JSON"),
        ('a,Tuba,u,"[[5,5]]"', "0 <= start < end"),
        ('a,Tuba,u,"[[-1,5]]"', "0 <= start < end"),
        ('a,Tuba,u,"[[0.5,5]]"', "0 <= start < end"),
        ('a,Tuba,u,"[[1,2,3]]"', "0 <= start < end"),
        ('a,Tuba,u,"{}"', "0 <= start < end"),
        ("a,Tuba,u,[],val", "more cells than the header has: 'val'"),
        ('a,Tuba,u,"' + 50_000 * "[" + '"', "spans are not JSON"),
        ('a,Tuba,u,"[[0,' + 5000 * "9" + ']]"', "spans are not JSON"),
        ("b,Tuba,u,[]\nb,Tuba,v,[]", "'b' occurs twice"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, complaint):
    path = tmp_path / "index.csv"
    path.write_text(HEADER + row + "\n")
    with pytest.raises(UserError, match="bad row") as error:
        read_index(path)
    assert complaint in str(error.value)
    assert str(path) in str(error.value)


def test_all_bad_rows_are_listed_with_their_lines(tmp_path):
    path = tmp_path / "index.csv"
    path.write_text(HEADER + "a b,Tuba,u,[]\nc,Tuba,u,[]\nd,Tuba,u,x\n")
    with pytest.raises(UserError, match=r"(?s)2 bad.*line 2: id 'a b'.*line 4: spans"):
        read_index(path)


def test_missing_file_columns_and_rows(tmp_path):
    path = tmp_path / "index.csv"
    with pytest.raises(UserError, match="is missing"):
        read_index(path)
    path.write_text("id,instrument\na,Tuba\n")
    with pytest.raises(UserError, match="url, spans"):
        read_index(path)
    path.write_text(HEADER)
    with pytest.raises(UserError, match="no recordings"):
        read_index(path)


def test_spans_as_json():
    assert dump_spans(((0, 200), (763, 1450))) == "[[0,200],[763,1450]]"
    assert load_spans("[[0, 200], [763, 1450]]") == ((0, 200), (763, 1450))


def test_the_index_of_solos_is_the_published_one():
    """Counts as in the paper (one less), ten recordings without spans, 64.2 hours within them."""
    recordings = read_index(ROOT / "data/index/solos/index.csv")
    counts = Counter(recording.instrument for recording in recordings)
    assert tuple(sorted(counts)) == INSTRUMENTS
    assert [counts[name] for name in INSTRUMENTS] == [
        *(56, 134, 49, 58, 47, 50, 53, 45, 50, 50, 41, 55, 66),
    ]
    without = Counter(recording.instrument for recording in recordings if not recording.spans)
    assert without == {"Trumpet": 9, "Violin": 1}
    spans = {recording.id: recording.spans for recording in recordings}
    assert spans["l0GBOoS_Zv4"] == ((0, 200), (763, 1450))  # as release 0.5 has it
    frames = sum(end - start for each in spans.values() for start, end in each)
    assert frames / 25 / 3600 == pytest.approx(64.2, abs=0.05)
    for recording in recordings:
        assert recording.url == f"https://www.youtube.com/watch?v={recording.id}"


def test_a_part_of_a_data_set(tmp_path):
    names = {"a": "Tuba", "b": "Viola", "c": "Tuba", "d": "Tuba", "e": "Viola"}
    recordings = [Recording(name, instrument, "u:v", ()) for name, instrument in names.items()]
    write_index(tmp_path / "index.csv", recordings)

    def ids(instruments: list[str] | None, per_instrument: int | None) -> str:
        dataset = Dataset(
            folder=str(tmp_path),
            instruments=instruments,
            per_instrument=per_instrument,
            aspect="keep",
        )
        return "".join(recording.id for recording in select(dataset))

    assert ids(None, None) == "abcde"
    assert ids(["Viola"], None) == "be"
    assert ids(None, 1) == "ab"
    assert ids(["Tuba"], 2) == "ac"
    with pytest.raises(UserError, match="has no Kazoo; it has Tuba, Viola"):
        ids(["Kazoo", "Tuba"], None)

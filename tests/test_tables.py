import pytest

from solos.errors import UserError
from solos.storage.tables import count_statuses, read_table, write_table


def test_round_trip_with_gaps_and_commas(tmp_path):
    rows = [{"id": "-a", "reason": "one, two"}, {"id": "b"}]
    write_table(tmp_path / "t.csv", ("id", "reason"), rows)
    assert (tmp_path / "t.csv").read_text() == 'id,reason\n-a,"one, two"\nb,\n'
    assert read_table(tmp_path / "t.csv", "extract") == [rows[0], {"id": "b", "reason": ""}]


def test_unknown_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="status"):
        write_table(tmp_path / "t.csv", ("id",), [{"id": "a", "status": "ok"}])
    assert not list(tmp_path.iterdir())


def test_a_missing_table_names_its_stage(tmp_path):
    with pytest.raises(UserError, match="run the stage extract@solos first"):
        read_table(tmp_path / "status.csv", "extract@solos")


def test_statuses_are_counted_commonest_first():
    rows = [{"status": status} for status in ("geo", "ok", "private", "ok")]
    assert count_statuses(rows) == "2 ok, 1 geo, 1 private"
    assert count_statuses([]) == "nothing"

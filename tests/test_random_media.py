"""Clicks and flashes come out where they were put in, whatever container, codec, rate or change."""

from random_media import report, try_many


def test_clicks_and_flashes_of_media_drawn_at_random(tmp_path):
    wrong = try_many(64, 3, tmp_path)
    assert not report(wrong), report(wrong)
    drawn = list(wrong)
    assert len({one.container for one in drawn}) > 10
    assert sum(len(one.pieces) > 1 for one in drawn) >= 4
    assert sum(one.turn > 0 for one in drawn) >= 6
    assert sum(max(one.late) > 0 for one in drawn) >= 6

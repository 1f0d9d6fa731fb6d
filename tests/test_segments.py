"""Which segments and sources the test set has, by each protocol."""

import numpy as np
import pytest
import soundfile
from prepared import PARTS, PIECES, write_piece

from solos import SEGMENT
from solos.config.rows import Protocol
from solos.errors import UserError
from solos.evaluation.segments import prepared_pieces, read_segments, segment_starts

PROTOCOL = Protocol()


@pytest.fixture(scope="module")
def segments(urmp):
    return list(read_segments(prepared_pieces(urmp), PROTOCOL))


def test_unusable_pieces_are_logged_and_left_out(urmp, caplog):
    names = [piece.name for piece in prepared_pieces(urmp)]
    assert names == ["01_A_vn_fl_vn", "02_B_fl_cl", "04_D_vn_vn"]
    assert "03_C_tpt_tba is not evaluated: broken (no mixture)" in caplog.text


def test_repeated_instruments_are_one_source_with_all_its_players(urmp):
    violin, flute = prepared_pieces(urmp)[0].sources
    assert (violin.instrument, violin.parts, violin.label) == ("Violin", (1, 3), "1+3")
    assert violin.frames == (urmp / "01_A_vn_fl_vn/1.zip", urmp / "01_A_vn_fl_vn/3.zip")
    assert (flute.instrument, flute.label) == ("Flute", "2")
    assert prepared_pieces(urmp)[1].sources[0].frames == ()


def test_segments_follow_each_other_and_the_tail_is_dropped(urmp, segments):
    places = [(segment.piece.name[:2], segment.number) for segment in segments]
    assert places == [("01", 0), ("01", 1), ("02", 0), ("04", 0)]
    second = segments[1]
    first_violin, _ = soundfile.read(urmp / "01_A_vn_fl_vn/1.wav", dtype="float32")
    third_part, _ = soundfile.read(urmp / "01_A_vn_fl_vn/3.wav", dtype="float32")
    both = (first_violin + third_part)[SEGMENT : 2 * SEGMENT]
    np.testing.assert_array_equal(second.references[0], both)
    np.testing.assert_allclose(second.mix, second.references.sum(axis=0), atol=1e-7)
    assert second.references.shape == (2, SEGMENT)


def test_each_part_for_itself(urmp):
    pieces = prepared_pieces(urmp, "each")
    first = next(read_segments(pieces, Protocol(repeats="each")))
    assert [source.label for source in pieces[0].sources] == ["1", "2", "3"]
    assert [source.instrument for source in pieces[0].sources] == ["Violin", "Flute", "Violin"]
    assert first.references.shape == (3, SEGMENT)
    third_part, _ = soundfile.read(urmp / "01_A_vn_fl_vn/3.wav", dtype="float32")
    np.testing.assert_array_equal(first.references[2], third_part[:SEGMENT])


def test_other_lengths_and_the_tail(urmp):
    piece = prepared_pieces(urmp)[0]  # 2 * 65,535 + 1,000 samples
    assert list(segment_starts(piece, PROTOCOL)) == [0, SEGMENT]
    assert list(segment_starts(piece, Protocol(tail="keep"))) == [0, SEGMENT, 2 * SEGMENT]
    assert list(segment_starts(piece, Protocol(segment=100_000))) == [0]
    *_, last = read_segments([piece], Protocol(tail="keep"))
    assert (last.number, last.start) == (2, 2 * SEGMENT)
    assert last.mix.shape == (1000,) and last.references.shape == (2, 1000)
    mix, _ = soundfile.read(piece.mix, dtype="float32")
    np.testing.assert_array_equal(last.mix, mix[2 * SEGMENT :])


def test_the_mixture_is_the_file_or_the_sum(urmp, tmp_path):
    (tmp_path / "pieces.csv").write_text(PIECES.format(samples=SEGMENT, segment=SEGMENT))
    (tmp_path / "parts.csv").write_text(PARTS)
    waves = np.stack([np.full(SEGMENT, level, dtype=np.float32) for level in (0.1, 0.2, 0.3)])
    write_piece(tmp_path / "01_A_vn_fl_vn", waves)
    soundfile.write(tmp_path / "01_A_vn_fl_vn/mix.wav", 0.5 * waves.sum(axis=0), 11025, "FLOAT")
    piece = prepared_pieces(tmp_path)[0]
    levels = {
        mixture: next(read_segments([piece], Protocol(mixture=mixture))).mix[0]
        for mixture in ("file", "sum")
    }
    assert levels == {"file": pytest.approx(0.3), "sum": pytest.approx(0.6)}


def test_missing_tables_and_truncated_waves_are_named(urmp, tmp_path):
    with pytest.raises(UserError, match=r"pieces\.csv is missing"):
        prepared_pieces(tmp_path)
    (tmp_path / "pieces.csv").write_text(PIECES.format(samples=2 * SEGMENT, segment=SEGMENT))
    (tmp_path / "parts.csv").write_text(PARTS)
    write_piece(tmp_path / "01_A_vn_fl_vn", np.ones((3, SEGMENT + 5), dtype=np.float32))
    segments = read_segments(prepared_pieces(tmp_path), PROTOCOL)
    next(segments)
    with pytest.raises(UserError, match=r"1\.wav ends before sample 131070"):
        next(segments)
    (tmp_path / "01_A_vn_fl_vn/2.wav").unlink()
    with pytest.raises(UserError, match=r"2\.wav can't be read .*: run the stage urmp again"):
        next(read_segments(prepared_pieces(tmp_path), PROTOCOL))

"""Segments of a small prepared test set, their scores, and rows of the table."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from solos import SAMPLE_RATE, SEGMENT
from solos.errors import UserError
from solos.evaluation import (
    COLUMNS,
    prepared_pieces,
    read_segments,
    score_rows,
    score_segment,
    skip_segment,
    summarize,
    write_absent_row,
    write_row,
)
from solos.metrics import bss_eval, si_sdr
from solos.oracles import BASELINES, baseline_estimates

PIECES = """\
piece,n_parts,n_samples,n_segments,video,status,reason
01_A_vn_fl_vn,3,{samples},2,yes,ok,
02_B_fl_cl,2,{segment},1,no,ok,
03_C_tpt_tba,2,,,no,broken,no mixture
04_D_vn_vn,2,{segment},1,no,ok,
"""
PARTS = """\
piece,part,instrument,wav,frames
01_A_vn_fl_vn,1,Violin,01_A_vn_fl_vn/1.wav,01_A_vn_fl_vn/1.zip
01_A_vn_fl_vn,2,Flute,01_A_vn_fl_vn/2.wav,01_A_vn_fl_vn/2.zip
01_A_vn_fl_vn,3,Violin,01_A_vn_fl_vn/3.wav,01_A_vn_fl_vn/3.zip
02_B_fl_cl,1,Flute,02_B_fl_cl/1.wav,
02_B_fl_cl,2,Clarinet,02_B_fl_cl/2.wav,
04_D_vn_vn,1,Violin,04_D_vn_vn/1.wav,
04_D_vn_vn,2,Violin,04_D_vn_vn/2.wav,
"""


def write_piece(folder, waves):
    folder.mkdir()
    for part, wave in enumerate(waves, start=1):
        soundfile.write(folder / f"{part}.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(folder / "mix.wav", waves.sum(axis=0), SAMPLE_RATE, subtype="FLOAT")


@pytest.fixture(scope="module")
def urmp(tmp_path_factory):
    """Noise in place of music; the flute of piece 1 rests in its second segment."""
    folder = tmp_path_factory.mktemp("urmp")
    rng = np.random.default_rng(3)
    samples = 2 * SEGMENT + 1000
    (folder / "pieces.csv").write_text(PIECES.format(samples=samples, segment=SEGMENT))
    (folder / "parts.csv").write_text(PARTS)
    waves = rng.uniform(-0.1, 0.1, (3, samples)).astype(np.float32)
    waves[1, SEGMENT : 2 * SEGMENT] = 0
    write_piece(folder / "01_A_vn_fl_vn", waves)
    for piece in ("02_B_fl_cl", "04_D_vn_vn"):
        write_piece(folder / piece, rng.uniform(-0.1, 0.1, (2, SEGMENT)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def segments(urmp):
    return list(read_segments(prepared_pieces(urmp)))


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


def test_scores_are_those_of_the_metrics(segments):
    segment = segments[0]
    estimates = segment.references + 0.1 * segment.references[::-1]
    waves = {"references": segment.references, "estimates": estimates}
    lines = score_segment(segment, estimates)
    assert [tuple(line) for line in lines] == [COLUMNS] * 2
    assert [line["part"] for line in lines] == ["1+3", "2"]
    assert [line["n_sources"] for line in lines] == [2, 2]
    np.testing.assert_allclose([line["SIR"] for line in lines], bss_eval(**waves).sir)
    np.testing.assert_allclose([line["SI-SDR"] for line in lines], si_sdr(**waves))
    # The violins are two of the parts, the flute one: power ratio 2, leakage -20 dB
    expected = [20 + 10 * np.log10(2), 20 - 10 * np.log10(2)]
    np.testing.assert_allclose([line["SI-SDR"] for line in lines], expected, atol=0.2)


def test_silence_skips_the_segment_with_the_reason_at_each_source(segments):
    lines = score_segment(segments[1], segments[1].references + 0.1)
    assert [line["skipped"] for line in lines] == ["silent reference of Flute"] * 2
    assert np.isnan([line["SDR"] for line in lines]).all()


def test_a_silent_or_broken_estimate_skips_that_row_only(segments):
    segment = segments[2]
    good = segment.references + 0.1 * segment.references[::-1]
    silent, broken = good.copy(), good.copy()
    silent[1] = 1e-5 / SEGMENT
    broken[0, 5] = np.nan
    lines = score_rows(segment, {"silent": silent, "good": good, "broken": broken})
    assert list(lines) == ["silent", "good", "broken"]
    assert lines["silent"][0]["skipped"] == "silent estimate of Clarinet"
    assert lines["broken"][1]["skipped"] == "estimate of Flute not finite"
    assert lines["good"] == score_segment(segment, good)


def test_a_single_instrument_is_nothing_to_separate(segments):
    (line,) = score_segment(segments[3], segments[3].references)
    assert line["part"] == "1+2"
    assert line["skipped"] == "one instrument: nothing to separate"


def make_lines(values, skipped=()):
    """A line for each of ``values``, two sources a segment."""
    lines = []
    for number, value in enumerate(values):
        lines.append(
            {"piece": "01_A", "segment": number // 2, "part": "1", "instrument": "Oboe"}
            | {"n_sources": 2, "SDR": value, "SIR": 2 * value, "SAR": 3.0, "SI-SDR": -value}
            | {"skipped": "silent" if number // 2 in skipped else ""}
        )
    return lines


def test_summary_by_hand():
    table = pd.DataFrame(make_lines([1, 2, 3, 6, np.nan, np.nan], skipped=[2]))
    # Mean 3; deviations -2, -1, 0, 3: population variance 14 / 4
    assert summarize(table) == {
        "SDR": {"mean": 3.0, "std": 1.8708},
        "SIR": {"mean": 6.0, "std": 3.7417},
        "SAR": {"mean": 3.0, "std": 0.0},
        "SI-SDR": {"mean": -3.0, "std": 1.8708},
        "segments": 2,
        "skipped": 1,
    }


def test_a_row_in_which_everything_is_skipped_is_an_error_after_its_table(tmp_path):
    lines = make_lines([np.nan] * 4, skipped=[0, 1])
    with pytest.raises(UserError, match=r"sop: all 2 segment\(s\) were skipped: silent.*sop\.csv"):
        write_row("sop", lines, tmp_path / "evaluation", tmp_path / "metrics")
    assert len(pd.read_csv(tmp_path / "evaluation" / "sop.csv")) == 4
    assert not (tmp_path / "metrics").exists()


def test_row_files_hold_the_lines_and_the_summary(tmp_path):
    lines = make_lines([1, 2, np.nan, np.nan], skipped=[1])
    summary = write_row("sop", lines, tmp_path, tmp_path)
    assert (tmp_path / "sop.csv").read_bytes() == (
        b"piece,segment,part,instrument,n_sources,SDR,SIR,SAR,SI-SDR,skipped\n"
        b"01_A,0,1,Oboe,2,1.000000,2.000000,3.000000,-1.000000,\n"
        b"01_A,0,1,Oboe,2,2.000000,4.000000,3.000000,-2.000000,\n"
        b"01_A,1,1,Oboe,2,,,3.000000,,silent\n"
        b"01_A,1,1,Oboe,2,,,3.000000,,silent\n"
    )
    assert json.loads((tmp_path / "sop.json").read_text()) == summary
    assert summary["SDR"] == {"mean": 1.5, "std": 0.5}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sop.csv", "sop.json"]


def test_a_row_that_the_test_set_cannot_have_says_why(segments, tmp_path):
    write_absent_row("sop", segments, "no video", tmp_path, tmp_path)
    summary = json.loads((tmp_path / "sop.json").read_text())
    assert summary["SDR"] == {"mean": None, "std": None}
    assert (summary["segments"], summary["skipped"], summary["reason"]) == (0, 4, "no video")
    table = pd.read_csv(tmp_path / "sop.csv")
    assert len(table) == 7  # 2 sources in three segments, 1 in the fourth
    assert set(table["skipped"]) == {"no video"}
    assert skip_segment(segments[3], "why")[0]["skipped"] == "why"


def test_oracles_are_far_above_the_mixture(segments):
    rng = np.random.default_rng(4)
    spectrum = np.fft.rfft(rng.standard_normal((2, SEGMENT)))
    half = spectrum.shape[1] // 2
    spectrum[0, half:] = spectrum[1, :half] = 0  # a low and a high source of equal energy
    references = np.fft.irfft(spectrum, SEGMENT)
    references = (0.1 * references).astype(np.float32)
    estimates = baseline_estimates(references.sum(axis=0), references)
    assert tuple(estimates) == BASELINES
    scores = {
        row: si_sdr(references=references, estimates=waves) for row, waves in estimates.items()
    }
    np.testing.assert_allclose(scores["mixture"], 0, atol=0.1)
    assert (scores["oracle_binary"] > 20).all()
    assert (scores["oracle_ratio"] > 20).all()


def test_missing_tables_and_truncated_waves_are_named(urmp, tmp_path):
    with pytest.raises(UserError, match=r"pieces\.csv is missing"):
        prepared_pieces(tmp_path)
    (tmp_path / "pieces.csv").write_text(PIECES.format(samples=SEGMENT, segment=SEGMENT))
    (tmp_path / "parts.csv").write_text(PARTS)
    write_piece(tmp_path / "01_A_vn_fl_vn", np.ones((3, SEGMENT + 5), dtype=np.float32))
    segments = read_segments(prepared_pieces(tmp_path))
    next(segments)
    with pytest.raises(UserError, match=r"1\.wav ends inside segment 1"):
        next(segments)

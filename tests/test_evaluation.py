"""Segments of a small prepared test set, their scores, and rows of the table."""

import json

import numpy as np
import pandas as pd
import pytest

from solos import SEGMENT
from solos.config.rows import Protocol
from solos.errors import UserError
from solos.evaluation.metrics import bss_eval, si_sdr
from solos.evaluation.oracles import BASELINES, baseline_estimates
from solos.evaluation.scores import (
    COLUMNS,
    score_rows,
    score_segment,
    skip_segment,
    summarize,
    write_absent_row,
    write_row,
)
from solos.evaluation.segments import prepared_pieces, read_segments

PROTOCOL = Protocol()


@pytest.fixture(scope="module")
def segments(urmp):
    return list(read_segments(prepared_pieces(urmp), PROTOCOL))


def test_scores_are_those_of_the_metrics(segments):
    segment = segments[0]
    estimates = segment.references + 0.1 * segment.references[::-1]
    waves = {"references": segment.references, "estimates": estimates}
    lines = score_segment(segment, estimates, PROTOCOL)
    assert [tuple(line) for line in lines] == [COLUMNS] * 2
    assert [line["part"] for line in lines] == ["1+3", "2"]
    assert [line["n_sources"] for line in lines] == [2, 2]
    np.testing.assert_allclose([line["SIR"] for line in lines], bss_eval(**waves).sir)
    np.testing.assert_allclose([line["SI-SDR"] for line in lines], si_sdr(**waves))
    # The violins are two of the parts, the flute one: power ratio 2, leakage -20 dB
    expected = [20 + 10 * np.log10(2), 20 - 10 * np.log10(2)]
    np.testing.assert_allclose([line["SI-SDR"] for line in lines], expected, atol=0.2)


def test_silence_skips_the_segment_with_the_reason_at_each_source(segments):
    lines = score_segment(segments[1], segments[1].references + 0.1, PROTOCOL)
    assert [line["skipped"] for line in lines] == ["silent reference of Flute"] * 2
    assert np.isnan([line["SDR"] for line in lines]).all()


def test_a_silent_or_broken_estimate_skips_that_row_only(segments):
    segment = segments[2]
    good = segment.references + 0.1 * segment.references[::-1]
    silent, broken = good.copy(), good.copy()
    silent[1] = 1e-5 / SEGMENT
    broken[0, 5] = np.nan
    lines = score_rows(segment, {"silent": silent, "good": good, "broken": broken}, PROTOCOL)
    assert list(lines) == ["silent", "good", "broken"]
    assert lines["silent"][0]["skipped"] == "silent estimate of Clarinet"
    assert lines["broken"][1]["skipped"] == "estimate of Flute not finite"
    alone = score_segment(segment, good, PROTOCOL)
    pd.testing.assert_frame_equal(pd.DataFrame(lines["good"]), pd.DataFrame(alone))
    assert np.isnan(lines["broken"][1]["PES"])


def test_where_a_reference_is_silent_what_is_left_there_is_known(segments):
    """The flute rests: half of the mixture is left in its estimate, a tenth of it elsewhere."""
    segment = segments[1]
    estimates = np.stack([segment.references[0], 0.5 * segment.mix])
    violin, flute = score_segment(segment, estimates, PROTOCOL)
    assert violin["skipped"] == flute["skipped"] == "silent reference of Flute"
    assert flute["PES"] == pytest.approx(20 * np.log10(0.5), abs=1e-6)
    assert np.isnan(violin["PES"])  # it never rests


def test_the_protocols_silence_and_shortest_segment(urmp, segments):
    quiet = segments[1].references + 1e-4 * segments[0].references
    loud = Protocol(silence=0.0)
    assert score_segment(segments[0], quiet, loud)[0]["skipped"] == ""
    high = Protocol(silence=1e9)
    assert "silent reference of Violin" in score_segment(segments[0], quiet, high)[0]["skipped"]
    tail = list(read_segments(prepared_pieces(urmp)[:1], Protocol(tail="keep")))[-1]
    lines = score_segment(tail, tail.references, Protocol(tail="keep"))
    assert {line["skipped"] for line in lines} == {"too short: 1000 samples of 1024"}


def test_a_piece_shorter_than_a_segment_is_a_skipped_one(urmp):
    protocol = Protocol(segment=SEGMENT + 1)
    segments = list(read_segments(prepared_pieces(urmp), protocol))
    assert [segment.piece.name[:2] for segment in segments] == ["01", "01", "02", "04"]
    lines = score_segment(segments[2], segments[2].references, protocol)
    assert {line["skipped"] for line in lines} == {"too short: 65535 samples of 65536"}


def test_estimates_of_another_shape_are_an_error(segments):
    with pytest.raises(ValueError, match=r"estimates sop: \(2, 100\), not \(2, 65535\)"):
        score_rows(segments[0], {"sop": segments[0].references[:, :100]}, PROTOCOL)


def test_both_backends_give_the_same_lines(segments):
    segment = segments[0]
    rng = np.random.default_rng(5)
    rows = {
        name: segment.references + leak * segment.mix + 0.01 * rng.standard_normal(SEGMENT)
        for name, leak in (("a", 0.3), ("b", 0.7))
    }
    ours, theirs = (
        score_rows(segment, rows, Protocol(backend=name)) for name in ("torch", "mir_eval")
    )
    for row in rows:
        pd.testing.assert_frame_equal(
            pd.DataFrame(ours[row]), pd.DataFrame(theirs[row]), rtol=0, atol=1e-6
        )


def test_a_single_instrument_is_nothing_to_separate(segments):
    (line,) = score_segment(segments[3], segments[3].references, PROTOCOL)
    assert line["part"] == "1+2"
    assert line["skipped"] == "one instrument: nothing to separate"


def make_lines(values, skipped=()):
    """A line for each of ``values``, two sources a segment."""
    lines = []
    for number, value in enumerate(values):
        lines.append(
            {"piece": "01_A", "segment": number // 2, "part": "1", "instrument": "Oboe"}
            | {
                "n_sources": 2,
                "SDR": value,
                "SIR": 2 * value,
                "SAR": 3.0,
                "SI-SDR": -value,
                "PES": -40.0,
            }
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


def test_scores_that_are_not_finite_are_counted_apart(tmp_path):
    lines = make_lines([1, 3, 5, -np.inf])
    for line, value in zip(lines, (np.inf, np.inf, np.inf, np.inf), strict=True):
        line["SAR"] = value
    summary = write_row("sop", lines, tmp_path, tmp_path)
    assert summary["SDR"] == {"mean": 3.0, "std": 1.633}
    assert summary["SAR"] == {"mean": None, "std": None}
    assert summary["not_finite"] == {"SDR": 1, "SIR": 1, "SAR": 4, "SI-SDR": 1}
    assert json.loads((tmp_path / "sop.json").read_text()) == summary
    assert "not_finite" not in summarize(pd.DataFrame(make_lines([1, 2])))


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
        b"piece,segment,part,instrument,n_sources,SDR,SIR,SAR,SI-SDR,PES,skipped\n"
        b"01_A,0,1,Oboe,2,1.000000,2.000000,3.000000,-1.000000,-40.000000,\n"
        b"01_A,0,1,Oboe,2,2.000000,4.000000,3.000000,-2.000000,-40.000000,\n"
        b"01_A,1,1,Oboe,2,,,3.000000,,-40.000000,silent\n"
        b"01_A,1,1,Oboe,2,,,3.000000,,-40.000000,silent\n"
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

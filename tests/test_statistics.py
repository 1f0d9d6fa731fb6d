"""The tables beside Table II, by hand."""

import numpy as np
import pandas as pd
import pytest
from test_urmp_whole import NAMES

from pipeline import statistics as stage
from solos.config.rows import Row
from solos.errors import UserError
from solos.statistics.bootstrap import Bootstrap
from solos.statistics.tables import (
    agreement,
    all_tables,
    finite_values,
    read_scores,
    title,
    write_table,
)

pytestmark = pytest.mark.filterwarnings("error")

COLUMNS = ["piece", "segment", "part", "instrument", "n_sources"]
SCORES = ["SDR", "SIR", "SAR", "SI-SDR", "PES"]
BOOTSTRAP = Bootstrap(resamples=1000, confidence=0.95, seed=5)
SOURCES = [
    ("01_Hark_vn_vn_va", 0, "1+2", "Violin", 2),
    ("01_Hark_vn_vn_va", 0, "3", "Viola", 2),
    ("02_Wind_fl_vn", 0, "1", "Flute", 2),
    ("02_Wind_fl_vn", 0, "2", "Violin", 2),
]
RESTS = [("02_Wind_fl_vn", 1, "1", "Flute", 2), ("02_Wind_fl_vn", 1, "2", "Violin", 2)]
NOTHING = [np.nan] * 4
SKIPPED = [[*NOTHING, -12.0, "silent reference of Flute"], [*NOTHING, np.nan, "silent ..."]]
MIXTURE = [
    [0.0, 1.0, 60.0, 0.0, 0.0, ""],
    [-2.0, -1.0, 60.0, -3.0, np.nan, ""],
    [1.0, 2.0, 60.0, 0.0, np.nan, ""],
    [-3.0, -2.0, 60.0, -5.0, np.nan, ""],
]
SOP = [
    [4.0, np.inf, 8.0, 3.0, -20.0, ""],
    [-3.0, 0.0, 7.0, -4.0, -np.inf, ""],
    [2.0, 5.0, 9.0, 1.0, np.nan, ""],
    [5.0, 7.0, 6.0, -2.0, np.nan, ""],
]
ABSENT = [[*NOTHING, np.nan, "no video"]] * len(SOURCES)


def write_row(folder, row, figures, sources):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [(*source, *scores) for source, scores in zip(sources, figures, strict=True)]
    table = pd.DataFrame(lines, columns=[*COLUMNS, *SCORES, "skipped"])
    table.to_csv(folder / f"{row}.csv", index=False, float_format="%.6f")


@pytest.fixture
def evaluation(tmp_path):
    """Three rows: the mixture, a network's, and one that lacks what it needs."""
    folder = tmp_path / "data" / "evaluation"
    write_row(folder, "mixture", MIXTURE + SKIPPED, SOURCES + RESTS)
    write_row(folder, "sop", SOP + SKIPPED, SOURCES + RESTS)
    write_row(folder, "sop_ft", ABSENT, SOURCES)
    return folder


@pytest.fixture
def scores(evaluation):
    return read_scores(evaluation, ["mixture", "sop", "sop_ft", "mhunet"])


@pytest.fixture
def tables(scores):
    return all_tables(scores, BOOTSTRAP)


def figures(table, **keys):
    """The one line with these values."""
    for column, value in keys.items():
        table = table[table[column] == value]
    (line,) = table.to_dict("records")
    return {column: value for column, value in line.items() if column not in keys}


def test_titles_of_all_of_urmp():
    assert [title(name) for name in NAMES] == [name.split("_")[1] for name in NAMES]
    assert len({title(name) for name in NAMES}) == 27
    assert title("24_Pirates_vn_vn_va_vc") == title("25_Pirates_vn_vn_va_sax") == "Pirates"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("07_Ave_Maria_vn_vc", "Ave_Maria"),
        ("08_Spring_fl_theremin", "Spring_fl_theremin"),
        ("09_sax_sax_tba", "sax"),
        ("Jupiter", "Jupiter"),
        ("10_1812_vn_vc", "1812"),
    ],
)
def test_titles_of_other_names(name, expected):
    assert title(name) == expected


def test_a_row_by_hand(tables):
    """Resamples are of title 1 (mean 0.5), of both (2) or of title 2 (3.5)."""
    assert figures(tables["rows"], row="sop", metric="SDR") == {
        "n": 4,
        "titles": 2,
        "mean": 2.0,
        "std": pytest.approx(np.sqrt(38 / 4)),
        "median": 3.0,
        "low": 0.5,
        "high": 3.5,
    }


def test_lines_are_in_the_tables_order(tables):
    rows = tables["rows"]
    assert list(rows["row"]) == ["mixture"] * 4 + ["sop"] * 4
    assert list(rows["metric"]) == ["SDR", "SIR", "SAR", "SI-SDR"] * 2
    assert list(tables["by_instrument"]["instrument"].unique()) == ["Flute", "Viola", "Violin"]


def test_infinities_are_left_out_and_not_counted(tables):
    line = figures(tables["rows"], row="sop", metric="SIR")
    assert (line["n"], line["titles"], line["mean"], line["median"]) == (3, 2, 4.0, 5.0)
    assert figures(tables["improvement"], row="sop", metric="SIRi")["n"] == 3
    assert np.isfinite(pd.concat([*tables.values()]).select_dtypes("number").max().max())


def test_improvements_are_over_the_same_source_of_the_mixture(tables):
    """SDR: +4, -1, +1, +8; the mixture is not compared with itself."""
    assert list(tables["improvement"]["row"].unique()) == ["sop"]
    assert list(tables["improvement"]["metric"]) == ["SDRi", "SIRi", "SI-SDRi"]
    assert figures(tables["improvement"], row="sop", metric="SDRi") == {
        "n": 4,
        "titles": 2,
        "mean": 3.0,
        "std": pytest.approx(np.sqrt((1 + 16 + 4 + 25) / 4)),
        "median": 2.5,
        "low": 1.5,
        "high": 4.5,
    }


def test_instruments_and_numbers_of_sources(tables):
    violin = figures(tables["by_instrument"], row="sop", instrument="Violin", metric="SDR")
    assert violin == {
        "n": 2,
        "titles": 2,
        "mean": 4.5,
        "std": 0.5,
        "median": 4.5,
        "low": 4.0,
        "high": 5.0,
    }
    flute = figures(tables["by_instrument"], row="sop", instrument="Flute", metric="SDR")
    assert (flute["n"], flute["titles"], flute["mean"], flute["std"]) == (1, 1, 2.0, 0.0)
    assert np.isnan([flute["low"], flute["high"]]).all()
    duets = figures(tables["by_n_sources"], row="sop", metric="SDR", n_sources=2)
    assert duets == figures(tables["rows"], row="sop", metric="SDR")


def test_two_rows_compared(tables):
    assert len(tables["paired"]) == 4
    assert list(tables["paired"].columns[-3:]) == ["low", "high", "wins"]
    assert figures(tables["paired"], row="mixture", other="sop", metric="SDR") == {
        "n": 4,
        "titles": 2,
        "mean": 3.0,
        "median": 2.5,
        "low": 1.5,
        "high": 4.5,
        "wins": 0.75,
    }
    assert figures(tables["paired"], row="mixture", other="sop", metric="SAR")["wins"] == 0


def test_equal_scores_are_no_win(evaluation):
    write_row(evaluation, "sop", MIXTURE, SOURCES)
    paired = all_tables(read_scores(evaluation, ["mixture", "sop"]), BOOTSTRAP)["paired"]
    assert (paired[["mean", "wins"]] == 0).all(axis=None)


def test_rows_are_paired_by_source_not_by_line(evaluation):
    write_row(evaluation, "sop", [*SOP[:0:-1], SKIPPED[0]], [*SOURCES[:0:-1], SOURCES[0]])
    paired = all_tables(read_scores(evaluation, ["mixture", "sop"]), BOOTSTRAP)["paired"]
    line = figures(paired, row="mixture", other="sop", metric="SDR")
    assert (line["n"], line["mean"], line["wins"]) == (3, pytest.approx(8 / 3), 2 / 3)


def test_energy_at_silence_counts_skipped_segments(tables):
    sop = figures(tables["silence"], row="sop")
    assert (sop["n"], sop["titles"], sop["mean"], sop["median"]) == (2, 2, -16.0, -16.0)
    assert (sop["low"], sop["high"]) == (-20.0, -12.0)
    assert list(tables["silence"]["row"]) == ["mixture", "sop"]


def test_agreement_by_hand(tables):
    """SDR 4, -3, 2, 5 and SI-SDR 3, -4, 1, -2: ranks 3 1 2 4 and 4 1 3 2."""
    assert figures(tables["agreement"], row="sop") == {
        "n": 4,
        "pearson": pytest.approx(20 / np.sqrt(38 * 29)),
        "spearman": pytest.approx(1 - 6 * 6 / (4 * 15)),
        "mean_difference": 2.5,
        "std_difference": pytest.approx(np.sqrt(6.75)),
    }


@pytest.mark.parametrize("si_sdr", [[1.0], [0.1, 0.1, 0.1]])
def test_agreement_is_undefined_of_one_line_or_a_constant(si_sdr):
    sdr = np.arange(len(si_sdr), dtype=float)
    line = figures(agreement(pd.DataFrame({"row": "sop", "SDR": sdr, "SI-SDR": si_sdr})), row="sop")
    assert line["n"] == len(si_sdr)
    assert np.isnan([line["pearson"], line["spearman"]]).all()
    assert line["mean_difference"] == pytest.approx(np.mean(sdr) - si_sdr[0])


def test_agreement_needs_both_scores():
    table = pd.DataFrame({"SDR": [1.0, np.inf, 3.0, 4.0], "SI-SDR": [1.0, 2.0, -np.inf, 7.0]})
    line = figures(agreement(table.assign(row="sop")), row="sop")
    assert (line["n"], line["mean_difference"]) == (2, -1.5)


def test_a_row_without_scores_has_no_lines(tables):
    for table in tables.values():
        assert "sop_ft" not in set(table["row"]) | set(table.get("other", []))


def test_nothing_scored_at_all(evaluation):
    tables = all_tables(read_scores(evaluation, ["sop_ft"]), BOOTSTRAP)
    assert [len(table) for table in tables.values()] == [0] * 7


def test_what_is_read(scores):
    assert list(scores["row"].cat.categories) == ["mixture", "sop", "sop_ft"]
    assert set(scores["title"]) == {"Hark", "Wind"}
    assert list(scores["part"][:4]) == ["1+2", "3", "1", "2"]
    assert list(scores.loc[scores["row"] == "sop", "skipped"][:4]) == [""] * 4
    assert len(finite_values(scores, ["SIR"])) == 4 + 3


def test_what_cannot_be_read(evaluation):
    with pytest.raises(UserError, match="has none of oracle_ratio: run the stage evaluate"):
        read_scores(evaluation, ["oracle_ratio"])
    table = pd.read_csv(evaluation / "sop.csv").drop(columns=["PES", "part"])
    table.to_csv(evaluation / "sop.csv", index=False)
    with pytest.raises(UserError, match=r"sop\.csv has no part, PES"):
        read_scores(evaluation, ["mixture", "sop"])


def test_figures_have_four_decimals_and_no_negative_zero(tmp_path):
    table = pd.DataFrame({"row": "sop", "n": 3, "mean": [-1e-6, 1.23456, np.nan]})
    write_table(table, tmp_path / "rows.csv")
    expected = "row,n,mean\nsop,3,0.0000\nsop,3,1.2346\nsop,3,\n"
    assert (tmp_path / "rows.csv").read_bytes() == expected.encode()


def test_the_rows_of_a_run_in_order(params):
    wide = Row(network="mhunet", init="scratch", epochs=1)
    model = {"wide": wide, "mhunet": wide, "sop_ft": params.model["sop_ft"]}
    rows = stage.rows_of(params.model_copy(update={"model": model}))
    assert rows == ["mixture", "sop_ft", "mhunet", "oracle_binary", "oracle_ratio", "wide"]


def test_the_stage_twice_to_the_same_bytes(params, evaluation, tmp_path, monkeypatch):
    """Files of rows that are not of this run change nothing."""
    monkeypatch.chdir(tmp_path)

    def run() -> dict[str, bytes]:
        stage.main(params)
        return {path.name: path.read_bytes() for path in sorted(stage.OUTPUT.iterdir())}

    first = run()
    write_row(evaluation, "left_over", SOP, SOURCES)
    assert run() == first
    names = "agreement by_instrument by_n_sources improvement paired rows silence"
    assert list(first) == [f"{name}.csv" for name in names.split()]
    lines = first["rows.csv"].decode().splitlines()
    assert lines[0] == "row,metric,n,titles,mean,std,median,low,high"
    assert lines[5] == "sop,SDR,4,2,2.0000,3.0822,3.0000,0.5000,3.5000"
    assert b"mixture,sop,SDR,4,2,3.0000,2.5000,1.5000,4.5000,0.7500\n" in first["paired.csv"]

"""The report's text."""

import json

import pytest

from pipeline.provenance import commit
from solos.evaluation.rows import ROWS
from solos.evaluation.scores import EACH
from solos.report.data import coverage, pieces
from solos.report.table2 import PUBLISHED, read_metrics, render, table2

MEASURED = {
    "SDR": {"mean": -1.234, "std": 2.0},
    "SIR": {"mean": 3.456, "std": 4.0},
    "SAR": {"mean": 10.0, "std": 0.5},
    "SI-SDR": {"mean": -2.0, "std": 1.0},
    "segments": 80,
    "skipped": 3,
}
NOTHING = {"mean": None, "std": None}
ABSENT = {"SDR": NOTHING, "SIR": NOTHING, "SAR": NOTHING, "SI-SDR": NOTHING} | {
    "segments": 0,
    "skipped": 5,
    "reason": "the test set has no video",
}


def cells(text, row):
    (line,) = [line for line in text.splitlines() if line.startswith("|") and f"`{row}`" in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows_are_in_the_order_of_the_table():
    lines = table2({}).splitlines()[2 : 2 + len(ROWS)]
    names = [line.split("`")[1] for line in lines]
    assert names == [
        "mixture",
        "sop_pretrained",
        "sop",
        "sop_ft",
        "mhunet",
        "oracle_binary",
        "oracle_ratio",
    ]


def test_measured_and_published_figures_stand_side_by_side():
    assert cells(table2({"mhunet": MEASURED}), "mhunet") == [
        "MHU-Net",
        "`mhunet`",
        "−1.23 ± 2.00",
        "−0.56 ± 5.96",
        "3.46 ± 4.00",
        "1.04 ± 7.24",
        "10.00 ± 0.50",
        "10.37 ± 3.48",
        "−2.00 ± 1.00",
        "80",
        "3",
    ]


@pytest.mark.parametrize(
    ("row", "figures"),
    [
        ("sop_pretrained", ("−3.76 ± 4.00", "−1.45 ± 4.68", "7.56 ± 3.13")),
        ("sop", ("−2.98 ± 5.07", "0.46 ± 6.76", "6.37 ± 2.94")),
        ("sop_ft", ("−2.57 ± 4.99", "0.47 ± 6.43", "6.89 ± 2.48")),
    ],
)
def test_published_figures_are_table_2_of_the_paper(row, figures):
    assert tuple(cells(table2({}), row)[3:8:2]) == figures


def test_rows_without_published_figures_leave_them_empty():
    assert "mixture" not in PUBLISHED
    assert cells(table2({"mixture": MEASURED}), "mixture")[3:8:2] == ["", "", ""]


def test_missing_rows_say_why():
    text = table2({"mhunet": MEASURED, "sop": ABSENT})
    assert "- `sop`: the test set has no video" in text
    assert "- `sop_ft`: not part of this run" in text
    assert "- `mhunet`" not in text
    assert cells(text, "sop")[2::2] == ["", "", "", "", "5"]
    assert "Rows without figures" not in table2(dict.fromkeys(ROWS, MEASURED))


def test_a_row_beyond_the_papers_is_shown_under_its_name():
    assert cells(table2({"mhunet_wide": MEASURED}), "mhunet_wide")[2] == "−1.23 ± 2.00"


def test_metrics_are_read_of_this_runs_rows_only(tmp_path):
    for row in ("sop", "mhunet"):
        (tmp_path / f"{row}.json").write_text(json.dumps(MEASURED))
    assert read_metrics(tmp_path, ["mixture", "sop"]) == {"sop": MEASURED}


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "coverage.csv").write_text(
        "instrument,listed,usable,minutes,not_usable\n"
        'Tuba,4,2,12.0,"1 private, 1 too_short"\nViola,3,3,18.5,\n'
    )
    (tmp_path / "pieces.csv").write_text(
        "piece,status,video,reason\n01_A,ok,yes,\n02_B,ok,no,no Vid file\n03_C,ok,yes,\n"
    )
    return tmp_path


def test_coverage_by_instrument_and_in_all(tables):
    assert coverage({"solos": tables / "coverage.csv"}) == [
        ["solos", "all", "5 of 7", "0.51", ""],
        ["solos", "Tuba", "2 of 4", "0.20", "1 private, 1 too_short"],
        ["solos", "Viola", "3 of 3", "0.31", ""],
    ]


def test_pieces_by_remark(tables):
    assert pieces(tables / "pieces.csv") == [
        ["ok", "no", "no Vid file", "1", "02_B"],
        ["ok", "yes", "", "2", "01_A"],
    ]


def test_the_report_has_table_data_and_run(tables):
    provenance = {"profile": "mini", "seed": 7, "commit": "abc, modified"}
    test_set = tables / "pieces.csv"
    others = {"mhunet": {"drift: 1": MEASURED | {"SAR": {"mean": -2.0, "std": 1.0}}}}
    others["mhunet"][EACH] = MEASURED
    others |= {"sop": {EACH: MEASURED}, "mixture": {EACH: {"reason": "none repeats one"}}}
    coverage_tables = {"solos": tables / "coverage.csv"}
    text = render({"mhunet": MEASURED}, coverage_tables, test_set, others, ["sop"], provenance)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Table II",
        "## Other choices",
        "## Several players of one instrument",
        "## Training data",
        "## Test set",
        "## Run",
    ]
    assert "arXiv 2006.07931" in text
    assert "5 of 7" in text
    assert "abc, modified" in text
    assert "| mhunet | drift: 1 |" in text and "−2.00, not " in text
    assert "| told apart by sight" in text and "| one estimate for all" in text
    assert "none repeats one" in text and text.count("drift: 1") == 2  # of which one in a note
    assert text.endswith("|\n")


def test_outside_a_repository_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit().startswith("unknown")

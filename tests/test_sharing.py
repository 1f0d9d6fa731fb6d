"""What is handed on with the project: figures with their source, how to cite it, a ZIP of it."""

import csv
import shutil
import subprocess
import tomllib

import yaml
from closure import ROOT

from solos.evaluation.rows import ROWS
from solos.report.table2 import PUBLISHED, read_published

COLUMNS = (
    *("system", "row", "data", "test", "seconds", "rate"),
    *("SDR", "SDR_std", "SIR", "SIR_std", "SAR", "SAR_std", "from"),
)


def figures() -> list[dict[str, str]]:
    with (ROOT / "docs/published.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_published_figures_are_a_table_with_sources():
    for line in figures():
        assert tuple(line) == COLUMNS
        assert line["from"] and line["data"] and line["test"] and line["system"]
        assert float(line["seconds"]) > 0 and int(line["rate"]) > 0
        assert all(-20 < float(line[name]) < 200 for name in ("SDR", "SIR", "SAR"))
        assert not line["row"] or line["row"] in ROWS


def test_the_report_quotes_that_table():
    assert list(PUBLISHED) == ["sop_pretrained", "sop", "sop_ft", "mhunet"]
    assert PUBLISHED["mhunet"] == {"SDR": (-0.56, 5.96), "SIR": (1.04, 7.24), "SAR": (10.37, 3.48)}
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["report"]["deps"]
    assert "docs/published.csv" in deps


def test_readme_quotes_that_table():
    text = (ROOT / "README.md").read_text().replace("−", "-")
    for line in figures():
        if line["from"].startswith("this project"):
            assert f"{line['SDR']} ± {line['SDR_std']}" in text, line["system"]
    assert "-0.56 ± 5.96" in text


def test_without_the_repository_nothing_is_quoted(tmp_path):
    assert read_published(tmp_path / "published.csv") == {}


def test_the_citation_is_of_this_version_and_of_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert str(citation["version"]) == project["version"]
    paper = citation["preferred-citation"]
    assert paper["year"] == 2020 and "Solos" in paper["title"] and len(paper["authors"]) == 3
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_remotes_are_extras_and_not_locked():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert extras["s3"] == ["dvc[s3]"] and extras["ssh"] == ["dvc[ssh]"]
    assert "dvc-s3" not in (ROOT / "requirements.lock").read_text()


def test_a_zip_of_the_repository_is_told_what_it_lacks(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(
        ["make", "repro"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode and "git init && git add . && git commit" in done.stderr
    assert "no git repository" in done.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()

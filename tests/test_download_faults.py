"""The stage ``download``, by yt-dlp itself, against a site as bad as the real ones."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from closure import ROOT
from faulty_server import FAULTS, Site
from test_media import ffmpeg

from pipeline import download as stage
from solos.datasets.index import Recording, write_index
from solos.download.fetcher import Fetcher
from solos.errors import UserError
from solos.storage.files import file_hash
from solos.storage.tables import read_table

GOOD = 26
QUICK = {
    **{"retries": 1, "refusals": 100, "timeout": 3.0, "min_rate": 3000.0, "jobs": 8},
    **{"min_coverage": 0.0, "min_instrument_coverage": 0.0},
}


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Eight seconds, its index in front, as YouTube's files have it."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    source = ("-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=8", "-f", "lavfi", "-i", "sine=d=8")
    ffmpeg(*source, "-c:a", "aac", "-movflags", "+faststart", path)
    return path


def recordings(address: str, kinds: dict[str, str]) -> list[Recording]:
    return [
        Recording(name, "Tuba", f"{address}/{kind}/{name}.mp4", ((0, 100),))
        for name, kind in kinds.items()
    ]


@pytest.fixture
def run_stage(params, tmp_path, monkeypatch):
    """Runs the stage over the index in set/; returns its table by id."""
    monkeypatch.chdir(tmp_path)
    dataset = {"solos": params.dataset["solos"].model_copy(update={"folder": "set"})}

    def run(**update):
        settings = params.download.model_copy(update=QUICK | update)
        stage.main(params.model_copy(update={"dataset": dataset, "download": settings}), "solos")
        rows = read_table(Path("data/raw/solos/status.csv"), "")
        return {row["id"]: row for row in rows}

    return run


def test_sixty_recordings_and_every_fault(run_stage, film):
    """Good ones arrive intact, bad ones are called what they are, nothing is asked for twice."""
    kinds = {f"-{k:02d}": "good" for k in range(GOOD)}
    kinds |= {f"{kind}_{k}": kind for kind in FAULTS for k in range(2)}
    assert len(kinds) == 60 and len(FAULTS) >= 12
    site = Site(film.read_bytes())
    with site.open() as address:
        write_index(Path("set/index.csv"), recordings(address, kinds))
        rows = run_stage()
        expected = {name: FAULTS.get(kind, "ok") for name, kind in kinds.items()}
        assert {name: row["status"] for name, row in rows.items()} == expected
        for row in rows.values():
            if row["status"] == "ok":
                assert file_hash(Path("data/raw/solos") / row["file"]) == file_hash(film)
            else:
                assert row["reason"] and row["file"] == ""
        asked = site.requests.copy()
        site.healed |= {path for path in asked if path.startswith("/500/")}
        again = run_stage()
    settled = {"ok", "unavailable"}
    for name, kind in kinds.items():
        path = f"/{kind}/{name}.mp4"
        assert (site.requests[path] == asked[path]) == (rows[name]["status"] in settled), name
    assert [again[f"500_{k}"]["status"] for k in range(2)] == ["ok", "ok"]
    assert again["500_0"]["attempts"] == "2" and again["-00"]["attempts"] == "1"


def test_a_wait_that_the_server_asks_for_is_kept(film, params, tmp_path):
    site = Site(film.read_bytes())
    settings = params.download.model_copy(update=QUICK | {"retries": 0})
    with site.open() as address:
        refused, good = recordings(address, {"a": "429wait", "b": "good"})
        fetch = Fetcher(settings)
        assert "429" in fetch(refused, tmp_path / "a")["reason"]
        assert fetch(good, tmp_path / "b")["status"] == "ok"
    pause = next(t for t, path in site.moments if "good" in path) - site.moments[0][0]
    assert 2 <= pause < 6


def test_a_refusing_site_is_left_alone(run_stage, film):
    kinds = {f"r{k}": "429" for k in range(12)}
    site = Site(film.read_bytes())
    with site.open() as address:
        write_index(Path("set/index.csv"), recordings(address, kinds))
        with pytest.raises(UserError, match=r"9 pending, 3 environment"):
            run_stage(jobs=1, refusals=3, retries=0, min_coverage=0.5)
    assert len(site.requests) == 3


def test_kill_at_any_moment_loses_no_finished_recording(film, tmp_path):
    """Ten times SIGKILL; what was finished by then is never asked for again."""
    moments = random.Random(0)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["dataset"]["solos"]["folder"] = "set"
    content["download"] |= QUICK | {"jobs": 2}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    kinds = {f"k{k:02d}": "good" for k in range(60)}
    site = Site(film.read_bytes(), delay=0.1)
    finished: dict[str, int] = {}
    with site.open() as address:
        write_index(tmp_path / "set" / "index.csv", recordings(address, kinds))
        for _ in range(10):
            stage_process = start_stage(tmp_path)
            wait_for_more(tmp_path, len(finished), stage_process)
            time.sleep(moments.uniform(0, 0.3))
            stage_process.send_signal(signal.SIGKILL)
            stage_process.wait()
            for name in done(tmp_path):
                finished.setdefault(name, site.requests[f"/good/{name}.mp4"])
        assert 10 <= len(finished) < len(kinds)
        assert start_stage(tmp_path).wait() == 0
    for name, asked in finished.items():
        assert site.requests[f"/good/{name}.mp4"] == asked
    rows = read_table(tmp_path / "data/raw/solos/status.csv", "")
    assert [row["status"] for row in rows] == ["ok"] * len(kinds)
    assert {row["sha256"] for row in rows} == {file_hash(film)}


def start_stage(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.download", "solos"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )


def done(folder: Path) -> set[str]:
    notes = (folder / ".work/download").glob("*/result.json")
    found = (note for note in notes if json.loads(note.read_text())["result"]["status"] == "ok")
    return {note.parent.name.split(".")[0] for note in found}


def wait_for_more(folder: Path, known: int, process: subprocess.Popen) -> None:
    while len(done(folder)) <= known:
        assert process.poll() is None
        time.sleep(0.05)

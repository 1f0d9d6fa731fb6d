import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pipeline import index as stage
from solos.config.data import Index
from solos.datasets.index import WHOLE, read_index
from solos.datasets.music import read_list
from solos.errors import UserError

VIDEOS = {"tuba": ["AKNt1SF-5VA", "-X4loU7hcpw"], "acoustic_guitar": ["_IcBMTI8PEQ"]}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_the_published_list_becomes_an_index(tmp_path):
    guitar, first, second = read_list(write(tmp_path / "a.json", {"videos": VIDEOS}))
    assert (guitar.instrument, guitar.spans) == ("acoustic_guitar", WHOLE)
    assert [first.id, second.id] == VIDEOS["tuba"]
    assert second.url == "https://www.youtube.com/watch?v=-X4loU7hcpw"


def test_a_repeated_id_counts_once(tmp_path, caplog):
    path = write(tmp_path / "a.json", {"videos": VIDEOS | {"erhu": ["AKNt1SF-5VA"]}})
    ids = [(recording.id, recording.instrument) for recording in read_list(path)]
    assert ids.count(("AKNt1SF-5VA", "erhu")) == 1 and ("AKNt1SF-5VA", "tuba") not in ids
    assert "listed twice: taken as erhu" in caplog.text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([], "expected"),
        ({"videos": []}, "expected"),
        ({"videos": {}}, "expected"),
        ({"videos": {"tuba": "x"}}, "tuba: a list of ids"),
        ({"videos": {"tuba": []}}, "tuba: a list of ids"),
        ({"videos": {"tuba": ["../../etc"]}}, "tuba: no YouTube id"),
        ({"videos": {"tuba": [3]}}, "tuba: no YouTube id"),
    ],
)
def test_another_shape_is_named(content, complaint, tmp_path):
    with pytest.raises(UserError, match=complaint):
        read_list(write(tmp_path / "a.json", content))


def test_no_json(tmp_path):
    (tmp_path / "a.json").write_text("<html>")
    with pytest.raises(UserError, match="not JSON"):
        read_list(tmp_path / "a.json")
    with pytest.raises(UserError, match="No such file"):
        read_list(tmp_path / "b.json")


@pytest.fixture
def run_stage(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(source: str):
        stage.main(params.model_copy(update={"index": {"music": Index(source=source)}}), "music")
        return read_index(Path("data/index/music/index.csv"))

    return run


def test_the_stage_takes_a_local_copy_or_an_address(run_stage, tmp_path):
    path = write(tmp_path / "MUSIC_solo_videos.json", {"videos": VIDEOS})
    local = run_stage(str(path))
    assert len(local) == 3
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert run_stage(f"{address}/MUSIC_solo_videos.json") == local
        with pytest.raises(UserError, match=r"404(.|\n)*index\.music\.source"):
            run_stage(f"{address}/other.json")
        server.shutdown()

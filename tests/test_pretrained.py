"""Taking over Sound of Pixels' weights: from a folder, and from a server on this machine."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch

from pipeline import pretrained
from solos.errors import UserError
from solos.models.weights import build_network, copy_weights, load_weights, save_network

NAMES = ["sound_best.pth", "frame_best.pth", "synthesizer_best.pth"]


@pytest.fixture
def released(sop_recipe, tmp_path, monkeypatch):
    """A folder with three files, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    network = build_network(sop_recipe)
    save_network(tmp_path / "released", network, {})
    return tmp_path / "released", network


class Handler(SimpleHTTPRequestHandler):
    requests = 0

    def do_GET(self):
        Handler.requests += 1
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def url(released):
    handler = partial(Handler, directory=str(released[0]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_folder_is_taken_over(released, sop_recipe):
    folder, network = released
    copy_weights(folder, build_network(sop_recipe), pretrained.OUTPUT)
    found = build_network(sop_recipe)
    load_weights(pretrained.OUTPUT, found)
    expected = network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.state_dict().items())


def test_files_of_another_network_are_refused(released, sop_recipe):
    other = build_network(sop_recipe.model_copy(update={"channels": [4, 8, 16]}))
    with pytest.raises(UserError, match="does not fit the network"):
        copy_weights(released[0], other, pretrained.OUTPUT)
    assert not pretrained.OUTPUT.exists()


def test_each_file_is_fetched_once(released, url):
    Handler.requests = 0
    folder = Path("weights")
    for _ in range(2):
        pretrained.fetch_weights(url, NAMES, folder)
    assert Handler.requests == 3
    for name in NAMES:
        assert (folder / name).read_bytes() == (released[0] / name).read_bytes()


def test_a_refusal_names_the_other_ways(url):
    with pytest.raises(UserError, match=r"404(.|\n)*pretrained=files(.|\n)*pretrained=music"):
        pretrained.fetch_weights(f"{url}gone/", NAMES, Path("weights"))

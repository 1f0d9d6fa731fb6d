from pathlib import Path

import pytest
import yaml

from pipeline.params import compose
from solos.config.params import ConfigError, load_params
from solos.config.rows import Protocol
from solos.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
NO_PLACE = {"weights": ["music"], "path": None, "url": None, "needs": ["a", "b"]}
ADDRESS = {"jobs": 2, "address": "tcp://n1:8786"}


@pytest.fixture
def content() -> dict:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def write(tmp_path: Path, content: dict) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_committed_params_are_the_composition(in_root, tmp_path):
    """If this fails: `make params`, and commit params.yaml."""
    compose(tmp_path / "params.yaml", [])
    assert (tmp_path / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()


@pytest.mark.parametrize("model", ["all", "sop_pretrained", "sop", "sop_ft", "mhunet"])
@pytest.mark.parametrize("data", ["mini", "solos"])
def test_every_composition_is_valid(in_root, tmp_path, data, model):
    compose(tmp_path / "params.yaml", [f"data={data}", f"model={model}"])
    params = load_params(tmp_path / "params.yaml")
    rows = ["sop_pretrained", "sop", "sop_ft", "mhunet"] if model == "all" else [model]
    assert list(params.model) == rows
    assert params.profile == data


@pytest.mark.parametrize("data", ["mini", "solos"])
def test_released_weights_need_no_recordings_of_music(in_root, tmp_path, data):
    """Neither a data set to prepare nor something to wait for is left of MUSIC."""
    for choice in (["pretrained=url"], ["pretrained=files", "pretrained.path=weights"]):
        compose(tmp_path / "params.yaml", [f"data={data}", *choice])
        params = load_params(tmp_path / "params.yaml")
        assert list(params.dataset) == ["solos"]
        assert params.index == {} and params.synthesize.music is None
        assert not any("music" in need for need in params.pretrained.needs)


def test_the_real_profile_has_the_papers_figures(in_root, tmp_path):
    compose(tmp_path / "params.yaml", ["data=solos"])
    params = load_params(tmp_path / "params.yaml")
    sop, mhunet = params.train.sop, params.train.mhunet
    assert (sop.optimizer, sop.lr, sop.lr_trunk, sop.weight_decay) == ("sgd", 1e-3, 1e-4, 1e-4)
    assert sop.channels == [64, 128, 256, 512, 512, 512, 512]
    assert (sop.epochs, sop.schedule.milestones, sop.schedule.gamma) == (100, [40, 80], 0.1)
    assert (sop.batch_size, sop.n_src, sop.components, sop.gain) == (20, 2, 32, [0.5, 1.5])
    assert (sop.frames, sop.frame_stride, sop.image_size) == (3, 24, 224)
    assert sop.mixes_per_recording == 100
    assert mhunet.channels == [32, 64, 128, 256, 512, 512]
    assert (mhunet.optimizer, mhunet.lr, mhunet.weight_decay) == ("adam", 1e-4, 5e-4)
    assert (mhunet.train_mixes, mhunet.val_mixes, mhunet.batch_size) == (8000, 2000, 32)
    assert (mhunet.epochs, mhunet.dropout) == (1000, 0.2)
    assert (mhunet.schedule.patience, mhunet.schedule.factor) == (50, 0.5)
    music = params.train.music
    assert (music.batch_size, music.norm_batch, sop.norm_batch) == (80, 20, None)
    assert (music.targets, sop.targets) == ("half", "dominance")
    assert (mhunet.validation, mhunet.export, mhunet.schedule.kind) == (
        "current",
        "last",
        "plateau",
    )
    assert (params.evaluate.masks, params.evaluate.drift) == ("binary", 0)
    aspects = {name: data.aspect for name, data in params.dataset.items()}
    assert aspects == {"solos": "squash", "music": "keep"} and params.urmp.aspect == "squash"
    assert mhunet.curriculum.model_dump() == {
        "start": 2,
        "stop": 7,
        "patience": 10,
        "min_delta": 1e-4,
    }
    rows = {name: (row.init, row.epochs) for name, row in params.model.items()}
    assert rows == {
        "sop_pretrained": ("music", 0),
        "sop": ("scratch", 100),
        "sop_ft": ("music", 100),
        "mhunet": ("scratch", 1000),
    }


def test_all_problems_are_listed_at_once(tmp_path, content):
    content["sed"] = content.pop("seed")
    content["train"]["sop"]["lr"] = "fast"
    content["train"]["mhunet"]["curriculum"]["stop"] = 20
    content["spectrograms"]["val_fraction"] = 1.5
    content["download"]["max_sleep_interval"] = -1.0
    with pytest.raises(ConfigError) as caught:
        load_params(write(tmp_path, content))
    message = str(caught.value)
    assert "6 problem(s)" in message
    for problem in (
        "\n  seed: Field required",
        "\n  sed: Extra inputs are not permitted",
        "\n  train.sop.lr: Input should be a valid number (found 'fast')",
        "\n  train.mhunet.curriculum.stop: Input should be less than or equal to 13 (found '20')",
        "\n  spectrograms.val_fraction: Input should be less than 1 (found '1.5')",
        "\n  download.max_sleep_interval: ",
    ):
        assert problem in message


@pytest.mark.parametrize(
    "section, change, problem",
    [
        ("model", {"x": {"network": "sop", "init": "scratch", "epochs": 0}}, "random weights"),
        ("model", {"x": {"network": "mhunet", "init": "music", "epochs": 1}}, "Sound of Pixels'"),
        ("model", {"x": {"network": "unet", "init": "scratch", "epochs": 1}}, "no train.unet"),
        ("model", {}, "at least 1 item"),
        ("pretrained", {"source": "files", **NO_PLACE}, "pretrained.path"),
        ("pretrained", {"source": "url", **NO_PLACE}, "pretrained.url"),
        ("dataset", {}, "dataset.solos is missing"),
        ("parallel", {"backend": "loky", **ADDRESS}, "address is a cluster's.* not loky"),
        ("parallel", {"backend": "threading", **ADDRESS}, "address is a cluster's.* not threading"),
    ],
)
def test_impossible_values(tmp_path, content, section, change, problem):
    content[section] = change
    with pytest.raises(ConfigError, match=problem):
        load_params(write(tmp_path, content))


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_clusters_have_an_address(tmp_path, content, backend):
    content["parallel"] = {"backend": backend, **ADDRESS}
    assert load_params(write(tmp_path, content)).parallel.address == ADDRESS["address"]


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(ConfigError, match="make params"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("seed: [1")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("just text")
    with pytest.raises(ConfigError, match="top level"):
        load_params(tmp_path / "params.yaml")


def test_a_composition_with_problems_leaves_the_old_file(in_root, tmp_path):
    target = tmp_path / "params.yaml"
    target.write_text("old")
    with pytest.raises(UserError):
        compose(target, ["seed=-1"])
    assert target.read_text() == "old"


def test_rows_that_a_profile_has_no_recipe_for_are_one_message(in_root, tmp_path):
    with pytest.raises(UserError, match=r"train\.sop.* not found: this data profile has not all"):
        compose(tmp_path / "params.yaml", ["data=notes", "model=all"])


@pytest.mark.parametrize("data", ["mini", "notes", "solos"])
def test_the_informed_row_is_one_by_its_name(in_root, tmp_path, data):
    compose(tmp_path / "params.yaml", [f"data={data}", "model=informed"])
    params = load_params(tmp_path / "params.yaml")
    assert list(params.model) == ["informed"] and params.train.informed.n_src == [2, 5]


def test_milestones_out_of_order(tmp_path, content):
    step = {"kind": "step", "milestones": [80, 40], "gamma": 0.1}
    content["train"]["sop"]["schedule"] = step
    with pytest.raises(ConfigError, match=r"schedule.step: Value error, milestones must ascend"):
        load_params(write(tmp_path, content))


@pytest.mark.parametrize("data", ["mini", "solos"])
def test_the_protocol_is_the_authors(in_root, tmp_path, data):
    """What conf/ says to be the authors' is what the library takes for it."""
    compose(tmp_path / "params.yaml", [f"data={data}"])
    evaluate = load_params(tmp_path / "params.yaml").evaluate
    assert evaluate.model_dump(exclude={"batch_size", "masks"}) == Protocol().model_dump()


def test_another_networks_recipe_is_checked_like_the_papers(tmp_path, content):
    content["train"]["unet"] = content["train"]["mhunet"] | {"lr": 0.5}
    content["model"]["unet"] = {"network": "unet", "init": "scratch", "epochs": 1}
    assert load_params(write(tmp_path, content)).train.unet.lr == 0.5
    content["train"]["unet"]["momentum"] = 0.9
    with pytest.raises(ConfigError, match=r"train.unet.mhunet.momentum: Extra inputs"):
        load_params(write(tmp_path, content))

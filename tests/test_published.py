"""A checkpoint of the Multi-Head U-Net's authors as a row: ``init: published``."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from pipeline import train as stage
from pipeline.train import seen_aspect, start_network
from solos.config.rows import Row
from solos.errors import UserError
from solos.models import MultiHeadUNet
from solos.models.weights import save_network, save_state
from solos.separation.separator import load_separator


def checkpoint(path, width):
    """A file with the authors' names, as torch saves it."""
    network = MultiHeadUNet([width * n for n in (1, 2, 4, 8, 16, 16)]).eval()
    state = {name: tensor.clone() for name, tensor in network.published_state().items()}
    unused = {"output.weight": torch.ones(2), "film.0.bias": torch.full((2,), torch.nan)}
    torch.save({"state_dict": state | unused}, path)
    return network


@pytest.mark.parametrize("width", [16, 32])
def test_a_published_checkpoint_is_exported_at_its_own_width(params, tmp_path, width):
    """The miniature's recipe names other channels: the file's are taken, and noted."""
    theirs = checkpoint(tmp_path / "theirs.pth", width)
    row = Row(network="mhunet", init="published", epochs=0, path=str(tmp_path / "theirs.pth"))
    network, recipe = start_network(row, params.train.mhunet, tmp_path / "theirs.pth")
    assert recipe.channels == [width * n for n in (1, 2, 4, 8, 16, 16)]
    about = {"network": "mhunet", "recipe": recipe.model_dump(), "aspect": seen_aspect(params, row)}
    save_network(tmp_path / "exported", network, about)
    separator = load_separator(tmp_path / "exported")
    x = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(separator.network(x), theirs(x), atol=1e-6)


def test_the_stage_exports_it_without_training(params, training_set, tmp_path, monkeypatch):
    """With whatever recordings there are: none of them is learnt from."""
    monkeypatch.chdir(tmp_path)
    for folder in training_set:
        Path("data", folder.name).mkdir(parents=True)
        Path("data", folder.name, "solos").symlink_to(folder)
    theirs = checkpoint(tmp_path / "theirs.pth", 2)
    row = Row(network="mhunet", init="published", epochs=0, path="theirs.pth")
    curriculum = params.train.mhunet.curriculum.model_copy(update={"stop": 3})
    small = {"val_mixes": 2, "curriculum": curriculum}
    recipes = params.train.model_copy(
        update={"mhunet": params.train.mhunet.model_copy(update=small)}
    )
    stage.main(params.model_copy(update={"model": {"mine": row}, "train": recipes}), "mine")
    exported = load_separator(Path("data/models/mine")).network.state_dict()
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(exported[name], tensor), name


def test_a_file_that_is_none_of_theirs_is_named(params, tmp_path):
    row = Row(network="mhunet", init="published", epochs=0, path="x.pth")
    with pytest.raises(UserError, match=r"x\.pth is missing"):
        start_network(row, params.train.mhunet, tmp_path / "x.pth")
    save_state(tmp_path / "x.pth", {"features.0.weight": torch.ones(3)})
    with pytest.raises(UserError, match=r"x\.pth is no Multi-Head U-Net of its authors: encoder"):
        start_network(row, params.train.mhunet, tmp_path / "x.pth")
    network = checkpoint(tmp_path / "x.pth", 4)
    state = {name: tensor.clone() for name, tensor in network.published_state().items()}
    del state["decoder.3.12.1.bias"]
    save_state(tmp_path / "x.pth", state)
    with pytest.raises(UserError, match=r"x\.pth does not fit .*\n  decoder\.3\.12\.1\.bias: miss"):
        start_network(row, params.train.mhunet, tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"network": "sop", "init": "published", "path": "x"}, "Multi-Head U-Net's only"),
        ({"network": "mhunet", "init": "published"}, "needs path"),
        ({"network": "mhunet", "init": "scratch", "path": "x"}, "no other init has one"),
    ],
)
def test_rows_that_can_not_be(row, said):
    with pytest.raises(ValidationError, match=said):
        Row.model_validate({"epochs": 3, **row})

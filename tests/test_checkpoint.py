import pytest
import torch

from solos.errors import UserError
from solos.models.weights import build_network, load_state, load_weights, save_network, save_state


@pytest.fixture
def exported(sop_recipe, tmp_path):
    network = build_network(sop_recipe)
    save_network(tmp_path, network, {"network": "sop"})
    return network, tmp_path


def test_round_trip(exported, sop_recipe):
    network, folder = exported
    assert {p.name for p in folder.iterdir()} == {
        "sound_best.pth",
        "frame_best.pth",
        "synthesizer_best.pth",
        "network.yaml",
    }
    other = build_network(sop_recipe)
    load_weights(folder, other)
    expected, found = network.state_dict(), other.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_equal_states_have_equal_bytes(tmp_path):
    for name in "ab":
        save_state(tmp_path / name, {"x": torch.arange(3), "y": [1, 2.5]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_wrong_shape_is_named(exported, sop_recipe):
    _, folder = exported
    other = build_network(sop_recipe.model_copy(update={"components": 7}))
    with pytest.raises(UserError, match=r"sound_best\.pth.*\n.*model\.4\.weight: shape \(4, 8"):
        load_weights(folder, other)


def test_a_wrong_name_is_named(exported, sop_recipe):
    network, folder = exported
    state = network.synthesizer.state_dict()
    save_state(folder / "synthesizer_best.pth", {"scale": state["scale"], "offset": state["bias"]})
    with pytest.raises(UserError, match=r"bias: missing\n  offset: not in the network"):
        load_weights(folder, build_network(sop_recipe))


def test_damaged_and_missing_files(tmp_path):
    (tmp_path / "x.pth").write_text("<html>403 Forbidden</html>")
    with pytest.raises(UserError, match=r"x\.pth is damaged, or no file of tensors"):
        load_state(tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"y\.pth is missing"):
        load_state(tmp_path / "y.pth")


def test_code_in_a_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="is damaged, or no file of tensors alone"):
        load_state(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()

import pytest
import torch
from torchvision.models import resnet18

from solos.errors import UserError
from solos.models.weights import (
    build_network,
    load_state,
    load_strictly,
    load_weights,
    save_network,
    save_state,
)


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


def trunk_state() -> dict:
    """Of a ResNet-18 with weights of its own."""
    torch.manual_seed(1)
    return resnet18().state_dict()


def without_counters(state: dict) -> dict:
    """As torchvision's published file: 102 tensors."""
    return {name: t for name, t in state.items() if "num_batches_tracked" not in name}


def stripped() -> dict:
    state = trunk_state()  # an OrderedDict that knows its modules' versions
    for name in [name for name in state if "num_batches_tracked" in name]:
        del state[name]
    return state


TAKEN = {
    "as torch writes it now": trunk_state,
    "without the counters of batches": lambda: without_counters(trunk_state()),
    "without the counters, but with torch's notes": stripped,
    "from DataParallel": lambda: {f"module.{name}": t for name, t in trunk_state().items()},
    "wrapped": lambda: {"state_dict": trunk_state(), "epoch": 3},
    "wrapped, from DataParallel, without counters": lambda: {
        "state_dict": {f"module.{n}": t for n, t in without_counters(trunk_state()).items()}
    },
    "in half precision": lambda: {
        name: t.half() if t.is_floating_point() else t for name, t in trunk_state().items()
    },
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("state", TAKEN.values(), ids=TAKEN.keys())
def test_weights_as_torch_takes_them(state, zipped, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(state(), path, _use_new_zipfile_serialization=zipped)
    network = resnet18()
    load_strictly(network, load_state(path), path, "")
    for name, tensor in without_counters(trunk_state()).items():
        torch.testing.assert_close(network.state_dict()[name], tensor, atol=2e-3, rtol=1e-3)
    assert len(without_counters(trunk_state())) == 102


def with_nan() -> dict:
    state = trunk_state()
    state["layer2.0.conv1.weight"][3, 2, 1, 0] = torch.nan
    return state


def of_another() -> dict:
    state = trunk_state()
    state["fc.scale"] = state.pop("fc.weight")
    return state


def of_another_size() -> dict:
    state = without_counters(trunk_state())
    return state | {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}


REFUSED = {
    "not finite": (with_nan, r"x\.pth: layer2\.0\.conv1\.weight is not finite \(in all, 1 of 122"),
    "of another network": (
        of_another,
        r"does not fit the network \(2 difference\(s\)\):\n  fc\.weight: missing\n"
        r"  fc\.scale: not in the network\nGet the right one",
    ),
    "without counters, of another size": (
        of_another_size,
        r"does not fit the network \(2 difference\(s\)\):\n  fc\.weight: shape \(10, 512\), "
        r"\(1000, 512\) expected\n  fc\.bias: shape \(10,\), \(1000,\) expected\nGet",
    ),
    "without counters, of another network": (
        lambda: without_counters(of_another()),
        r"\(2 difference\(s\)\):\n  fc\.weight: missing\n  fc\.scale: not in the network\nGet",
    ),
    "numbered": (lambda: {0: torch.ones(1)}, "holds no state dict: 0 is no name of a tensor"),
    "nothing": (dict, "holds no state dict, but dict"),
    "a list": (lambda: [1, 2], "holds no state dict, but list"),
    "a checkpoint": (lambda: {"epoch": 3, "model": 1}, "holds no state dict: 'epoch' is no tensor"),
}


@pytest.mark.parametrize(("state", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_weights_that_are_refused_in_one_sentence(state, message, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(state(), path)
    with pytest.raises(UserError, match=message):
        load_strictly(resnet18(), load_state(path), path, "Get the right one")

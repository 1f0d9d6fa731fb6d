import pytest
import torch

from solos import INSTRUMENTS, SEGMENT
from solos.checkpoint import build_network, save_network
from solos.errors import UserError
from solos.masks import apply_masks, log_input
from solos.separation import Target, load_separator, sop_masks
from solos.stft import log_warp, stft


def pictures(seed: int) -> torch.Tensor:
    return torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["sop", "mhunet"])
def separator(request, sop_recipe, mhu_recipe, tmp_path):
    recipe = {"sop": sop_recipe, "mhunet": mhu_recipe}[request.param]
    network = build_network(recipe)
    save_network(tmp_path, network, {"network": request.param, "recipe": recipe.model_dump()})
    return load_separator(tmp_path)


TARGETS = [
    [Target("Cello", [pictures(1)]), Target("Flute", [pictures(2), pictures(3)])],
    [Target(name, [pictures(i)]) for i, name in enumerate(INSTRUMENTS[:3])],
]


def test_estimates_of_a_batch(separator):
    mixes = torch.rand(2, SEGMENT) - 0.5
    first, second = separator.separate(mixes, TARGETS)
    assert first.shape == (2, SEGMENT) and second.shape == (3, SEGMENT)
    assert first.abs().max() <= 1
    alone = separator.separate(mixes[1:], TARGETS[1:])[0]
    assert torch.allclose(second, alone, atol=1e-4)


def test_mhunet_gives_each_instruments_head(mhu_recipe, tmp_path):
    network = build_network(mhu_recipe)
    save_network(tmp_path, network, {"network": "mhunet", "recipe": mhu_recipe.model_dump()})
    separator = load_separator(tmp_path)
    assert not separator.needs_frames
    mix = torch.rand(1, SEGMENT) - 0.5
    every = separator.separate(mix, [[Target(name) for name in INSTRUMENTS]])[0]
    two = separator.separate(mix, [[Target("Tuba"), Target("Cello")]])[0]
    assert torch.allclose(two, every[[10, 1]], atol=1e-6)
    assert torch.allclose(every.sum(0), mix[0], atol=1e-3)  # the masks sum to one


@torch.inference_mode()
def test_sop_pools_over_an_instruments_players(sop_recipe):
    network = build_network(sop_recipe).eval()
    components = torch.randn(1, 4, 256, 256)
    both = sop_masks(network, components, [Target("Violin", [pictures(1), pictures(2)])])
    pooled = torch.maximum(*[network.frame(pictures(i)[None])[0] for i in (1, 2)])
    logits = network.synthesizer(torch.sigmoid(pooled)[None, None], components)
    assert torch.equal(both, torch.sigmoid(logits[0]))


@torch.inference_mode()
def test_sop_estimates_are_the_masked_mixture(sop_recipe, tmp_path):
    network = build_network(sop_recipe)
    save_network(tmp_path, network, {"network": "sop", "recipe": sop_recipe.model_dump()})
    separator = load_separator(tmp_path)
    assert separator.needs_frames
    mix = torch.rand(1, SEGMENT) - 0.5
    spec = stft(mix)
    log_mag = log_input(log_warp(spec.abs()))[None]
    frames = torch.stack([pictures(1), pictures(2)])[None]
    masks = torch.sigmoid(separator.network(log_mag, frames)[0])
    expected = apply_masks(spec[0], masks, SEGMENT)
    targets = [[Target("Cello", [pictures(1)]), Target("Flute", [pictures(2)])]]
    assert torch.allclose(separator.separate(mix, targets)[0], expected, atol=1e-4)


def test_no_network_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"network\.yaml is missing"):
        load_separator(tmp_path)

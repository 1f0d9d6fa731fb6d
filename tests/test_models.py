import json
import math
from pathlib import Path

import pytest
import torch

from solos.models import MultiHeadUNet, SoundOfPixels
from solos.models.sop import sop_loss

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "sop_forward.json").read_text())
SHAPES = json.loads((FOLDER / "sop_state_dict_shapes.json").read_text())


def golden_tensor(name: str, tensor: torch.Tensor, number: int) -> torch.Tensor:
    """The golden forward pass' weights: a formula of a tensor's place, name and shape."""
    wave = torch.cos(0.7 * torch.arange(tensor.numel(), dtype=torch.float64) + number)
    if name.endswith("num_batches_tracked"):
        wave = wave * 0
    elif name.endswith("running_var"):
        wave = 1 + 0.5 * wave
    elif tensor.dim() > 1:
        wave = wave * math.sqrt(0.25 / tensor[0].numel())
    elif name.endswith(("running_mean", "bias")):
        wave = 0.1 * wave
    else:
        wave = 1 + 0.2 * wave
    return wave.reshape(tensor.shape).to(tensor.dtype)


@pytest.fixture(scope="module")
def golden_network() -> SoundOfPixels:
    network = SoundOfPixels()
    for part in (network.sound, network.frame, network.synthesizer):
        items = enumerate(part.state_dict().items())
        part.load_state_dict({name: golden_tensor(name, t, i) for i, (name, t) in items})
    return network.eval()


def wave(scale: float, step: float, *shape: int) -> torch.Tensor:
    ramp = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
    return (scale * torch.sin(step * ramp)).float()


def close(found: torch.Tensor, expected) -> bool:
    expected = torch.as_tensor(expected)
    return torch.allclose(found.flatten(), expected.flatten(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("part, count", [("sound", 75), ("frame", 122), ("synthesizer", 2)])
def test_state_dicts_are_the_released_ones(part, count):
    state = getattr(SoundOfPixels(), part).state_dict()
    assert len(state) == count
    assert {name: list(tensor.shape) for name, tensor in state.items()} == SHAPES[part]


@torch.inference_mode()
def test_audio_network_and_synthesizer_agree_with_the_reference(golden_network):
    components = golden_network.sound(wave(3, 0.013, 1, 1, 256, 256))
    assert close(components.mean(), GOLDEN["sound_mean"])
    assert close(components.std(), GOLDEN["sound_std"])
    assert close(components[0, ::8, ::64, ::64], GOLDEN["sound_samples"])
    visual = (0.5 + 0.5 * torch.cos(torch.arange(32.0)))[None, None]
    logits = golden_network.synthesizer(visual, components)
    assert close(logits.mean(), GOLDEN["logits_mean"])
    assert close(logits.std(), GOLDEN["logits_std"])
    assert close(logits[0, 0, ::32, ::32], GOLDEN["logits_samples"])


@torch.inference_mode()
def test_video_network_agrees_with_the_reference(golden_network):
    features = golden_network.frame(wave(1, 0.0071, 1, 3, 3, 224, 224))
    assert close(features, GOLDEN["frame_features"])


def test_sop_shapes_for_any_number_of_sources():
    network = SoundOfPixels([4, 8, 8], 5).eval()
    logits = network(torch.randn(2, 1, 256, 256), torch.randn(2, 3, 3, 2, 64, 64))
    assert logits.shape == (2, 3, 256, 256)


def test_localization_follows_the_visual_vectors():
    """Two halves of a picture call for different components: the louder one's half is brighter."""
    network = SoundOfPixels([4, 8, 8], 2).eval()
    half = torch.tensor([[9.0, 9.0, -9.0, -9.0]]).expand(2, 4, 4)
    places = torch.stack([half[0], -half[1]])[None, :, None]  # (1, K, T', h, w)
    network.frame.feature_map = lambda frames: places
    components = torch.stack([torch.full((256, 8), 6.0), torch.full((256, 8), -6.0)])[None]
    network.sound.forward = lambda log_mag: components
    log_mag = torch.full((1, 1, 256, 8), math.log(3))
    found = network.localize(torch.zeros(1, 3, 1, 64, 64), log_mag)
    assert found.shape == (1, 4, 4)
    loud, quiet = (9 * 256 * 8 * torch.sigmoid(torch.tensor(x)) ** 2 for x in (6.0, -6.0))
    assert torch.allclose(found[0, :, :2], loud.expand(4, 2), rtol=1e-2)
    assert torch.allclose(found[0, :, 2:], quiet.expand(4, 2), rtol=1e-2)


def test_localization_at_the_released_size_of_a_picture():
    network = SoundOfPixels([4, 8, 8], 3)
    with pytest.raises(ValueError, match="eval"):
        network.localize(torch.randn(1, 3, 1, 64, 64), torch.randn(1, 1, 256, 256))
    network.eval()
    maps = network.localize(torch.randn(2, 3, 3, 224, 224), torch.randn(2, 1, 256, 256))
    assert maps.shape == (2, 14, 14) and (maps >= 0).all()


def test_sop_loss_by_hand():
    logits, targets = torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 1.0]]]])
    mags = torch.tensor([[[[0.0, math.e - 1]]]])  # weights 1e-3 (the floor) and 1
    expected = math.log(2) * (1e-3 + 1) / 2
    assert sop_loss(logits, targets, mags).item() == pytest.approx(expected)


def test_mhunet_masks_sum_to_one():
    masks = MultiHeadUNet([4, 8, 8]).eval()(torch.randn(2, 1, 256, 256))
    assert masks.shape == (2, 13, 256, 256)
    assert torch.allclose(masks.sum(1), torch.ones(2, 256, 256), atol=1e-5)
    assert masks.min() > 0


def test_mhunet_has_the_papers_size_and_no_bias_in_convolutions():
    network = MultiHeadUNet()
    convs = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(conv.bias is None for conv in convs)
    shapes = [tuple(conv.weight.shape) for conv in network.encoder.convs]
    assert shapes == [
        (32, 1, 4, 4),
        (64, 32, 4, 4),
        (128, 64, 4, 4),
        (256, 128, 4, 4),
        (512, 256, 4, 4),
        (512, 512, 4, 4),
    ]
    assert len(network.decoder) == 6


@torch.inference_mode()
def test_mhunet_decoders_are_independent():
    """Grouped decoders are 13 separate ones: changing one leaves the others' outputs alone."""
    network = MultiHeadUNet([4, 8, 8]).eval()
    x = torch.randn(1, 1, 256, 256)

    def outputs() -> torch.Tensor:
        y = None
        for block, skip in zip(network.decoder, reversed(network.encoder(x)), strict=True):
            y = block(y, skip)
        return y

    before = outputs()
    for block in network.decoder:
        for conv in filter(None, (block.own, block.skip)):
            width = conv.out_channels // 13
            conv.weight[5 * width : 6 * width] += 1
    changed = (outputs() != before).flatten(2).any(dim=2)[0]
    assert changed.tolist() == [i == 5 for i in range(13)]


@torch.inference_mode()
def test_mhunet_block_is_a_convolution_of_the_concatenation():
    """One decoder's block, computed the plain way: concatenate, convolve, ReLU, upsample."""
    block = MultiHeadUNet([4, 8, 8]).eval().decoder[1]
    own, skip = torch.randn(1, 13 * 8, 16, 16), torch.randn(1, 8, 16, 16)
    found = block(own, skip).unflatten(1, (13, 4))[:, 2]
    weight = torch.cat([block.own.weight[8:12], block.skip.weight[8:12]], dim=1)
    both = torch.cat([own[:, 16:24], skip], dim=1)
    norm = block.activate[0]
    y = torch.nn.functional.conv2d(both, weight, padding=1)
    y = torch.relu(y / torch.sqrt(norm.running_var[:4, None, None] + norm.eps))
    assert torch.allclose(found, block.upsample(y), atol=1e-5)


@torch.inference_mode()
def test_mhunet_is_thirteen_decoders_in_a_loop():
    """The whole network, as the paper draws it: each decoder concatenates, convolves, upsamples."""
    network = MultiHeadUNet([4, 8, 8], heads=3).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    x = torch.randn(2, 1, 64, 64)
    skips = network.encoder(x)[::-1]
    logits = []
    for head in range(3):
        y = None
        for block, skip in zip(network.decoder, skips, strict=True):
            y = plain_block(block, head, y, skip)
        logits.append(y)
    expected = torch.softmax(torch.cat(logits, dim=1), dim=1)
    assert torch.allclose(network(x), expected, atol=1e-6)


def plain_block(block, head: int, own: torch.Tensor | None, skip: torch.Tensor) -> torch.Tensor:
    """One decoder's share of a block of all of them."""
    width = block.skip.out_channels // 3
    mine = slice(head * width, (head + 1) * width)
    weight, x = block.skip.weight[mine], skip
    if own is not None:
        weight, x = torch.cat([block.own.weight[mine], weight], dim=1), torch.cat([own, skip], 1)
    y = torch.nn.functional.conv2d(x, weight, padding=1)
    if isinstance(block.activate, torch.nn.Sequential):
        norm = block.activate[0]
        stats = [value[mine] for value in (norm.running_mean, norm.running_var)]
        y = torch.nn.functional.batch_norm(y, *stats, norm.weight[mine], norm.bias[mine])
        y = torch.relu(y)
    return block.upsample(y)

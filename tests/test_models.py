import json
import math

import pytest
import torch

from benchmarks.gpu.golden import FOLDER, golden_mhunet, golden_sop, read_golden, wave
from solos.errors import UserError
from solos.models import MultiHeadUNet, SoundOfPixels
from solos.models.sop import sop_loss

GOLDEN = read_golden("sop")
SHAPES = json.loads((FOLDER / "sop_state_dict_shapes.json").read_text())


@pytest.fixture(scope="module")
def golden_network() -> SoundOfPixels:
    return golden_sop()


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
def test_mhunet_agrees_with_the_reference():
    """Weights by the formula of the golden files, under the authors' names."""
    golden, network = read_golden("mhunet"), golden_mhunet()
    names = [n for n in network.published_state() if not n.endswith("num_batches_tracked")]
    assert len(names) == golden["tensors"]
    masks = network(wave(1, 0.013, 1, 1, 256, 256))
    assert torch.allclose(
        masks.mean(dim=(0, 2, 3)), torch.tensor(golden["mean_over_tf"]), atol=1e-5
    )
    assert masks.std().item() == pytest.approx(golden["std"], abs=1e-5)
    samples = torch.tensor(golden["samples"])
    assert torch.allclose(masks[0, :, ::32, ::32], samples, rtol=0, atol=1e-5)


class PlainDecoder(torch.nn.Module):
    """One decoder, as the authors' code has it."""

    def __init__(self, sizes):
        super().__init__()
        self.levels = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Conv2d(skip + own, skip, 3, padding=1, bias=False),
                torch.nn.BatchNorm2d(skip),
            )
            for skip, own in sizes
        )

    def forward(self, skips, y):
        for level, skip in zip(self.levels, skips, strict=True):
            y = torch.nn.functional.interpolate(
                y, scale_factor=2, mode="bilinear", align_corners=True
            )
            y = torch.relu(level(torch.cat([skip, y], dim=1)))
        return y


@pytest.mark.parametrize("training", [False, True])
def test_mhunet_is_thirteen_decoders_in_a_loop(training):
    """Masks, and in training gradients and batch statistics, are those of separate decoders."""
    network = MultiHeadUNet([4, 8, 8], dropout=0.0, heads=3).train(training)
    state = {n: t.clone() for n, t in network.published_state().items()}
    plain = [PlainDecoder([(8, 8), (4, 8), (1, 4)]).train(training) for _ in range(3)]
    for head, decoder in enumerate(plain):
        names = decoder.state_dict()
        decoder.load_state_dict(
            {
                n: state[
                    n.replace("levels.", "decoder.")
                    .replace(".", f".{head}.", 2)
                    .replace(f"decoder.{head}.", "decoder.", 1)
                ]
                for n in names
            }
        )
    x = torch.randn(2, 1, 64, 64)
    *skips, code = [x, *network.encoder(x)]
    expected = torch.cat([decoder(skips[::-1], code) for decoder in plain], dim=1).softmax(1)
    found = network(x)
    assert torch.allclose(found, expected, atol=1e-6)
    if training:
        found.square().sum().backward()
        expected.square().sum().backward()
        level = network.decoder[1]
        for head, decoder in enumerate(plain):
            conv, norm = decoder.levels[1]
            rows = slice(4 * head, 4 * head + 4)
            assert torch.allclose(level.weight.grad[rows], conv.weight.grad, atol=1e-4)
            assert torch.allclose(level.norm.running_var[rows], norm.running_var, rtol=1e-4)


def test_mhunet_drops_out_of_the_last_level_too():
    network = MultiHeadUNet([4, 8, 8], dropout=1.0, heads=3).train()
    assert torch.allclose(network(torch.randn(2, 1, 64, 64)), torch.tensor(1 / 3))


@pytest.mark.parametrize("width", [16, 32])
def test_published_checkpoints_load_at_both_widths(width):
    """By newer and older names, with what the authors' class never uses, without counters."""
    channels = [width * n for n in (1, 2, 4, 8, 16, 16)]
    source, target = MultiHeadUNet(channels), MultiHeadUNet(channels)
    state = {n: t.clone() for n, t in source.published_state().items()}
    assert MultiHeadUNet.published_channels(state) == channels
    state |= {"output.weight": torch.ones(1), "film.0.bias": torch.ones(2)}
    older = {
        n.replace(".conv.", ".0.").replace(".bn.", ".1."): t
        for n, t in state.items()
        if not n.endswith("num_batches_tracked")
    }
    for names in (state, older):
        target.load_published(names)
        expected = source.state_dict()
        assert all(torch.equal(t, expected[n]) for n, t in target.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("decoder.2.5.0.weight"), "decoder.2.5.0.weight: missing"),
        (lambda s: s.update(head=torch.ones(1)), "head: not in the network"),
        (lambda s: s.update({"encoder.2.weight": torch.ones(3)}), "encoder.2.weight: shape"),
        (lambda s: s["encoder.0.bn.bias"].fill_(math.nan), "encoder.0.bn.bias is not finite"),
    ],
)
def test_an_unfit_published_state_is_named(change, said):
    network = MultiHeadUNet([4, 8, 8])
    state = {n: t.clone() for n, t in network.published_state().items()}
    before = {n: t.clone() for n, t in network.state_dict().items()}
    change(state)
    with pytest.raises(UserError, match=said):
        network.load_published(state)
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())


def test_only_the_audio_network_starts_small():
    """The video network's last convolution keeps torch's own start, a hundred times as wide."""
    network = SoundOfPixels([4, 8, 8], 4)
    assert network.frame.fc.weight.std().item() == pytest.approx(
        1 / math.sqrt(3 * 512 * 9), rel=0.1
    )
    assert network.sound.unet_block.model[0].weight.std() < 0.002

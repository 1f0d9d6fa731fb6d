import numpy as np
import pytest
import torch
import yaml

from solos import INSTRUMENTS, SEGMENT
from solos.errors import UserError
from solos.models.inputs import log_input
from solos.models.weights import build_network, save_network
from solos.separation.blocks import block_starts, join
from solos.separation.separator import Separator, load_separator, sop_masks
from solos.separation.targets import Target, picture_targets
from solos.signal.fourier import stft
from solos.signal.masks import apply_masks
from solos.signal.warp import log_warp


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
    components = torch.randn(2, 4, 256, 256)
    duo = Target("Violin", [pictures(1), pictures(2)])
    given = [[duo], [Target("Tuba", [pictures(3)]), duo, Target("Horn", [pictures(4)])]]
    found = sop_masks(network, components, given)
    assert [len(masks) for masks in found] == [1, 3]
    for masks, part, players in zip(
        found, components, [[(1, 2)], [(3,), (1, 2), (4,)]], strict=True
    ):
        seen = [torch.stack([network.frame(pictures(i)[None])[0] for i in p]) for p in players]
        visual = torch.sigmoid(torch.stack([each.amax(dim=0) for each in seen]))
        logits = network.synthesizer(visual[None], part[None])
        assert torch.allclose(masks, torch.sigmoid(logits[0]), atol=1e-5)


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
    expected = apply_masks(spec[0], masks, SEGMENT, decide=True)  # as published
    targets = [[Target("Cello", [pictures(1)]), Target("Flute", [pictures(2)])]]
    assert torch.allclose(separator.separate(mix, targets)[0], expected, atol=1e-4)


def test_no_network_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"network\.yaml is missing"):
        load_separator(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aspect": "sqaush"}, "aspect: keep or squash expected, found 'sqaush'"),
        ({"aspect": ["keep"]}, "aspect: keep or squash expected"),
        ({"network": "mhunet"}, "describes no network: .*has no attribute"),
        ({"components": 3 * 10**9}, "describes no network: .*allocate"),
    ],
)
def test_a_description_that_does_not_hold_together_is_named(sop_recipe, tmp_path, change, message):
    recipe = sop_recipe.model_dump()
    save_network(tmp_path, build_network(sop_recipe), {"network": "sop", "recipe": recipe})
    path = tmp_path / "network.yaml"
    description = yaml.safe_load(path.read_text())
    place = description["recipe"] if change.keys() <= recipe.keys() else description
    place |= change
    path.write_text(yaml.safe_dump(description))
    with pytest.raises(UserError, match=f"network.yaml:? {message}"):
        load_separator(tmp_path)


def noise(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) - 0.5


@pytest.mark.parametrize("n", [1, 3, 700, SEGMENT - 1, 2 * SEGMENT, 2 * SEGMENT + 5])
def test_mixtures_of_any_length_are_the_segments_one_after_another(separator, n):
    mixes = torch.stack([noise(n), noise(n, 1)])
    got = separator.separate(mixes, TARGETS)
    for mix, targets, estimates in zip(mixes, TARGETS, got, strict=True):
        assert estimates.shape == (len(targets), n)
        last = separator.separate(whole_end(mix)[None], [targets])[0]
        alone = [
            separator.separate(mix[None, start : start + SEGMENT], [targets])[0]
            for start in range(0, n - SEGMENT + 1, SEGMENT)
        ]
        rest = n % SEGMENT
        alone.append(last[:, SEGMENT - rest :] if n > SEGMENT else last[:, :rest])
        assert torch.allclose(estimates, torch.cat(alone, 1), atol=1e-5)


def whole_end(mix: torch.Tensor) -> torch.Tensor:
    """The last whole block of a recording, or a short one and its reflections."""
    if len(mix) >= SEGMENT:
        return mix[-SEGMENT:]
    if len(mix) == 1:
        return mix.repeat(SEGMENT)
    return torch.from_numpy(np.pad(mix.numpy(), (0, SEGMENT - len(mix)), mode="reflect"))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("sizes", [[3 * SEGMENT + 7], [SEGMENT], [40000] * 5, [], [2]])
def test_a_stream_is_the_segments_one_after_another(separator, sizes, batch_size):
    """Whatever the sizes of the pieces that it comes in, and of the batches."""
    wave = noise(sum(sizes))
    blocks = [block.numpy() for block in wave.split(sizes)]
    starts = []

    def targets(start):
        starts.append(start)
        return TARGETS[0]

    stretches = list(separator.stream(blocks, targets, batch_size))
    assert starts == [start for start, _ in block_starts(len(wave))]
    if not sizes:
        assert stretches == []
        return
    expected = separator.separate(wave[None], TARGETS[:1])[0]
    assert torch.allclose(torch.cat(stretches, 1), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, []),
        (5, [(0, 0)]),
        (SEGMENT, [(0, 0)]),
        (SEGMENT + 5, [(0, 0), (5, SEGMENT - 5)]),
        (3 * SEGMENT - 1, [(0, 0), (SEGMENT, 0), (2 * SEGMENT - 1, 1)]),
    ],
)
def test_the_last_block_ends_where_the_recording_does(n, expected):
    assert block_starts(n) == expected


def test_each_segment_is_separated_by_its_own_targets(separator):
    wave = noise(2 * SEGMENT)
    by_start = {0: TARGETS[1][:2], SEGMENT: TARGETS[1][1:]}
    streamed = torch.cat(list(separator.stream([wave.numpy()], by_start.get, 2)), 1)
    whole = separator.separate(wave[None], [by_start.get])[0]
    assert torch.allclose(streamed, whole, atol=1e-5)
    second = separator.separate(wave[None, SEGMENT:], [by_start[SEGMENT]])[0]
    assert torch.allclose(streamed[:, SEGMENT:], second, atol=1e-5)


@pytest.mark.parametrize("overlap", [0.1, 0.5])
@pytest.mark.parametrize("n", [10, SEGMENT, SEGMENT + 1, 3 * SEGMENT])
def test_overlapping_segments_are_cross_faded(mhu_recipe, overlap, n):
    """Masks that sum to one and windows that sum to one: the estimates sum to the mixture."""
    separator = Separator(build_network(mhu_recipe).eval(), mhu_recipe)
    wave, starts = noise(n), []

    def targets(start):
        starts.append(start)
        return [Target(name) for name in INSTRUMENTS]

    blocks = [block.numpy() for block in wave.split(50000)]
    estimates = torch.cat(list(separator.stream(blocks, targets, 2, overlap)), 1)
    hop = SEGMENT - round(overlap * SEGMENT)
    regular = list(range(0, max(1, n - SEGMENT + hop), hop))
    assert starts == [*regular[:-1], max(0, min(regular[-1], n - SEGMENT))]
    assert torch.allclose(estimates.sum(0), wave, atol=1e-3)
    first = separator.separate(wave[None, :SEGMENT], [targets(0)])[0]
    alone = hop if n > SEGMENT else n
    assert torch.allclose(estimates[:, :alone], first[:, :alone], atol=1e-5)


def test_the_cross_fade_is_linear():
    tail, estimate = torch.zeros(1, 6), torch.ones(1, 6)
    joined = torch.cat(list(join([tail, estimate], 4)), 1)
    assert joined.tolist() == [[0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]]


def test_an_overlap_of_more_than_half_is_refused(separator):
    with pytest.raises(ValueError, match=r"overlap: 0\.6, expected 0 to 0\.5"):
        separator.stream([], lambda _: [], 1, 0.6)


@torch.inference_mode()
def test_binary_masks_are_decided_at_a_half(sop_recipe, tmp_path):
    network = build_network(sop_recipe)
    save_network(tmp_path, network, {"network": "sop", "recipe": sop_recipe.model_dump()})
    mix = noise(SEGMENT)[None]
    soft, binary = (load_separator(tmp_path, masks) for masks in ("soft", "binary"))
    masks = soft.predict_masks(log_warp(stft(mix).abs())[None], TARGETS[:1])[0]
    expected = apply_masks(stft(mix)[0], masks, SEGMENT, decide=True)
    found = binary.separate(mix, TARGETS[:1])[0]
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, soft.separate(mix, TARGETS[:1])[0], atol=1e-3)


def test_targets_of_a_recording_have_the_pictures_around_a_segments_middle(
    training_set, sop_recipe, mhu_recipe
):
    """The red of a picture is its number: three, five apart, around 2.97 s and 5.94 s later."""
    archives = [training_set[1] / f"{name}-0.zip" for name in ("Cello", "Flute", "Tuba")]
    sources = [("Violin", archives[:2]), ("Horn", archives[2:])]
    recipe = sop_recipe.model_copy(update={"frames": 3, "frame_stride": 5})
    for start, middle in ((0, 24), (SEGMENT, 71)):
        violin, horn = picture_targets(sources, start, recipe)
        assert (violin.instrument, len(violin.players), len(horn.players)) == ("Violin", 2, 1)
        for pictures in [*violin.players, *horn.players]:
            assert pictures.shape == (3, 3, 32, 32)
            red = (pictures[0].mean((1, 2)) * 0.229 + 0.485) * 255
            expected = torch.tensor([middle - 5.0, middle, middle + 5.0])
            assert torch.allclose(red, expected, atol=3)
    without = picture_targets(sources, 0, mhu_recipe)
    assert [(t.instrument, list(t.players)) for t in without] == [("Violin", []), ("Horn", [])]

from dataclasses import replace

import numpy as np
import pytest
import torch

from solos import HOP_LENGTH, SAMPLE_RATE
from solos.errors import UserError
from solos.models.inputs import evaluation_frames, frame_indices, training_frames
from solos.training.mixes import MhuMixes, SopMixes, mix_sources
from solos.training.store import Crop, SpectrogramStore


@pytest.fixture(scope="module")
def store(training_set) -> SpectrogramStore:
    return SpectrogramStore(*training_set, "train")


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


def test_a_crop_is_a_slice_of_the_file_times_its_gain(store):
    recording = store.recordings[0]
    part = store.read(Crop(recording, 120, 0.5))
    stored = np.load(store.spectrograms / f"{recording.id}.npy")[120:376].astype(np.float32)
    assert part.shape == (256, 512, 2)
    assert np.array_equal(part.numpy(), 0.5 * stored)


def test_crops_stay_inside_spans(store):
    rng = np.random.default_rng(0)
    starts = {store.place(store.recordings[0], rng)[0] for _ in range(2000)}
    assert starts == set(range(100, 145)) | set(range(420, 435))


def test_the_peak_is_that_of_the_crop(store):
    peaks = np.linspace(0.2, 0.9, 700, dtype=np.float32)
    assert store.peak(store.recordings[0], 120) == peaks[375]


def test_a_silent_recording_is_named(store, tmp_path):
    np.save(tmp_path / "x.peak.npy", np.zeros(700, np.float32))
    silent = SpectrogramStore.__new__(SpectrogramStore)
    silent.spectrograms = tmp_path
    with pytest.raises(UserError, match=r"x\.npy.*silent"):
        silent.place(replace(store.recordings[0], id="x"), np.random.default_rng(0))


def test_an_empty_split_is_an_error(training_set):
    with pytest.raises(UserError, match=r"0 usable recording\(s\) in the test split"):
        SpectrogramStore(*training_set, "test")


def test_frames_are_those_of_the_middle(store):
    crop = Crop(store.recordings[0], 100, 1.0)
    middle = round((100 + 128) * HOP_LENGTH / SAMPLE_RATE * 8)  # 42
    pictures = store.frames(crop, 3, 24)
    assert pictures.shape == (3, 3, 40, 48)
    reds = pictures[:, 0].float().mean(dim=(1, 2))
    assert torch.allclose(reds, torch.tensor([middle - 24.0, middle, middle + 24.0]), atol=3)


def test_frame_indices_are_centred_and_not_negative():
    assert frame_indices(10.0, 3, 24) == [56, 80, 104]
    assert frame_indices(10.0, 1, 24) == [80]
    assert frame_indices(1.0, 3, 24) == [0, 8, 32]


def test_frame_transforms():
    picture = torch.zeros(2, 3, 40, 80, dtype=torch.uint8)
    picture[..., 40:] = 255
    centre = evaluation_frames(picture, 32)
    assert centre.shape == (3, 2, 32, 32)
    assert centre[0, 0, 0, 0].item() == pytest.approx(-0.485 / 0.229, rel=1e-4)
    assert centre[2, 0, 0, -1].item() == pytest.approx((1 - 0.406) / 0.225, rel=1e-4)
    crops = [training_frames(picture, 32, np.random.default_rng(i)) for i in range(20)]
    left, right = zip(*[(c[0, 0, 0, 0].item(), c[0, 0, 0, -1].item()) for c in crops], strict=True)
    assert all(torch.equal(c[:, 0], c[:, 1]) for c in crops)  # one crop for all pictures
    assert any(a > b for a, b in zip(left, right, strict=True))  # a flipped one


def test_mixtures_are_sums_clamped_to_511():
    sources = torch.zeros(2, 4, 512, 2)
    sources[0, ..., 0], sources[1, ..., 1] = 30, 40
    mix_mag, mags = mix_sources(sources)
    assert mix_mag.shape == (1, 256, 4) and mags.shape == (2, 256, 4)
    assert torch.allclose(mix_mag, torch.tensor(50.0))
    assert torch.allclose(mags[0], torch.tensor(30.0))
    assert torch.allclose(mags[1], torch.tensor(40.0))
    assert torch.allclose(mix_sources(sources * 20)[0], torch.tensor(511.0))
    assert torch.allclose(mix_sources(sources * 20)[1][0], torch.tensor(600.0))


def test_sop_items(store, sop_recipe):
    mixes = SopMixes(store, sop_recipe, seed=0, epoch=1)
    assert len(mixes) == 6  # one for each recording
    item = mixes[0]
    assert item["mix_mag"].shape == (1, 256, 256)
    assert torch.equal(item["masks"].sum(0), torch.ones(256, 256))
    assert item["frames"].shape == (2, 3, 1, 32, 32)
    assert sorted(mixes.order) == list(range(6))


def test_sop_sources_are_two_different_recordings_with_gains(store, sop_recipe):
    mixes = SopMixes(store, sop_recipe, seed=0, epoch=1)
    draws = [mixes._draw(np.random.default_rng(i), i % 6) for i in range(200)]
    assert all(a.recording != b.recording for a, b in draws)
    gains = [crop.gain for pair in draws for crop in pair]
    assert 0.5 <= min(gains) < 0.6 and 1.4 < max(gains) <= 1.5
    fixed = SopMixes(store, sop_recipe, seed=0, epoch=None)
    assert all(crop.gain == 1 for crop in fixed._draw(np.random.default_rng(0), 0))


def test_mhu_items(store, mhu_recipe):
    mixes = MhuMixes(store, mhu_recipe, seed=0, epoch=1, max_src=3)
    assert len(mixes) == 6
    item = mixes[0]
    assert item["mix_mag"].shape == (1, 256, 256)
    assert item["masks"].shape == (13, 256, 256)
    assert torch.allclose(item["masks"].sum(0), torch.ones(256, 256))


def test_mhu_sources_are_different_instruments_at_full_scale(store, mhu_recipe):
    mixes = MhuMixes(store, mhu_recipe, seed=0, epoch=1, max_src=3)
    draws = [mixes._draw(np.random.default_rng(i)) for i in range(200)]
    for crops in draws:
        assert len({crop.recording.instrument for crop in crops}) == len(crops)
        for crop in crops:
            assert crop.gain * store.peak(crop.recording, crop.start) == pytest.approx(1)
    counts = np.bincount([len(crops) for crops in draws])
    assert counts[2] > 60 and counts[3] > 60 and counts.sum() == counts[2] + counts[3]


def test_the_mask_of_an_instrument_is_in_its_band(store, mhu_recipe):
    """Cello's fake energy lies at the lowest bins, so its head is the one with the mask there."""
    two = mhu_recipe.curriculum.model_copy(update={"start": 3, "stop": 3})
    recipe = mhu_recipe.model_copy(update={"curriculum": two})
    masks = MhuMixes(store, recipe, seed=0, epoch=1, max_src=3)[0]["masks"]
    strongest = masks[[1, 4, 10]].mean(dim=2).argmax(dim=1)  # Cello, Flute, Tuba
    assert strongest[0] < strongest[1] < strongest[2]


def test_too_few_instruments_is_an_error(store, mhu_recipe):
    with pytest.raises(UserError, match="recordings of 3 instruments, mixes of 4 wanted"):
        MhuMixes(store, mhu_recipe, seed=0, epoch=1, max_src=4)


@pytest.mark.parametrize("epoch", [None, 3])
def test_items_depend_on_seed_epoch_and_index_alone(store, sop_recipe, mhu_recipe, epoch):
    for make in (
        lambda seed, e: SopMixes(store, sop_recipe, seed, e),
        lambda seed, e: MhuMixes(store, mhu_recipe, seed, e, 3),
    ):
        first, again = make(5, epoch), make(5, epoch)
        again[2]  # reading order is of no matter
        assert same(first[1], again[1])
        assert not same(first[1], make(6, epoch)[1])
        assert not same(first[1], make(5, 4)[1])


def test_workers_change_nothing(store, mhu_recipe):
    mixes = MhuMixes(store, mhu_recipe, seed=0, epoch=1, max_src=3)
    alone, shared = (
        list(torch.utils.data.DataLoader(mixes, 2, num_workers=workers)) for workers in (0, 2)
    )
    assert len(alone) == 3
    assert all(same(a, b) for a, b in zip(alone, shared, strict=True))

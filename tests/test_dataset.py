import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional

from solos import HOP_LENGTH, SAMPLE_RATE, SEGMENT
from solos.errors import UserError
from solos.models.inputs import evaluation_frames, frame_indices, training_frames
from solos.preparation.spectrograms import store as store_spectrogram
from solos.signal.fourier import stft
from solos.signal.masks import half_masks
from solos.training import mixes
from solos.training.mixes import MhuMixes, SopMixes, mix_sources
from solos.training.store import Crop, SpectrogramStore, Stored


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


def test_the_range_is_that_of_the_crop(store):
    start, (low, high) = store.place(store.recordings[0], np.random.default_rng(0))
    wave = store.wave(store.recordings[0], start)
    assert len(wave) == SEGMENT and (low, high) == (wave.min(), wave.max())
    loudest = np.linspace(0.2, 0.6, 700, dtype=np.float32)
    assert high == pytest.approx(loudest[start + 255])  # its last hop's, but not the next one's


def alone(store, folder, wave) -> tuple[SpectrogramStore, Stored]:
    """A store of one recording."""
    soundfile.write(folder / "x.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    if len(wave) >= SEGMENT:
        store_spectrogram(folder / "x.wav", folder)
        (folder / "spec.npy").rename(folder / "x.npy")
    single = SpectrogramStore.__new__(SpectrogramStore)
    single.spectrograms = single.extracted = folder
    return single, Stored("x", "Cello", ((0, 1 + len(wave) // HOP_LENGTH),))


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_a_constant_recording_is_named(store, tmp_path, level):
    single, recording = alone(store, tmp_path, np.full(2 * SEGMENT, level, np.float32))
    with pytest.raises(UserError, match=r"x\.wav.*silent"):
        single.place(recording, np.random.default_rng(0))


def test_a_constant_crop_is_drawn_again(store, tmp_path):
    wave = np.full(3 * SEGMENT, 0.25, np.float32)
    wave[-SEGMENT:] += 0.1 * np.sin(np.arange(SEGMENT)).astype(np.float32)
    single, recording = alone(store, tmp_path, wave)
    starts = [single.place(recording, np.random.default_rng(i))[0] for i in range(10)]
    assert all(HOP_LENGTH * start + SEGMENT > 2 * SEGMENT for start in starts)


def test_a_recording_without_its_sound_is_named(store, tmp_path):
    single, recording = alone(store, tmp_path, np.zeros(2 * SEGMENT, np.float32))
    (tmp_path / "x.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match=r"x\.wav can't be read .*extract"):
        single.wave(recording, 0)
    alone(store, tmp_path, np.zeros(1000, np.float32))
    with pytest.raises(UserError, match=r"x\.wav is shorter than its spectrogram"):
        single.wave(recording, 0)


def test_scaling_by_minimum_and_maximum_is_a_gain_and_an_offset(store, tmp_path):
    """The stored STFT, scaled, is the STFT of the scaled samples: bins 0 and 1 hold the offset."""
    rng = np.random.default_rng(1)
    wave = (0.2 + 0.1 * rng.uniform(-1, 1, 3 * SEGMENT)).astype(np.float32)
    single, recording = alone(store, tmp_path, wave)
    excerpt = wave[100 * HOP_LENGTH :][:SEGMENT]
    low, high = excerpt.min(), excerpt.max()
    gain, offset = 2 / (high - low), -(high + low) / (high - low)
    found = single.read(Crop(recording, 100, float(gain), float(offset)))
    scaled = (wave - low) / (high - low) * 2 - 1
    assert scaled[100 * HOP_LENGTH :][:SEGMENT].min() == pytest.approx(-1)
    assert scaled[100 * HOP_LENGTH :][:SEGMENT].max() == pytest.approx(1)
    whole = torch.view_as_real(stft(torch.from_numpy(scaled)).T)[100:356]
    assert (found - whole).abs().max() < 1.0  # half precision of 102 = 0.2 · 511, ten times
    assert (found - whole)[:, 2:].abs().max() < 0.3
    assert offset < -1.5 and whole[:, 0, 0].abs().max() < 40  # without the offset: over 900


def test_samples_beyond_one_are_clipped(store, tmp_path):
    wave = 0.8 * np.sin(0.05 * np.arange(2 * SEGMENT)).astype(np.float32)
    single, recording = alone(store, tmp_path, wave)
    found = single.read(Crop(recording, 10, 1.5, clip=True))
    clipped = (1.5 * wave[10 * HOP_LENGTH :][:SEGMENT]).clip(-1, 1)
    expected = torch.view_as_real(stft(torch.from_numpy(clipped)).T)
    assert found.shape == (256, 512, 2) and torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, single.read(Crop(recording, 10, 1.5)), atol=1)


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


def test_pictures_are_resized_bicubically():
    picture = torch.randint(0, 256, (1, 3, 48, 48), dtype=torch.uint8)
    small, linear = (
        functional.interpolate(picture / 255, 32, mode=mode, antialias=True)
        for mode in ("bicubic", "bilinear")
    )
    found = evaluation_frames(picture, 32)[:, 0]
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    found = found * std + mean
    assert (found - small[0].clamp(0, 1)).abs().mean() < 1 / 255
    assert (found - linear[0]).abs().mean() > 4 / 255


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


def test_sop_sources_are_drawn_with_replacement_and_have_gains(store, sop_recipe):
    mixes = SopMixes(store, sop_recipe, seed=0, epoch=1)
    draws = [mixes._draw(np.random.default_rng(i), i % 6) for i in range(300)]
    assert 20 < sum(a.recording == b.recording for a, b in draws) < 80  # a sixth
    crops = [crop for pair in draws for crop in pair]
    gains = [crop.gain for crop in crops]
    assert 0.5 <= min(gains) < 0.6 and 1.4 < max(gains) <= 1.5
    assert not any(crop.clip for crop in crops)  # the loudest sample is 0.6
    loud = SopMixes(store, sop_recipe.model_copy(update={"gain": [2.0, 2.0]}), seed=0, epoch=1)
    assert any(crop.clip for i in range(20) for crop in loud._draw(np.random.default_rng(i), 0))
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
        for crop in crops[:1]:
            wave = store.wave(crop.recording, crop.start) * crop.gain + crop.offset
            assert (wave.min(), wave.max()) == pytest.approx((-1, 1), abs=1e-5)
    counts = np.bincount([len(crops) for crops in draws])
    assert counts[2] > 60 and counts[3] > 60 and counts.sum() == counts[2] + counts[3]


def test_mhu_targets_by_hand(store, mhu_recipe, monkeypatch):
    """Magnitudes of 3 and 1, beside 11 absent instruments' floor; all quiet: a thirteenth each."""
    mixes = MhuMixes(store, mhu_recipe, seed=0, epoch=1, max_src=2)

    def read(crop):
        spec = torch.zeros(256, 512, 2)
        spec[:128, :, 0] = {"Cello": 3.0, "Flute": 1.0, "Tuba": 1.0}[crop.recording.instrument]
        return spec

    monkeypatch.setattr(store, "read", read)
    index = next(i for i in range(6) if (mixes[i]["masks"][1, 0, 0] > 0.5).item())
    item, floor = mixes[index], 1e-4
    loud, quiet = item["masks"][:, 0, 0], item["masks"][:, 0, 200]
    assert item["mix_mag"][0, 0, 0].item() == pytest.approx(2)  # their mean
    assert loud[1].item() == pytest.approx((3 + floor) / (4 + 13 * floor))
    assert loud[0].item() == pytest.approx(floor / (4 + 13 * floor))
    assert torch.allclose(quiet, torch.full((13,), 1 / 13))


def test_sop_targets_follow_the_recipes_rule(store, sop_recipe, monkeypatch):
    half = sop_recipe.model_copy(update={"targets": "half"})
    given = []

    def spy(mags, mix_mag):
        given.append((mags, mix_mag))
        return half_masks(mags, mix_mag)

    monkeypatch.setattr(mixes, "half_masks", spy)
    found = SopMixes(store, half, seed=0, epoch=1)[0]
    [(mags, mix_mag)] = given
    assert torch.equal(mix_mag, found["mix_mag"])
    assert torch.equal(found["masks"], (mags > 0.5 * mix_mag).float())
    other = SopMixes(store, sop_recipe, seed=0, epoch=1)[0]["masks"]
    assert not torch.equal(found["masks"], other)
    assert torch.equal(other.sum(0), torch.ones(256, 256))


def test_the_mask_of_an_instrument_is_in_its_band(store, mhu_recipe):
    """Cello's fake energy lies at the lowest bins, so its head is the one with the mask there."""
    mixes = MhuMixes(store, mhu_recipe, seed=0, epoch=1, max_src=3)
    items = [mixes[k]["masks"] for k in range(8)]
    masks = next(m for m in items if m[[1, 4, 10]].amax(dim=(1, 2)).min() > 0.5)  # of all three
    strongest = masks[[1, 4, 10]].mean(dim=2).argmax(dim=1)  # Cello, Flute, Tuba
    assert strongest[0] < strongest[1] < strongest[2]


def test_too_few_instruments_is_an_error(store, mhu_recipe):
    with pytest.raises(UserError, match="recordings of 3 instruments, mixes of 4 wanted"):
        MhuMixes(store, mhu_recipe, seed=0, epoch=1, max_src=4)


@pytest.mark.parametrize("epoch", [None, 3])
def test_items_depend_on_seed_epoch_and_index_alone(store, sop_recipe, mhu_recipe, epoch):
    fixed = epoch is None
    for make in (
        lambda seed, e: SopMixes(store, sop_recipe, seed, e),
        lambda seed, e: MhuMixes(store, mhu_recipe, seed, e or 0, 3, validation=fixed),
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

"""The network that is told which instruments may play: its mixes, loss, masks, and its weights."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torchaudio.functional import resample

from solos import INSTRUMENTS, SAMPLE_RATE, SEGMENT
from solos.commands.separate import OWN
from solos.config.data import Play
from solos.config.exported import read_description
from solos.config.recipes import InformedRecipe, Mixing
from solos.evaluation.metrics import bss_eval
from solos.models.inputs import may_play, scaled_log_input
from solos.models.weights import build_network, save_network
from solos.notes.ensembles import plan_ensembles
from solos.separation.separator import Separator, load_separator
from solos.separation.targets import Target
from solos.separation.variants import ways_of
from solos.signal.fourier import stft
from solos.signal.masks import ratio_masks
from solos.signal.warp import log_warp
from solos.synthesis.instruments import BY_NAME
from solos.synthesis.performance import perform, random_style
from solos.synthesis.scores import Voice
from solos.synthesis.sound import RATE, render
from solos.training.loop import make_schedule, train
from solos.training.mixes import TRAIN, VAL
from solos.training.samples import SampleMixes
from solos.training.state import Checkpoint
from solos.training.store import SpectrogramStore
from solos.training.tasks import InformedTask, MhuTask, distortion, make_task

PITCHES = {"Cello": 200, "Flute": 1200, "Tuba": 60}
CLICK = 90_000  # sample at which all of an ensemble play a click


@pytest.fixture(scope="module")
def recipe(informed_recipe) -> InformedRecipe:
    plain = {"untold": 0.0, "together": 0.0, "doubled": 0.0, "level": 0.0, "colour": 0.0}
    return informed_recipe.model_copy(update=plain)


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> tuple[Path, Path]:
    """Soloists, each at a pitch of its own, and in each split an ensemble of a cello and a tuba."""
    root = tmp_path_factory.mktemp("played")
    lines = ["id,instrument,split,ensemble,status,reason,n_stft_frames,spans"]
    time = np.arange(4 * SEGMENT) / SAMPLE_RATE
    for split in ("train", "val"):
        for name, pitch in PITCHES.items():
            wave = 0.3 * np.sin(2 * np.pi * pitch * time)
            for ensemble in ("", split) if name != "Flute" else ("",):
                identity = f"{split}-{name}-{ensemble or 'alone'}"
                if ensemble:
                    wave = 0.01 * wave
                    wave[CLICK] = 0.9
                soundfile.write(root / f"{identity}.wav", wave, SAMPLE_RATE, subtype="FLOAT")
                spans = '"[[95,1000]]"' if ensemble else '"[[0,1024]]"'
                lines.append(f"{identity},{name},{split},{ensemble},ok,,1024,{spans}")
    (root / "recordings.csv").write_text("\n".join([*lines, ""]))
    return root, root


def mixes_of(played, recipe, epoch: int | None = 1, **changes) -> SampleMixes:
    store = SpectrogramStore(*played, "val" if epoch is None else "train")
    recipe = recipe.model_copy(update=changes)
    stream = (VAL, 0) if epoch is None else (TRAIN, epoch)
    return SampleMixes(store, recipe, recipe.n_src, recipe.train_mixes, (0, *stream), recipe.untold)


def test_items_are_sources_at_full_scale_and_their_names(played, recipe):
    mixes = mixes_of(played, recipe)
    counts = set()
    for item in (mixes[k] for k in range(20)):
        there = item["waves"].abs().amax(dim=-1) > 0
        n_src = int(there.sum())
        counts.add(n_src)
        assert item["waves"].shape == (3, SEGMENT) and torch.all(there[:n_src])
        peaks = item["waves"][:n_src].abs().amax(dim=-1) * n_src
        assert torch.allclose(peaks, torch.ones(n_src), atol=1e-3)
        names = {INSTRUMENTS[place] for place in item["places"][:n_src]}
        assert len(names) == n_src and names <= set(PITCHES)
        assert torch.equal(item["told"], may_play(names))
        assert torch.all(item["colour"] == 1)
    assert counts == {2, 3}
    assert torch.equal(mixes[3]["waves"], mixes_of(played, recipe)[3]["waves"])
    assert not torch.equal(mixes[3]["waves"], mixes_of(played, recipe, epoch=2)[3]["waves"])


def test_what_varies_varies(played, recipe):
    every = [mixes_of(played, recipe, untold=0.5)[k]["told"].sum().item() for k in range(30)]
    assert 5 < every.count(13) < 25
    loud = [mixes_of(played, recipe, level=6.0)[k]["waves"].abs().amax(dim=-1) for k in range(60)]
    decibels = torch.stack([20 * torch.log10(peaks[0] / peaks[1]) for peaks in loud])
    assert decibels.std() == pytest.approx(6 * 2**0.5, rel=0.25)
    colour = [mixes_of(played, recipe, colour=3.0)[k]["colour"][0] for k in range(60)]
    decibels = 20 * torch.log10(torch.stack(colour))
    assert decibels[:, 256].std() == pytest.approx(3, rel=0.25)  # a point; bins between are calmer
    twice = [mixes_of(played, recipe, doubled=0.9)[k]["waves"].abs().max() for k in range(10)]
    assert max(twice) > 0.55  # two of full scale add up


def test_an_ensemble_is_heard_where_it_played_together(played, recipe, monkeypatch):
    mixes = mixes_of(played, recipe, together=1.0)
    monkeypatch.setattr(mixes, "_apart", lambda n_src, rng: {})
    heard = [mixes._together(2, np.random.default_rng(k)) for k in range(40)]
    silent = sum(not parts for parts in heard)  # but for the click they only make noise
    assert 0 < silent < 40
    for parts in filter(None, heard):
        assert set(parts) == {"Cello", "Tuba"}
        first, second = (crops[0] for crops in parts.values())
        assert first.recording.ensemble == second.recording.ensemble == "train"
        assert first.start == second.start and 0 <= CLICK - 256 * first.start < SEGMENT


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_ensembles(played, recipe, monkeypatch, share):
    mixes, asked = mixes_of(played, recipe, together=share), []
    for name in ("_together", "_apart"):
        monkeypatch.setattr(mixes, name, lambda n, rng, name=name: asked.append(name) or {})
    for k in range(5):
        with pytest.warns(RuntimeWarning):  # the mean of no sources
            mixes[k]
    assert asked == ["_together" if share else "_apart"] * 5


def test_an_ensemble_gives_no_more_instruments_than_asked_for(played, recipe):
    mixes = mixes_of(played, recipe)
    one = mixes.ensembles[0][0]
    heard = []
    for names in (("Oboe", "Horn", "Horn"), ("Oboe", "Horn", "Tuba"), ("Oboe",)):
        mixes.ensembles = [[replace(one, instrument=name) for name in names]]
        heard.append([mixes._together(2, np.random.default_rng(k)) for k in range(30)])
    both = [parts for parts in heard[0] if set(parts) == {"Oboe", "Horn"}]
    assert both and {len(parts["Horn"]) for parts in both} == {2}  # both players of one instrument
    assert all(len(parts) == 2 for parts in heard[1])
    assert all(len(parts) == 2 for parts in heard[2])  # of any recordings: nobody plays with it


def test_an_ensembles_parts_may_differ_in_length(played, recipe):
    mixes = mixes_of(played, recipe)
    cello, tuba = mixes.ensembles[0]
    mixes.ensembles = [[replace(cello, spans=((95, 400),)), tuba]]
    starts = set()
    for k in range(30):
        for crops in mixes._together(2, np.random.default_rng(k)).values():
            starts |= {crop.start for crop in crops if crop.recording in (tuba, cello)}
    assert starts and max(starts) <= 1000


def test_distortion_is_the_negative_sdr_up_to_a_bound():
    sources = torch.randn(4, 512, 20, dtype=torch.complex64)
    assert distortion(sources, sources) == pytest.approx(-30, abs=1e-4)
    assert distortion(0 * sources, sources) == pytest.approx(0, abs=0.01)
    off = sources + 0.1 * torch.roll(sources, 1, dims=1)
    assert distortion(off, sources) == pytest.approx(-20 + 10 * np.log10(1.1), abs=1e-3)


class Ideal(nn.Module):
    """The ratio masks of a batch, which it is given beforehand; keeps what it is asked with."""

    def __init__(self, batch: dict):
        super().__init__()
        mags = log_warp(stft(batch["waves"]).abs())
        self.masks = torch.zeros(len(mags), 13, 256, 256)
        for k, (places, parts) in enumerate(zip(batch["places"], mags, strict=True)):
            there = parts.amax(dim=(1, 2)) > 0
            self.masks[k, places[there]] = ratio_masks(parts[there])

    def forward(self, x, told):
        self.given = x, told
        return self.masks


class Shares(nn.Module):
    """Equal shares for those told."""

    def forward(self, x, told):
        return (told / told.sum(dim=1, keepdim=True))[..., None, None].expand(-1, -1, 256, 256)


def test_the_loss_of_ideal_masks_and_of_equal_shares(played, recipe):
    store = SpectrogramStore(*played, "train")
    task = InformedTask(recipe, 0, store, store)
    items = [task.train_mixes(1, 3)[k] for k in range(5)]  # of two and of three
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    ideal = Ideal(batch)
    assert task.loss(ideal, batch) < -15  # tones far apart
    mixtures = log_warp(stft(batch["waves"].sum(dim=1)).abs())[:, None]
    assert (ideal.given[0] - scaled_log_input(mixtures)).abs().mean() < 0.01
    assert torch.equal(ideal.given[1], batch["told"]) and batch["told"].sum() < 20
    equal = task.loss(Shares(), batch)
    assert -3 < equal < 1
    apart = [float(task.loss(Shares(), {k: v[[n]] for k, v in batch.items()})) for n in range(5)]
    assert equal == pytest.approx(sum(apart) / 5, abs=1e-4) and max(apart) - min(apart) > 0.1
    louder = batch | {"colour": batch["colour"].clone()}
    louder["colour"][:, 0] = 3  # the first source: easier, and the others harder
    assert abs(task.loss(Shares(), louder) - equal) > 0.5


class Whole(nn.Module):
    """Says of each instrument that all is its own; keeps what it is given."""

    def forward(self, x):
        self.given = x
        return torch.ones(len(x), 13, 256, 256)


def test_the_multi_head_u_net_learns_from_such_mixes_too(played, recipe, mhu_recipe):
    """Its curriculum says how many play, its loss is the same, and it is told nothing."""
    changes = {"mixing": Mixing(**{name: 0.0 for name in Mixing.model_fields}), "val_mixes": 6}
    store = SpectrogramStore(*played, "train")
    task = MhuTask(mhu_recipe.model_copy(update=changes), 0, store, store)
    two, three = task.train_mixes(1, 2), task.train_mixes(1, 3)
    assert [len(mixes[0]["places"]) for mixes in (two, three)] == [2, 3]
    assert isinstance(two, SampleMixes) and len(two) == mhu_recipe.train_mixes
    counts = {int((three[k]["waves"].abs().amax(dim=-1) > 0).sum()) for k in range(12)}
    assert counts == {2, 3}
    first, later = task.val_mixes(1, 2), task.val_mixes(2, 3)
    assert len(first) == 6 and torch.equal(first[3]["waves"], later[3]["waves"])
    assert not torch.equal(first[0]["waves"], three[0]["waves"])
    items = [three[k] for k in range(4)]
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    network, told = Whole(), InformedTask(recipe, 0, store, store)
    loss = task.loss(network, batch)
    assert network.given.shape == (4, 1, 256, 256)
    assert loss == told.loss(lambda x, _: network(x), batch)
    sources = stft(batch["waves"])
    there = batch["waves"].abs().amax(dim=-1) > 0
    every = distortion(sources.sum(dim=1, keepdim=True).expand_as(sources), sources)
    mean = torch.stack([e[t].mean() for e, t in zip(every, there, strict=True)]).mean()
    assert loss == pytest.approx(float(mean), abs=0.05)  # but for what the warp loses


def test_validation_hears_the_same_mixes_throughout_and_others_than_training(played, recipe):
    store = SpectrogramStore(*played, "train")
    task = InformedTask(recipe.model_copy(update={"val_mixes": 5}), 0, store, store)
    first, later = task.val_mixes(1, 3), task.val_mixes(7, 3)
    assert len(first) == 5 and len(task.train_mixes(1, 3)) == recipe.train_mixes
    assert all(torch.equal(first[k]["waves"], later[k]["waves"]) for k in range(5))
    trained = task.train_mixes(1, 3)
    assert not all(torch.equal(first[k]["waves"], trained[k]["waves"]) for k in range(5))
    assert task.max_src == 3


def test_a_cosine_ends_with_the_run_not_with_the_recipe(recipe):
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, rates = make_schedule(recipe, optimizer, 4), []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1, 0.8536, 0.5, 0.1464], abs=1e-4)


def test_masks_are_shared_by_those_told(recipe):
    network = build_network(recipe, "informed").eval()
    told = torch.stack([may_play(["Cello", "Tuba"]), may_play([])])
    masks = network(torch.randn(2, 1, 256, 64), told)
    assert masks.shape == (2, 13, 256, 64)
    assert torch.allclose(masks.sum(dim=1), torch.ones(2, 256, 64), atol=1e-5)
    silent = [k for k, name in enumerate(INSTRUMENTS) if name not in ("Cello", "Tuba")]
    assert torch.all(masks[0, silent] == 0) and torch.all(masks[1] > 0)


def test_a_separator_tells_its_network_or_not(recipe, params):
    separator = Separator(build_network(recipe, "informed").eval(), recipe)
    mixes = torch.randn(2, SEGMENT) * 0.1
    sources = [[Target("Cello"), Target("Tuba")], [Target("Tuba"), Target("Flute"), Target("Horn")]]
    told = separator.separate(mixes, sources)
    assert [len(estimates) for estimates in told] == [2, 3]
    for mix, estimates in zip(mixes, told, strict=True):
        assert torch.allclose(estimates.sum(dim=0), mix, atol=1e-4)  # all of it is theirs
    untold = ways_of(separator, params.evaluate)["instruments: untold"].separator
    for mix, estimates in zip(mixes, untold.separate(mixes, sources), strict=True):
        assert estimates.sum(dim=0).std() < 0.5 * mix.std()  # 13 share it


def test_two_trainings_are_the_same_bytes(played, recipe, tmp_path):
    varied = recipe.model_copy(update={"together": 0.5, "doubled": 0.5, "colour": 3.0})
    for name in "ab":
        torch.manual_seed(0)
        network = build_network(varied, "informed")
        task = make_task(varied, 0, *played)
        records = []
        checkpoint = Checkpoint(tmp_path / name / "last.pth")
        checkpoint.path.parent.mkdir()
        best = train(task, network, 2, checkpoint, records.append, lambda batches, _: batches)
        assert best["val_loss"] < records[0]["val_loss"]
        assert [record["lr"] for record in records[1:]] == pytest.approx([2e-3, 1e-3])  # cosine
        save_network(tmp_path / name, network, {"recipe": varied.model_dump()})
    files = [tmp_path / name / "informed_best.pth" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_ensembles_are_parts_of_one_score():
    def work(offset: float) -> list[Voice]:
        beats = np.arange(300.0)
        line = np.column_stack([beats, np.ones(300), beats % 7 + offset])
        return [Voice("w", 0, 100, line + np.array([0, 0, low])) for low in (38, 50, 62, 74)]

    settings = Play(recordings=2, seconds=20.0, ensembles=10)
    plans = plan_ensembles({"train": [work(0)], "val": [work(0.5)]}, settings, 0.2, seed=0)
    ensembles: dict[str, list] = {}
    for plan in plans:
        ensembles.setdefault(plan.recording.ensemble, []).append(plan)
    assert len(ensembles) == 10 and len({plan.recording.id for plan in plans}) == len(plans)
    splits = [parts[0].recording.split for parts in ensembles.values()]
    assert splits == ["train"] * 8 + ["val"] * 2
    for parts in ensembles.values():
        assert len({plan.player for plan in parts}) > 1
        assert len({plan.seconds for plan in parts}) == len({p.seed[:-1] for p in parts}) == 1
        assert len({plan.seed for plan in parts}) == len(parts)
        onsets = [set(plan.lines[0][:, 0]) for plan in parts]
        assert all(onset == onsets[0] for onset in onsets)  # this score is in one rhythm
        for plan in parts:
            half = plan.lines[0][:, 2] % 1
            assert np.all(half == (0.5 if plan.recording.split == "val" else 0))
            low, high = BY_NAME[plan.player].low, BY_NAME[plan.player].high
            assert np.all((plan.lines[0][:, 2] >= low) & (plan.lines[0][:, 2] <= high))


def soloist(player: str, pitches: list[float]) -> torch.Tensor:
    """A segment of the soundfont's instrument at 11,025 Hz, which no training heard."""
    rng = np.random.default_rng(1)
    line = np.column_stack([np.arange(len(pitches)) * 0.6, np.full(len(pitches), 0.6), pitches])
    performance = perform(BY_NAME[player], [line], random_style(rng, tuning=0.0), 7.0, rng)
    wave = torch.from_numpy(np.asarray(render(performance), np.float32)).reshape(-1, 1).mean(dim=1)
    wave = resample(wave, RATE, SAMPLE_RATE)[:SEGMENT]
    return 0.3 * wave / wave.abs().max()


def test_the_weights_are_those_of_their_card():
    card = (OWN / "CARD.md").read_text(encoding="utf-8")
    path = OWN / "informed_best.pth"
    assert path.stat().st_size < 6_000_000
    assert f"{path.stat().st_size:,} bytes" in card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    separator = load_separator(OWN, device="cpu")
    count = sum(parameter.numel() for parameter in separator.network.parameters())
    assert f"{count:,} parameters" in card
    recipe = separator.recipe
    assert ", ".join(map(str, recipe.channels)) in card
    assert f"{recipe.epochs} epochs of {recipe.train_mixes:,} mixes" in card
    assert (recipe.batch_size, recipe.lr) == (32, 2e-3) and "batch 32, Adam at 2e-3" in card
    about, _ = read_description(OWN)
    assert f"epoch {about['epoch']}, −{-about['val_loss']:.3f}" in card
    assert "not to be sold or passed on as samples" in card


def test_the_weights_separate_music_that_they_never_heard():
    parts = [soloist("Violin", [76, 79, 81, 83, 79, 76, 74, 72, 71, 74])]
    parts.append(soloist("Tuba", [38, 41, 43, 36, 38, 41, 36, 34, 38, 41]))
    references = torch.stack(parts)
    mix = references.sum(dim=0, keepdim=True)
    (estimates,) = load_separator(OWN, device="cpu").separate(
        mix, [[Target("Violin"), Target("Tuba")]]
    )
    waves = references.numpy()
    found = bss_eval(references=waves, estimates=estimates.numpy()).sdr
    before = bss_eval(references=waves, estimates=mix.expand(2, -1).numpy()).sdr
    assert np.all(found > before + 5), (found, before)

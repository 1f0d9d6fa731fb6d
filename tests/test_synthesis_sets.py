"""Layout, names and content of the miniature data sets."""

import re
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from pipeline import synthesize
from solos import INSTRUMENTS
from solos.config.data import Synthesize, SynthesizeSolos, SynthesizeUrmp
from solos.config.params import Parallel
from solos.datasets.index import read_index
from solos.datasets.urmp import CODES
from solos.errors import UserError
from solos.storage.files import file_hash
from solos.synthesis import ensembles, recordings
from solos.synthesis.instruments import BY_NAME
from solos.synthesis.scores import read_work
from solos.synthesis.works import ENSEMBLES, TRAINING

SMALL = SynthesizeSolos(recordings=1, seconds=10.0, height=64)
PIECES = SynthesizeUrmp(pieces=4, seconds=7.0, height=64)
CHORALES = tuple(work for work in TRAINING if work.path.startswith("bach/"))[:3]


@pytest.fixture(scope="module")
def voices():
    return [read_work(work) for work in CHORALES]


@pytest.fixture(scope="module")
def rendered(voices, tmp_path_factory):
    """One solo recording, rendered into two folders."""
    plan = recordings.plan_set("solos", voices, range(1), 10.0, seed=0)[INSTRUMENTS.index("Violin")]
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    for folder in folders:
        recordings.render_plan(plan, folder, height=64)
    return plan, [folder / "videos" / f"{plan.recording.id}.mp4" for folder in folders]


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    """Corelli's trio, rendered into two folders."""
    scores = [read_work(ensemble.work) for ensemble in ensembles.chosen(PIECES)]
    plan = ensembles.plan_set(scores, PIECES, seed=0)[3]
    roots = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    for root in roots:
        ensembles.render_plan(plan, root)
    return plan, roots


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(blocks, axis=1)


def test_a_training_set_is_planned_as_described(voices):
    plans = recordings.plan_set("solos", voices, range(5), 32.0, seed=0)
    rows = [plan.recording for plan in plans]
    assert [row.instrument for row in rows] == [name for name in INSTRUMENTS for _ in range(5)]
    assert len({row.id for row in rows}) == 65
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{11}", row.id) for row in rows)
    assert any(row.id.startswith("-") for row in rows)
    assert {len(row.spans) for row in rows} == {1, 2}
    for plan in plans:
        _check_plan(plan)


def _check_plan(plan: recordings.Plan):
    notes, instrument = np.concatenate(plan.lines), BY_NAME[plan.player]
    assert instrument.low <= notes[:, 2].min() <= notes[:, 2].max() <= instrument.high
    lengths = [(end - start) / 25 for start, end in plan.recording.spans]
    assert sum(lengths) >= 32
    assert min(lengths) >= 8
    assert 25 <= plan.recording.spans[0][0] <= 75  # the lead-in
    assert 25 <= round(plan.seconds * 25) - plan.recording.spans[-1][1] <= 75  # the tail
    begin, end = notes[:, 0], notes[:, :2].sum(axis=1)
    inside = [(begin >= a / 25 - 1e-6) & (end <= b / 25 + 1e-6) for a, b in plan.recording.spans]
    assert np.any(inside, axis=0).all()


def test_another_seed_gives_other_recordings(voices):
    ids = [
        {plan.recording.id for plan in recordings.plan_set("solos", voices, range(1), 10.0, seed)}
        for seed in (0, 1)
    ]
    assert not ids[0] & ids[1]


def test_music_has_its_own_names(voices):
    plans = recordings.plan_set("music", voices, range(1), 10.0, seed=0)
    assert len(plans) == 11
    assert {plan.recording.instrument for plan in plans} > {"erhu", "acoustic_guitar", "xylophone"}


def test_a_recording_is_what_youtube_would_give(rendered):
    plan, (path, _) = rendered
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
        assert video.average_rate == 25
        assert (video.width, video.height) == (86, 64)
        assert video.frames == round(plan.seconds * 25)
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", 44100, 2)
        assert container.duration / av.time_base == pytest.approx(plan.seconds, abs=0.05)


def test_music_sounds_inside_the_spans_only(rendered):
    plan, (path, _) = rendered
    power = (_decode(path) ** 2).mean(axis=0)
    frames = np.array([part.mean() for part in np.array_split(power, round(plan.seconds * 25))])
    playing = np.zeros(len(frames), dtype=bool)
    for start, end in plan.recording.spans:
        playing[start:end] = True
    before = frames[: plan.recording.spans[0][0] - 1]
    assert 10 * np.log10(frames[playing].mean() / before.mean()) > 30
    assert 10 * np.log10(frames[playing].mean() / frames[~playing].mean()) > 12  # the room rings


def test_recordings_are_the_same_to_the_byte(rendered):
    one, two = rendered[1]
    assert file_hash(one) == file_hash(two)


def test_a_piece_has_urmps_names(trio):
    plan, (root, _) = trio
    assert _names(root) == ["04_Grave_vn_vn_vc"]
    assert _names(root / plan.folder) == [
        "AuMix_04_Grave_vn_vn_vc.wav",
        "AuSep_1_vn_04_Grave.wav",
        "AuSep_2_vn_04_Grave.wav",
        "AuSep_3_vc_04_Grave.wav",
        "Vid_04_Grave_vn_vn_vc.mp4",
    ]


def test_the_mix_is_the_sum_of_the_parts_to_the_bit(trio):
    plan, (root, _) = trio
    paths = sorted((root / plan.folder).glob("AuSep_*.wav"))
    waves = [soundfile.read(path, dtype="int32")[0].astype(np.int64) for path in paths]
    mix, _ = soundfile.read(root / plan.folder / f"AuMix_{plan.folder}.wav", dtype="int32")
    np.testing.assert_array_equal(sum(waves), mix)
    assert 0.5 * 2**31 < abs(mix).max() < 2**31 - 1
    for path in paths:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (48000, 1, "PCM_24")
        assert info.frames == round(plan.seconds * 48000)


def test_players_stand_side_by_side(trio):
    plan, (root, _) = trio
    with av.open(str(root / plan.folder / f"Vid_{plan.folder}.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert picture.shape == (64, 3 * 86, 3)
        assert container.streams.video[0].average_rate == 25
    first, second, third = np.split(picture.astype(int), 3, axis=1)
    assert abs(first - third).mean() > 5
    assert abs(first - second).mean() > 2


def test_pieces_are_the_same_to_the_byte(trio):
    plan, roots = trio
    hashes = [[file_hash(p) for p in sorted((r / plan.folder).iterdir())] for r in roots]
    assert hashes[0] == hashes[1]


def test_every_part_plays_in_its_range_most_of_the_time(trio):
    plan, _ = trio
    for code, line in zip(plan.ensemble.codes, plan.lines, strict=True):
        instrument = BY_NAME[CODES[code]]
        assert instrument.low <= line[:, 2].min() <= line[:, 2].max() <= instrument.high
        assert line[:, 1].sum() > 0.6 * plan.seconds


def test_more_pieces_than_scores_is_a_users_mistake():
    settings = SynthesizeUrmp(pieces=len(ENSEMBLES) + 1, seconds=7.0, height=64)
    with pytest.raises(UserError, match="pieces"):
        ensembles.chosen(settings)


def test_the_stage_writes_the_set_without_halves_and_renders_none_again(
    params, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(synthesize, "TRAINING", CHORALES)
    monkeypatch.setattr(recordings, "SETS", {"solos": {"Flute": "Flute"}})

    def killed(plan, folder, height):
        (folder / "videos").mkdir()
        (folder / "videos" / ".half-rendered.mp4").write_bytes(b"")
        raise KeyboardInterrupt

    def never(plan, folder, height):
        raise AssertionError("rendered again")

    parallel = Parallel(backend="threading", jobs=1)
    changed = {"synthesize": Synthesize(solos=SMALL), "parallel": parallel}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(recordings, "render_plan", killed)
        synthesize.main(params.model_copy(update=changed), "solos")
    synthesize.main(params.model_copy(update=changed), "solos")
    (row,) = read_index(tmp_path / "data/synthetic/solos/index.csv")
    target = tmp_path / "data/synthetic/solos"
    assert row.instrument == "Flute"
    assert row.url == (target / "videos" / f"{row.id}.mp4").as_uri()
    assert _names(target / "videos") == [f"{row.id}.mp4"]
    (work,) = (tmp_path / ".work/synthesize/solos").glob("[!.]*")
    assert sorted(path.name for path in work.rglob("*") if path.is_file()) == [
        *(f"{row.id}.mp4", "result.json"),
    ]
    assert not any((tmp_path / ".work/synthesize/solos").glob(".half-*"))
    monkeypatch.setattr(recordings, "render_plan", never)
    synthesize.main(params.model_copy(update=changed), "solos")
    assert _names(target / "videos") == [f"{row.id}.mp4"]


def test_a_set_without_parameters_is_a_users_mistake(params):
    without = params.model_copy(update={"synthesize": Synthesize()})
    with pytest.raises(UserError, match=r"synthesize\.music"):
        synthesize.main(without, "music")

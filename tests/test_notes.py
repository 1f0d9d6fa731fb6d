"""Recorded notes: names, archives, the bank, the player, the division, and the stages' messages."""

import io
import os
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline import notes as stage
from pipeline import play as play_stage
from solos import INSTRUMENTS
from solos.config.data import Play
from solos.datasets.index import read_index
from solos.errors import UserError
from solos.notes.bank import Bank, Note, build, short_of
from solos.notes.names import INSTRUMENTS as THEIRS
from solos.notes.names import NotPlayedError, parse
from solos.notes.player import choose, lengthen, play
from solos.notes.soloists import divide_works, plan_soloists, render_soloist
from solos.notes.sources import archives, sort_files, unpack
from solos.storage.tables import read_table
from solos.synthesis.instruments import BY_NAME
from solos.synthesis.performance import Performance
from solos.synthesis.scores import Voice
from solos.synthesis.sound import RATE
from solos.synthesis.works import TRAINING

SOUND_RATE = 22050
SCALE = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")


def tone(pitch: int, seconds: float, rate: int = SOUND_RATE) -> np.ndarray:
    """A note of five partials with an attack of 40 ms."""
    times = np.arange(round(seconds * rate)) / rate
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    wave = sum(np.sin(2 * np.pi * k * frequency * times) / k for k in range(1, 6))
    return 0.2 * wave * np.clip(times / 0.04, 0, 1) * np.clip((seconds - times) / 0.05, 0, 1)


def name_of(player: str, pitch: int, dynamic: str = "forte", end: str = "mp3") -> str:
    return f"{player}_{SCALE[pitch % 12]}{pitch // 12 - 1}_1_{dynamic}_normal.{end}"


def write_notes(folder: Path, player: str, count: int = 12, end: str = "wav") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for pitch in range(50, 50 + count):
        silence = np.zeros(SOUND_RATE // 2)
        wave = np.concatenate([silence, tone(pitch, 0.8), silence])
        path = folder / name_of(player, pitch, end=end)
        soundfile.write(path, wave, SOUND_RATE)
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("double-bass_Fs1_025_forte_arco-normal.mp3", ("DoubleBass", 30, 100)),
        ("french-horn_A4_long_pianissimo_normal.wav", ("Horn", 69, 45)),
        ("violin_C4_15_mezzo-piano_arco-normal.MP3", ("Violin", 60, 73)),
    ],
)
def test_names(name, found):
    note = parse(name)
    assert (note.instrument, note.pitch, note.velocity) == found


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("01 - Allegro.mp3", "not named"),
        ("violin_H4_1_forte_normal.mp3", "not named"),
        ("banjo_A4_1_forte_normal.mp3", "none of the 13"),
        ("violin_A4_1_forte_arco-col-legno-battuto.mp3", "articulation"),
        ("violin_A4_1_cresc-decresc_normal.mp3", "dynamic"),
        ("violin_A4_phrase_forte_arco-normal.mp3", "phrase"),
    ],
)
def test_other_names_are_not_played_from(name, reason):
    with pytest.raises(NotPlayedError, match=reason):
        parse(name)


def test_folders_in_any_order(tmp_path):
    write_notes(tmp_path / "Violin", "violin", 3)
    write_notes(tmp_path / "french horn", "french-horn", 2)
    write_notes(tmp_path / "again" / "violin", "violin", 1)
    (tmp_path / "README.txt").write_text("not a note")
    (tmp_path / "Violin" / "._violin_A4_1_forte_normal.mp3").write_bytes(b"a Mac's")
    (tmp_path / "elsewhere").symlink_to(write_notes(tmp_path.parent / "far", "tuba", 2)[0].parent)
    (tmp_path / "round").symlink_to(tmp_path)
    files, others = sort_files([tmp_path])
    assert {name: len(found) for name, found in files.items() if found} == {
        "Horn": 2,
        "Tuba": 2,
        "Violin": 3,
    }
    assert set(files) == set(INSTRUMENTS)
    assert [line["reason"] for line in others] == ["there twice"]


def test_a_take_in_two_formats_is_one_note(tmp_path):
    for end in ("mp3", "wav", "flac"):
        write_notes(tmp_path / end, "violin", 4, end)
    files, others = sort_files([tmp_path])
    assert len(files["Violin"]) == 4
    assert [line["reason"] for line in others] == ["there twice"] * 8


def test_a_name_that_is_not_utf8_is_a_line(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.mp3")).write_bytes(b"")
    _, [line] = sort_files([tmp_path])
    assert line["file"] == r"caf\udce9.mp3"
    line["file"].encode()


def archive_of(members: dict[str, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    buffer.seek(0)
    return buffer


def test_the_archive_of_archives(tmp_path):
    [path] = write_notes(tmp_path / "made", "violin", 1)
    inner = archive_of({f"violin/{path.name}": path.read_bytes(), "violin/._x.mp3": b""})
    others = {"./": b"", "all-samples/readme.txt": b"hello", "__MACOSX/all-samples/._v.zip": b"Mac"}
    whole = archive_of({"all-samples/violin.zip": inner.read(), **others})
    assert unpack(whole, "all-samples.zip", tmp_path / "out") == 1
    files, others = sort_files([tmp_path / "out"])
    assert [found.read_bytes() for found in files["Violin"]] == [path.read_bytes()]
    assert not others


def link_member() -> io.BytesIO:
    member = zipfile.ZipInfo("violin/violin_A4_1_forte_normal.mp3")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    buffer.seek(0)
    return buffer


BOMB = bytes(65 << 20)


def damaged() -> io.BytesIO:
    """An archive whole in form, with other bytes in its middle."""
    content = bytearray(
        archive_of({"x.mp3": np.random.default_rng(0).bytes(999) + bytes(999)}).read()
    )
    content[200:260] = bytes(60)
    return io.BytesIO(content)


@pytest.mark.parametrize(
    ("archive", "problem"),
    [
        (lambda: archive_of({"../violin_A4_1_forte_normal.mp3": b"x"}), "points outside"),
        (lambda: archive_of({"/tmp/violin_A4_1_forte_normal.mp3": b"x"}), "points outside"),
        (lambda: archive_of({"a\\..\\..\\violin_A4_1_forte_normal.mp3": b"x"}), "points outside"),
        (lambda: archive_of({"v.zip": archive_of({"../x.mp3": b"x"}).read()}), "points outside"),
        (link_member, "is a link or a device"),
        (lambda: archive_of({"a/x.mp3": b"x", "b/x.mp3": b"y"}), "there twice"),
        (lambda: archive_of({"violin_A4_1_forte_normal.mp3": BOMB}), "65 MiB"),
        (lambda: io.BytesIO(archive_of({"x.mp3": bytes(range(256)) * 99}).read()[:-60]), "cut off"),
        (lambda: io.BytesIO(b"<html>404</html>"), "no zip archive"),
        (damaged, "cut off"),
        (lambda: archive_of({"violin.zip": damaged().read()}), "cut off"),
    ],
)
def test_archives_that_are_refused(tmp_path, archive, problem):
    with pytest.raises(UserError, match=problem) as error:
        unpack(archive(), "notes.zip", tmp_path / "out")
    assert "notes.zip" in str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] in ([], ["out"])


def test_an_archive_in_a_folder_is_found(tmp_path):
    (tmp_path / "violin.zip").write_bytes(archive_of({"x.mp3": b""}).read())
    assert archives(tmp_path) == [tmp_path / "violin.zip"]
    assert archives(tmp_path / "violin.zip") == [tmp_path / "violin.zip"]


@pytest.mark.parametrize("end", ["wav", "mp3", "flac"])
def test_the_bank_trims_and_measures(tmp_path, end):
    paths = write_notes(tmp_path, "violin", 10, end)
    assert build(paths, "Violin", tmp_path, 0.2) == {"usable": 10, "lowest": 50, "highest": 59}
    lines = read_table(tmp_path / "Violin.csv", "notes")
    assert [line["split"] for line in lines].count("val") == 2
    bank = Bank(tmp_path, "Violin", "train")
    assert len(bank.notes) == 8
    for note in bank.notes:
        assert note.samples / SOUND_RATE == pytest.approx(0.8, abs=0.08)  # of 1.8
        assert note.attack / SOUND_RATE < 0.08
        assert note.attack < note.sustain <= note.samples
        wave = bank.wave(note)
        assert np.abs(wave).max() == pytest.approx(1, abs=0.1)
        spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 18))
        frequency = np.argmax(spectrum) * SOUND_RATE / (1 << 18)
        assert 12 * np.log2(frequency / 440) + 69 == pytest.approx(note.pitch, abs=0.1)


def test_bad_files_are_lines(tmp_path):
    [good] = write_notes(tmp_path, "violin", 1)
    bad = {
        "undecodable": (51, b"ID3\x04 this is no sound at all" * 9),
        "silent": (52, np.zeros(SOUND_RATE)),
        "too_short": (53, np.r_[np.zeros(9000), tone(53, 0.03), np.zeros(9000)]),
        "too_long": (54, np.ones(61 * SOUND_RATE)),
        "too_short ": (55, np.r_[np.zeros(9000), 1.0, np.zeros(9000)]),  # a click
    }
    paths = [good]
    for pitch, content in bad.values():
        paths.append(tmp_path / name_of("violin", pitch, end="wav"))
        if isinstance(content, bytes):
            paths[-1].write_bytes(content)
        else:
            soundfile.write(paths[-1], content, SOUND_RATE)
    assert build(paths, "Violin", tmp_path, 0.2)["usable"] == 1
    lines = read_table(tmp_path / "Violin.csv", "notes")
    assert [line["status"] for line in lines] == ["ok", *(name.strip() for name in bad)]
    assert all(line["reason"] for line in lines[1:])


def test_a_range_without_notes_is_said():
    violin = BY_NAME["Violin"]
    assert short_of(violin, {"lowest": "55", "highest": "84"}) == ""
    assert "55 to 88, recorded are 70 to 88" in short_of(violin, {"lowest": 70, "highest": 88})


def a_note(pitch: int, sustain: int = 15000, velocity: int = 90) -> Note:
    return Note(pitch, velocity, SOUND_RATE, 0, sustain + 2000, 800, sustain, 0.3)


def test_choice_is_near_and_never_the_last():
    notes = [a_note(pitch) for pitch in (50, 51, 60)]
    rng = np.random.default_rng(0)
    assert {choose(notes, 50, 90, 0.3, None, rng).pitch for _ in range(50)} == {50}
    assert {choose(notes, 50, 90, 0.3, notes[0], rng).pitch for _ in range(50)} == {51}
    assert choose(notes[:1], 50, 90, 0.3, notes[0], rng) == notes[0]
    short, long = a_note(50, 4000), a_note(50, 60000)
    assert choose([short, long], 50, 90, 2.0, None, rng) == long


def test_a_lengthened_note_goes_on_evenly():
    """At its level, without a jump, and differently each time."""
    note = a_note(57, sustain=12000)
    wave = tone(57, 14000 / SOUND_RATE).astype(np.float32)
    longer = lengthen(wave, note, 100_000, np.random.default_rng(0))
    assert len(longer) >= 100_000
    np.testing.assert_array_equal(longer[:9000], wave[:9000])
    level = np.sqrt((longer[2000:100_000].reshape(-1, 500) ** 2).mean(axis=1))
    assert level.min() > 0.6 * level.max()
    assert np.abs(np.diff(longer)).max() < 1.5 * np.abs(np.diff(wave)).max()
    other = lengthen(wave, note, 100_000, np.random.default_rng(1))
    assert not np.array_equal(longer[:90_000], other[:90_000])


@pytest.mark.parametrize("seconds", [0.25, 0.4, 0.8])
@pytest.mark.parametrize("shift", [-7, 0, 7])
def test_a_long_note_lasts_and_is_let_go(tmp_path, shift, seconds):
    """Whatever it is made of: no dip, no stop in its release, at a pitch of its own."""
    folder = tmp_path / "notes"
    folder.mkdir()
    path = folder / name_of("violin", 60, end="wav")
    soundfile.write(path, tone(60, seconds), SOUND_RATE)
    build([path, path], "Violin", tmp_path, 0.5)
    bank = Bank(tmp_path, "Violin", "train")
    wave = play(bank, performance_of([(0.2, 3.0, 60 + shift, 90)], 4.0), np.random.default_rng(0))
    level = np.sqrt(
        (wave[round(0.4 * RATE) : round(3.15 * RATE)].reshape(-1, 1320) ** 2).mean(axis=1)
    )
    assert level.min() > 0.6 * level.max()
    assert np.abs(np.diff(wave)).max() < 1.6 * np.abs(np.diff(wave[: 2 * RATE])).max()
    assert not wave[round(3.3 * RATE) :].any()


def test_slow_attacks_are_not_lost_in_short_notes(tmp_path):
    path = tmp_path / name_of("violin", 60, end="wav")
    slow = tone(60, 1.5) * np.clip(np.arange(round(1.5 * SOUND_RATE)) / (0.4 * SOUND_RATE), 0, 1)
    soundfile.write(path, slow, SOUND_RATE)
    build([path, path], "Violin", tmp_path, 0.5)
    bank = Bank(tmp_path, "Violin", "train")
    short = play(bank, performance_of([(0.2, 0.12, 60, 90)], 1.0), np.random.default_rng(0))
    long = play(bank, performance_of([(0.2, 0.8, 60, 90)], 2.0), np.random.default_rng(0))
    assert np.abs(short).max() > 0.6 * np.abs(long).max()


def performance_of(notes: list[tuple], seconds: float, cents: float = 0.0) -> Performance:
    return Performance(
        40, np.array(notes, float), np.full(round(50 * seconds), cents), None, seconds
    )


def pitch_at(wave: np.ndarray, start: float, stop: float) -> float:
    part = wave[round(start * RATE) : round(stop * RATE)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 19))
    return 12 * np.log2(np.argmax(spectrum) * RATE / (1 << 19) / 440) + 69


def test_a_line_is_played_at_its_pitches_and_times(tmp_path):
    build(write_notes(tmp_path, "violin", 12), "Violin", tmp_path, 0.2)
    bank = Bank(tmp_path, "Violin", "train")
    line = [(0.5, 0.5, 52, 90), (1.0, 1.5, 58, 90), (3.0, 0.3, 55, 50)]
    wave = play(bank, performance_of(line, 4.0, cents=30), np.random.default_rng(0))
    assert wave.shape == (4 * RATE,)
    assert wave.dtype == np.float32
    for onset, duration, pitch, _ in line:
        assert pitch_at(wave, onset + 0.05, onset + duration) == pytest.approx(
            pitch + 0.3, abs=0.08
        )
    assert not wave[: round(0.49 * RATE)].any()
    assert not wave[round(2.6 * RATE) : round(2.99 * RATE)].any()
    rms = [
        np.sqrt((wave[round(a * RATE) : round(b * RATE)] ** 2).mean())
        for a, b in ((1.2, 2.4), (3.08, 3.25))
    ]
    assert 20 * np.log10(rms[0] / rms[1]) == pytest.approx(40 * np.log10(90 / 50), abs=3)


def test_training_and_validation_share_no_note_and_no_score(tmp_path):
    build(write_notes(tmp_path, "violin", 23), "Violin", tmp_path, 0.2)
    banks = {split: Bank(tmp_path, "Violin", split) for split in ("train", "val")}
    places = {split: {note.first for note in bank.notes} for split, bank in banks.items()}
    assert not places["train"] & places["val"]
    assert len(places["train"] | places["val"]) == 23
    works = divide_works(TRAINING, 0.2)
    paths = {split: {work.path for work in chosen} for split, chosen in works.items()}
    assert not paths["train"] & paths["val"]
    assert len(paths["train"]) + len(paths["val"]) == len(TRAINING)
    assert len(paths["val"]) >= 8


def test_soloists_play_the_scores_of_their_split():
    """A score in train is of whole, one in val of half semitones, so it shows who plays which."""

    def work(offset: float) -> list[Voice]:
        beats = np.arange(120.0)
        line = np.column_stack([beats, np.ones(120), beats % 7 + offset])
        return [Voice("w", 0, 100, line + np.array([0, 0, low])) for low in (38, 50, 62, 74)]

    voices = {"train": [work(0)], "val": [work(0.5)]}
    plans = plan_soloists(voices, Play(recordings=5, seconds=12.0, ensembles=0), 0.2, seed=0)
    assert len(plans) == 5 * 13
    for plan in plans:
        halves = plan.lines[0][:, 2] % 1
        assert np.all(halves == (0.5 if plan.recording.split == "val" else 0))
        assert plan.recording.split == ("val" if plan.number == 4 else "train")
        assert plan.recording.url == f"audio/{plan.recording.id}.flac"
    assert len({plan.recording.id for plan in plans}) == len(plans)
    assert len({plan.seed for plan in plans}) == len(plans)


@pytest.fixture
def notes_params(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    serial = params.parallel.model_copy(update={"backend": "threading", "jobs": 1})

    def with_path(path: Path):
        notes = params.notes.model_copy(update={"path": str(path)})
        return params.model_copy(update={"notes": notes, "parallel": serial})

    return with_path


def write_all(folder: Path, players=tuple(THEIRS)) -> None:
    for player in players:
        write_notes(folder / player, player)


def test_the_stage_reads_notes_and_counts_the_rest(tmp_path, notes_params):
    write_all(tmp_path / "notes")
    (tmp_path / "notes" / name_of("violin", 70)).write_bytes(b"not an mp3")
    (tmp_path / "notes" / "solo.wav").write_bytes(b"")
    stage.main(notes_params(tmp_path / "notes"))
    lines = {line["instrument"]: line for line in read_table(stage.OUTPUT / "status.csv", "notes")}
    assert set(lines) == set(INSTRUMENTS)
    assert (lines["Violin"]["files"], lines["Violin"]["usable"]) == ("13", "12")
    assert (lines["Tuba"]["files"], lines["Tuba"]["usable"]) == ("12", "12")
    others = read_table(stage.OUTPUT / "others.csv", "notes")
    assert [line["file"] for line in others] == ["solo.wav"]


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (lambda folder: folder.mkdir(), "Bassoon, Cello"),
        (lambda folder: write_all(folder, ["violin", "tuba"]), "Bassoon(?!.*Tuba,)"),
        (lambda folder: write_all(folder / "x", ["banjo"]), "Bassoon"),
    ],
)
def test_a_missing_instrument_is_one_clear_message(tmp_path, notes_params, write, problem):
    write(tmp_path / "notes")
    with pytest.raises(UserError, match=problem) as error:
        stage.main(notes_params(tmp_path / "notes"))
    message = str(error.value)
    assert "\n" not in message
    assert "philharmonia" in message
    assert "not to be sold" in message


def test_a_cut_off_archive_is_one_message(tmp_path, notes_params):
    path = tmp_path / "all-samples.zip"
    path.write_bytes(archive_of({"violin.zip": bytes(1000)}).read()[:200])
    with pytest.raises(UserError, match=r"all-samples\.zip: no zip archive, or cut off"):
        stage.main(notes_params(path))


def test_a_run_of_play_that_was_killed_goes_on_to_the_same_bytes(
    tmp_path, notes_params, monkeypatch
):
    """Killed in the middle of a recording, with some done: those are not played again."""
    write_all(tmp_path / "notes")
    settings = Play(recordings=2, seconds=10.0, ensembles=3)
    params = notes_params(tmp_path / "notes").model_copy(update={"play": {"solos": settings}})
    stage.main(params)
    monkeypatch.setattr(play_stage, "TRAINING", TRAINING[::6])
    played = []

    def dying(plan, folder, notes):
        played.append(plan.recording.id)
        render_soloist(plan, folder, notes)
        if len(played) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(play_stage, "render_soloist", dying)
    with pytest.raises(KeyboardInterrupt):
        play_stage.main(params, "solos")
    assert not (tmp_path / "data/played/solos/index.csv").exists()
    play_stage.main(params, "solos")
    first, again = played[:7], played[7:]
    assert not set(first[:6]) & set(again) and first[6] in again
    found = contents(tmp_path / "data/played")
    names = {recording.id for recording in read_index(tmp_path / "data/played/solos/index.csv")}
    assert {Path(name).stem for name in found if name.endswith(".flac")} == names
    assert len(names) == len(played) - 1 > 2 * 13 + 5
    for folder in ("data/played", ".work/play"):
        shutil.rmtree(tmp_path / folder)
    monkeypatch.setattr(play_stage, "render_soloist", render_soloist)
    play_stage.main(params, "solos")
    assert contents(tmp_path / "data/played") == found


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}

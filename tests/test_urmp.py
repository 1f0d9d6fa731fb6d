from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_media import ffmpeg

from pipeline import urmp as stage
from solos import INSTRUMENTS
from solos.config.data import Extract, Urmp
from solos.config.params import Parallel
from solos.datasets.urmp import CODES, read_pieces
from solos.errors import UserError
from solos.media.errors import MediaError
from solos.media.sound import read_audio
from solos.preparation import pieces as preparation
from solos.preparation.pieces import prepare_audio
from solos.storage.files import file_hash
from solos.storage.pictures import read_frames
from solos.storage.tables import read_table

RATE = 48000
SECONDS = 7
SETTINGS = Extract(short_side=32, jpeg_quality=2)


def tone(hertz: float, seconds: float = SECONDS, rate: int = RATE) -> np.ndarray:
    return 0.2 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def write_piece(root: Path, name: str, codes: dict | None = None, subtype: str = "PCM_24") -> Path:
    """A piece: part k plays 200 k Hz. ``codes`` gives the parts whose files name another one."""
    folder = root / name
    folder.mkdir(parents=True)
    number, title, *players = name.split("_")
    waves = [tone(200 * k) for k in range(1, len(players) + 1)]
    for k, wave in enumerate(waves, 1):
        code = (codes or {}).get(k, players[k - 1])
        file = folder / f"AuSep_{k}_{code}_{number}_{title}.wav"
        soundfile.write(file, wave, RATE, subtype=subtype)
    soundfile.write(folder / f"AuMix_{name}.wav", sum(waves), RATE, subtype=subtype)
    return folder


def write_video(folder: Path, n: int, seconds: float = SECONDS) -> None:
    """Players side by side as plain grey areas, brighter to the right, and each 64 x 64 pixels."""
    areas = [f"color=0x{40 * k:02x}{40 * k:02x}{40 * k:02x}:s=64x64:r=10" for k in range(1, n + 1)]
    labels = "".join(f"[{k}]" for k in range(n))
    parts = ";".join(f"{area}:d={seconds}[{k}]" for k, area in enumerate(areas))
    ffmpeg("-f", "lavfi", "-i", f"{parts};{labels}hstack={n}", folder / f"Vid_{folder.name}.mp4")


def test_the_codes_are_the_thirteen_instruments():
    assert sorted(CODES.values()) == list(INSTRUMENTS)


def test_pieces_by_name_with_parts_from_the_folder(tmp_path):
    write_piece(tmp_path, "15_Surprise_tpt_tpt_tbn", codes={3: "tpt"})  # the corpus's own slip
    write_piece(tmp_path, "01_Jupiter_vn_vc")
    (tmp_path / "Supplementary_Files").mkdir()
    (tmp_path / "README.txt").touch()
    first, second = read_pieces(tmp_path)
    assert (first.name, second.name) == ("01_Jupiter_vn_vc", "15_Surprise_tpt_tpt_tbn")
    players = [(part.index, part.instrument) for part in second.parts]
    assert players == [(1, "Trumpet"), (2, "Trumpet"), (3, "Trombone")]
    assert second.parts[2].path.name == "AuSep_3_tpt_15_Surprise.wav"
    assert first.mix.name == "AuMix_01_Jupiter_vn_vc.wav"
    assert (first.video, first.problem) == (None, "")


def test_broken_pieces_say_why(tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc_va")
    (folder / "AuSep_2_vc_01_Jupiter.wav").unlink()
    extra = write_piece(tmp_path, "02_Sonata_vn_vn")
    extra.rename(tmp_path / "02_Sonata_vn")
    (tmp_path / "03_Dance_fl_kazoo").mkdir()
    missing, extra, unknown = read_pieces(tmp_path)
    assert missing.problem == "no AuSep file of part 2 (Cello)"
    assert missing.parts[1].path is None
    assert extra.problem.startswith("1 more AuSep file")
    assert unknown.problem == "unknown instrument code(s) kazoo"


def test_no_pieces_tell_how_to_get_them(tmp_path):
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match=r"doi:10\.5061/dryad\.ng3r749.*-S urmp\.path="):
            read_pieces(root)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_audio_is_resampled_alike_from_16_and_24_bits(subtype, tmp_path):
    write_piece(tmp_path, "01_Jupiter_vn_vc", subtype=subtype)
    (piece,) = read_pieces(tmp_path)
    length, note = prepare_audio(piece, tmp_path)
    assert (length, note) == (SECONDS * 11025, "")
    waves = [soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("mix", "1", "2")]
    inner = slice(200, -200)  # the filter rings where the tones begin and end
    expected = [tone(hertz, rate=11025) for hertz in (200, 400)]
    for wave, reference in zip(waves, [sum(expected), *expected], strict=True):
        np.testing.assert_allclose(wave[inner], reference[inner], atol=2e-4)
    info = soundfile.info(tmp_path / "mix.wav")
    assert (info.samplerate, info.channels, info.subtype) == (11025, 1, "FLOAT")


def test_what_is_above_half_the_rate_is_gone_and_what_is_below_stays(tmp_path):
    for hertz, gain in ((1000, 1.0), (5000, 1.0), (6000, 0.0), (9000, 0.0)):
        soundfile.write(tmp_path / "a.wav", tone(hertz), RATE, subtype="PCM_24")
        level = np.abs(read_audio(tmp_path / "a.wav")[2000:-2000]).max() / 0.2
        assert level == pytest.approx(gain, abs=0.01)


def test_a_mixture_that_is_missing_or_differs_is_noted(tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc")
    mix = folder / "AuMix_01_Jupiter_vn_vc.wav"
    soundfile.write(mix, tone(200) + tone(400) + 0.05, RATE, subtype="PCM_24")
    (piece,) = read_pieces(tmp_path)
    assert "differs from the sum of the parts by up to 0.05" in prepare_audio(piece, folder)[1]
    mix.unlink()
    (piece,) = read_pieces(tmp_path)
    assert "the mixture is the sum of the parts" in prepare_audio(piece, folder)[1]
    waves = [soundfile.read(folder / f"{name}.wav", dtype="float32")[0] for name in ("mix", 1, 2)]
    np.testing.assert_array_equal(waves[0], waves[1] + waves[2])


def test_lengths_that_differ_and_silent_parts_are_noted(tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc")
    silence = np.zeros(int(6.5 * RATE))
    soundfile.write(folder / "AuSep_2_vc_01_Jupiter.wav", silence, RATE, subtype="PCM_16")
    (piece,) = read_pieces(tmp_path)
    length, note = prepare_audio(piece, folder)
    assert length == int(6.5 * 11025) + 1  # rounded up
    assert "lengths differ by 0.5 s: cut" in note and "part 2 (Cello) is silent" in note
    assert {soundfile.info(folder / f"{name}.wav").frames for name in ("mix", 1, 2)} == {length}


@pytest.fixture
def run_stage(params, tmp_path, monkeypatch):
    """Runs the stage over ``urmp`` in the test's folder; returns the tables of pieces and parts."""
    monkeypatch.chdir(tmp_path)
    one_thread = Parallel(backend="threading", jobs=1)
    settings = Urmp(path="urmp", sha256=None, crops="crops.csv", aspect="keep")
    Path("crops.csv").write_text("piece,part,x,y,width,height\n")
    update = {"parallel": one_thread, "extract": SETTINGS, "urmp": settings}

    def run():
        stage.main(params.model_copy(update=update))
        pieces, parts = (read_table(stage.OUTPUT / f"{n}.csv", "") for n in ("pieces", "parts"))
        return {row["piece"]: row for row in pieces}, parts

    return run


def test_the_stage_prepares_pieces_and_accounts_for_broken_ones(run_stage):
    root = Path("urmp")
    write_video(write_piece(root, "01_Jupiter_vn_vc_va"), n=3)
    write_piece(root, "02_Sonata_vn_vn")
    (write_piece(root, "03_Dance_fl_cl") / "AuSep_1_fl_03_Dance.wav").unlink()
    (write_piece(root, "04_Waltz_ob_bn") / "AuSep_2_bn_04_Waltz.wav").write_text("no wav")
    (write_piece(root, "05_March_tpt_hn") / "Vid_05_March_tpt_hn.mp4").write_text("no film")
    pieces, parts = run_stage()
    assert {name[:2]: (row["status"], row["video"]) for name, row in pieces.items()} == {
        **{"01": ("ok", "yes"), "02": ("ok", "no"), "03": ("broken", "no")},
        **{"04": ("unreadable", "no"), "05": ("ok", "no")},
    }
    jupiter = pieces["01_Jupiter_vn_vc_va"]
    assert (jupiter["n_parts"], jupiter["n_samples"], jupiter["n_segments"]) == ("3", "77175", "1")
    assert pieces["02_Sonata_vn_vn"]["reason"] == "no Vid file"
    assert "part 1 (Flute)" in pieces["03_Dance_fl_cl"]["reason"]
    assert "AuSep_2_bn_04_Waltz.wav" in pieces["04_Waltz_ob_bn"]["reason"]
    assert "no pictures" in pieces["05_March_tpt_hn"]["reason"]
    assert [row["piece"][:2] for row in parts] == ["01"] * 3 + ["02"] * 2 + ["05"] * 2
    assert parts[2] == {
        **{"piece": "01_Jupiter_vn_vc_va", "part": "3", "instrument": "Viola"},
        **{"wav": "01_Jupiter_vn_vc_va/3.wav", "frames": "01_Jupiter_vn_vc_va/3.zip"},
    }
    assert parts[3]["frames"] == ""
    for k in (1, 2, 3):
        frames = read_frames(stage.OUTPUT / f"01_Jupiter_vn_vc_va/{k}.zip", [0, 55])
        assert frames.shape == (2, 32, 32, 3)
        assert frames.mean() == pytest.approx(40 * k, abs=3)


def test_the_stage_repeats_nothing_and_gives_equal_bytes(run_stage, monkeypatch):
    write_video(write_piece(Path("urmp"), "01_Jupiter_vn_vc"), n=2)
    files = [stage.OUTPUT / f"01_Jupiter_vn_vc/{name}" for name in ("mix.wav", "1.wav", "2.zip")]
    first, _ = run_stage()
    hashes = [file_hash(file) for file in files]
    (folder,) = Path(".work/urmp").glob("01_Jupiter_vn_vc.*")
    folder.rename(Path(".work") / "kept")
    run_stage()
    assert [file_hash(file) for file in files] == hashes
    monkeypatch.setattr(preparation, "prepare_audio", None)  # would fail if it were called
    assert run_stage()[0] == first


def test_a_short_video_is_noted_and_nothing_usable_is_an_error(run_stage):
    folder = write_piece(Path("urmp"), "01_Jupiter_vn_vc")
    write_video(folder, n=2, seconds=3)
    assert "the video ends 4.0 s before the audio" in run_stage()[0][folder.name]["reason"]
    for part in folder.glob("AuSep_*"):
        part.unlink()
    with pytest.raises(UserError, match="no usable piece"):
        run_stage()


def test_a_piece_that_is_too_short_says_which_file_is(tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc")
    path = folder / "AuSep_2_vc_01_Jupiter.wav"
    soundfile.write(path, tone(400, 0.05), RATE, subtype="PCM_24")
    (piece,) = read_pieces(tmp_path)
    with pytest.raises(MediaError) as error:
        prepare_audio(piece, tmp_path)
    assert error.value.status == "too_short"
    said = "AuSep_2_vc_01_Jupiter.wav has 552 samples (0.050 s): 1024 are needed at 11025 Hz"
    assert str(error.value) == said
    soundfile.write(path, tone(400), RATE, subtype="PCM_24")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(
        MediaError, match=r"_2_vc_.* has .*; part 2 \(Cello\) ends at 0.0 s of the 7.0"
    ):
        prepare_audio(piece, tmp_path)

"""Names, rotations, starts and changes within a file: dealt with once, for whatever opens media."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_media import SETTINGS, extract, ffmpeg
from test_urmp import write_piece

from solos import SAMPLE_RATE
from solos.commands.cli import main
from solos.config.data import Extract
from solos.datasets.index import Recording, read_index, write_index
from solos.datasets.urmp import read_pieces
from solos.media import sound
from solos.media.crops import equal_boxes
from solos.media.errors import MediaError
from solos.media.pictures import extract_crops
from solos.media.probe import check_complete, probe
from solos.media.sound import decode, read_audio
from solos.models.weights import build_network, save_network
from solos.preparation import recordings
from solos.preparation.pieces import prepare_frames
from solos.storage.pictures import read_frames

FAST = ("-c:v", "libx264", "-preset", "ultrafast")


@pytest.fixture(scope="module")
def networks(tmp_path_factory, sop_recipe, mhu_recipe) -> Path:
    """Exported networks, as ``--weights`` takes them."""
    root = tmp_path_factory.mktemp("networks")
    for name, recipe in (("sop", sop_recipe), ("mhunet", mhu_recipe)):
        about = {"network": name, "epoch": 1, "val_loss": 0.5, "recipe": recipe.model_dump()}
        save_network(root / name, build_network(recipe), about)
    return root


@pytest.fixture
def separate(networks, tmp_path):
    """Runs ``solos separate``; returns its exit code and the report."""

    def run(network: str, *arguments: object) -> tuple[int, dict]:
        out = tmp_path / "out"
        rest = ("--weights", networks / network, "--workspace", networks, "--quiet")
        code = main(["separate", *map(str, arguments), "--out", str(out), *map(str, rest)])
        report = out / "separation.json"
        return code, json.loads(report.read_text()) if report.exists() else {}

    return run


def clicks(wave: np.ndarray) -> list[float]:
    """Seconds at which bursts of 0.1 s begin."""
    loud = np.flatnonzero(np.abs(wave) > 0.3 * np.abs(wave).max()) / 11025
    return [loud[0], *loud[1:][np.diff(loud) > 0.3]]


def decoded(path: Path, folder: Path) -> np.ndarray:
    return read_audio(decode(path, folder)[0])


def burst(at: float, seconds: float, rate: int = 44100, channels: int = 1) -> str:
    """A sound for lavfi: hardly anything, but a click at a second."""
    wave = f"0.01*sin(600*t)+0.7*between(t,{at},{at + 0.1})*sin(2*PI*1500*t)"
    return f"aevalsrc='{'|'.join([wave] * channels)}':s={rate}:d={seconds}"


def joined(target: Path, *pieces: tuple) -> Path:
    """Files made by ffmpeg with other parameters each, one after another in one file."""
    with target.open("wb") as stream:
        for k, arguments in enumerate(pieces):
            piece = target.with_name(f"{k}{target.suffix}")
            ffmpeg(*arguments, piece)
            stream.write(piece.read_bytes())
    return target


PLAIN_MP3 = ("-write_xing", 0, "-id3v2_version", 0)
CHANGES = {
    "mono then stereo.mp3": ([(44100, 1), (44100, 2)], PLAIN_MP3),
    "stereo then mono.mp3": ([(44100, 2), (44100, 1)], PLAIN_MP3),
    "two rates.mp3": ([(48000, 2), (32000, 2)], PLAIN_MP3),
    "stereo then mono.aac": ([(44100, 2), (44100, 1)], ("-c:a", "aac")),
    "mono then 5.1.ts": ([(48000, 1), (48000, 6)], ("-c:a", "ac3")),
    "to and fro.mp3": ([(44100, 1), (48000, 2), (44100, 1)], PLAIN_MP3),
}


@pytest.mark.parametrize("name", CHANGES)
def test_sound_keeps_its_time_where_rate_or_channels_change(name, tmp_path):
    """Each stretch is of 3 s and clicks at 1.6 s; codecs begin each with up to 50 ms more."""
    kinds, codec = CHANGES[name]
    parts = [("-f", "lavfi", "-i", burst(1.6, 3, *kind), *codec) for kind in kinds]
    path = joined(tmp_path / name, *parts)
    wave, remark = read_audio(decode(path, tmp_path)[0]), decode(path, tmp_path)[1]
    expected = [3 * k + 1.6 for k in range(len(kinds))]
    np.testing.assert_allclose(clicks(wave), expected, atol=0.05 * len(kinds))
    assert len(wave) / 11025 == pytest.approx(3 * len(kinds), abs=0.06 * len(kinds))
    assert "changes its rate or channels at 3." in remark
    peaks = [np.abs(wave[int(t * 11025) :][:1100]).max() for t in expected]
    assert max(peaks) < 1.3 * min(peaks)  # as loud as before


def film(at: float, seconds: float, size: str, *codecs: object) -> tuple:
    """A black picture with a white flash and a click."""
    flash = f"between(t,{at - 1e-3},{at + 0.3})"
    picture = f"color=black:s={size}:r=25:d={seconds},drawbox=c=white:t=fill:enable='{flash}'"
    sound = burst(at, seconds)
    return ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *FAST, *codecs)


@pytest.mark.parametrize("sizes", [("96x64", "48x32", "96x64"), ("48x32", "192x128", "50x50")])
def test_pictures_keep_their_time_where_their_size_changes(sizes, tmp_path):
    path = joined(tmp_path / "a.ts", *(film(1.6, 3, size, "-c:a", "aac") for size in sizes))
    result, wave, brightness = extract(path, tmp_path / "out")
    assert result["n_frames"] == pytest.approx(72, abs=2)
    flashes = np.flatnonzero(np.diff((brightness > 128).astype(int)) > 0) + 1
    np.testing.assert_allclose(clicks(wave), [1.6, 4.6, 7.6], atol=0.05)
    for flash, click in zip(flashes / 8, clicks(wave), strict=True):
        assert -0.01 <= flash - click < 0.18


def test_a_gap_in_the_sound_is_silence(tmp_path):
    """Two seconds of packets are left out of a Matroska file."""
    ffmpeg("-f", "lavfi", "-i", burst(4.6, 6), "-c:a", "flac", tmp_path / "whole.mka")
    left_out = r"noise=drop=between(pts*tb\,1\,3)"
    ffmpeg("-i", tmp_path / "whole.mka", "-c", "copy", "-bsf:a", left_out, tmp_path / "gap.mka")
    wave = decoded(tmp_path / "gap.mka", tmp_path)
    np.testing.assert_allclose(clicks(wave), [4.6], atol=0.05)
    assert len(wave) / 11025 == pytest.approx(6, abs=0.05)
    assert np.abs(wave[int(1.2 * 11025) : int(2.8 * 11025)]).max() == 0


def test_a_second_part_that_counts_from_its_own_start_is_heard(tmp_path):
    """Two Matroska files in one: no seconds of theirs are jumped to, however short they are."""
    parts = [("-f", "lavfi", "-i", burst(at, 3), "-c:a", "flac") for at in (1.6, 0.6)]
    path = joined(tmp_path / "a.mka", *parts)
    wav, remark = decode(path, tmp_path)
    np.testing.assert_allclose(clicks(read_audio(wav)), [1.6, 3.6], atol=0.05)
    assert "left out" not in remark


def test_a_film_that_begins_late_is_not_truncated(tmp_path):
    """The duration that Matroska says is counted from 0, not from the first timestamp."""
    late = ("-output_ts_offset", 100, tmp_path / "a.mka")
    ffmpeg("-f", "lavfi", "-i", burst(1, 3), "-c:a", "flac", *late)
    assert check_complete(tmp_path / "a.mka").duration == pytest.approx(3, abs=0.05)
    assert decode(tmp_path / "a.mka", tmp_path)[1] == ""


def test_sound_for_which_there_is_no_time_is_remarked_on(tmp_path):
    ffmpeg("-f", "lavfi", "-i", burst(2, 6), "-c:a", "flac", tmp_path / "whole.mka")
    brief = "setts=ts=PTS*0.95"
    ffmpeg("-i", tmp_path / "whole.mka", "-c", "copy", "-bsf:a", brief, tmp_path / "brief.mka")
    remark = decode(tmp_path / "brief.mka", tmp_path)[1]
    (left_out,) = re.findall(r"timestamps that go back: (.*) s are left out", remark)
    assert float(left_out) == pytest.approx(0.3, abs=0.06)


def phone(folder: Path, turn: int, flips: tuple = ()) -> Path:
    """A film of two players, dark and bright, stored turned by ``turn`` degrees: 96 x 128 shown."""
    sides = "color=0x303030:s=48x128:r=10:d=2[l];color=0xc0c0c0:s=48x128:r=10:d=2[r];[l][r]hstack"
    shown = ["null", "transpose=clock", "hflip,vflip", "transpose=cclock"][turn // 90]
    stored = ",".join((sides, shown, *flips))
    ffmpeg("-f", "lavfi", "-i", stored, "-f", "lavfi", "-i", burst(1, 2), *FAST, folder / "s.mp4")
    matrix = ("-display_rotation", turn, *(f"-display_{flip}" for flip in flips))
    ffmpeg(*matrix, "-i", folder / "s.mp4", "-c", "copy", folder / "phone.mp4")
    return folder / "phone.mp4"


TURNS = [(0, ()), (90, ()), (180, ()), (270, ()), (0, ("hflip",)), (0, ("vflip",))]


@pytest.mark.parametrize(("turn", "flips"), TURNS)
def test_what_a_player_shows_is_what_is_cut(turn, flips, tmp_path):
    path = phone(tmp_path, turn, flips)
    found = probe(path)
    assert (found.width, found.height) == (96, 128)
    archives = [tmp_path / "left.zip", tmp_path / "right.zip"]
    n_frames, complaint = extract_crops(path, equal_boxes(96, 128, 2), archives, SETTINGS)
    assert (n_frames, complaint) == (16, "")
    left, right = (read_frames(archive, [7]) for archive in archives)
    assert left.shape == (1, 128, 48, 3)
    assert left.mean() == pytest.approx(0x30, abs=4) and left.std() < 4
    assert right.mean() == pytest.approx(0xC0, abs=4) and right.std() < 4


def test_a_phones_film_is_separated_as_it_is_shown(separate, tmp_path):
    path = phone(tmp_path, 90)
    boxes = ("0,0,48,128", "48,0,48,128")
    code, report = separate("sop", path, "--boxes", *boxes, "--video")
    assert (code, report["input"]["picture"]) == (0, [96, 128])
    for k, level in ((1, 0x30), (2, 0xC0)):
        cut = tmp_path / "out" / f"player{k}.mp4"
        assert (probe(cut).width, probe(cut).height) == (48, 128)
        archive = tmp_path / f"{k}.zip"
        assert extract_crops(cut, [(0, 0, 48, 128)], [archive], SETTINGS)[0] == 16
        assert read_frames(archive, [3]).mean() == pytest.approx(level, abs=5)
    code, report = separate("sop", path, "--players", 2, "--overwrite")
    assert [source["boxes"] for source in report["sources"]] == [
        [[0, 0, 48, 128]],
        [[48, 0, 48, 128]],
    ]


NAMES = ["Bach: Suite.wav", "http:x.wav", "-dash.wav", "concat:a|b.wav", "pipe:0", "a%03d.wav"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name(name, tmp_path, monkeypatch, separate):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    soundfile.write(
        f"./{name}", np.random.default_rng(0).uniform(-0.5, 0.5, 30000), 44056, format="WAV"
    )
    assert probe(path).audio and check_complete(path).audio
    wav, remark = decode(path, Path())
    assert (len(read_audio(wav)), remark) == (pytest.approx(30000 * 11025 / 44056, abs=2), "")
    given = f"./{name}" if name.startswith("-") else path  # to argparse it would be an option
    assert separate("mhunet", given, "--instruments", "horn")[0] == 0
    result = recordings.extract(Path(), source=path, settings=SETTINGS, aspect=None)
    assert result["duration"] == pytest.approx(30000 / 44056, abs=0.001)


def test_names_in_an_index_that_look_like_addresses(tmp_path):
    names = ["Bach: Suite.mp4", "http:x.mp4"]
    urls = [*names, "https://youtu.be/x", "http:gone.mp4", f"ytsearch:{'x' * 300}"]
    for name in names:
        (tmp_path / name).touch()
    write_index(
        tmp_path / "index.csv",
        [Recording(f"r{k}", "Tuba", url, ()) for k, url in enumerate(urls)],
    )
    found = [recording.url for recording in read_index(tmp_path / "index.csv")]
    assert found[:2] == [(tmp_path / name).as_uri() for name in names]
    assert found[2:] == urls[2:]


def test_films_of_players_with_awkward_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("Bach: duet").mkdir()
    path = phone(tmp_path, 90).rename(tmp_path / "Bach: duet" / "-film:1 100%.mp4")
    relative = path.relative_to(tmp_path)
    archives = [Path("Bach: duet/1.zip")]
    settings = Extract(short_side=32, jpeg_quality=2)
    assert extract_crops(relative, [(0, 0, 96, 128)], archives, settings)[0] == 16


@pytest.mark.parametrize("turn", [90, 270])
def test_urmps_players_are_cut_out_of_a_turned_film(turn, tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc")
    phone(tmp_path, turn).rename(folder / f"Vid_{folder.name}.mp4")
    (piece,) = read_pieces(tmp_path)
    remark = prepare_frames(piece, tmp_path, SETTINGS, 2.0, {})
    assert remark == ""
    for k, level in ((1, 0x30), (2, 0xC0)):
        frames = read_frames(tmp_path / f"{k}.zip", [0, 15])
        assert frames.shape == (2, 128, 48, 3) and frames.mean() == pytest.approx(level, abs=4)
    whole = {(piece.name, 2): (0, 64, 96, 64)}  # the lower half: out of the stored picture
    assert prepare_frames(piece, tmp_path, SETTINGS, 2.0, whole) == ""


def test_sound_beyond_what_a_wav_counts_is_decoded_to_one_that_counts_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sound, "_LARGEST_WAV", 1000)
    ffmpeg("-f", "lavfi", "-i", burst(1.6, 3), tmp_path / "a.mp3")
    wav, _ = decode(tmp_path / "a.mp3", tmp_path)
    assert soundfile.info(wav).format == "RF64"
    np.testing.assert_allclose(clicks(read_audio(wav)), [1.6], atol=0.05)


def test_a_name_that_is_no_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    phone(tmp_path, 90).rename(path)
    wav, _ = decode(path, tmp_path)
    np.testing.assert_allclose(clicks(read_audio(wav)), [1.0], atol=0.05)
    plain = wav.rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    assert soundfile.info(os.fsencode(decode(plain, tmp_path)[0])).frames == 2 * 44100
    with pytest.raises(MediaError, match="its name is not in UTF-8: rename it"):
        extract(path, tmp_path / "out")


def late(folder: Path, which: str) -> Path:
    ffmpeg(*film(1.6, 3, "96x64"), folder / "plain.mkv")
    other = "v" if which == "a" else "a"
    mapped = ("-map", f"0:{other}", "-map", f"1:{which}", "-c", "copy", folder / "late.mkv")
    ffmpeg("-i", folder / "plain.mkv", "-itsoffset", "0.7", "-i", folder / "plain.mkv", *mapped)
    return folder / "late.mkv"


def changing(folder: Path) -> Path:
    sizes = ("96x64", "48x32", "96x64")
    return joined(folder / "a.ts", *(film(1.6, 3, size, "-c:a", "aac") for size in sizes))


FILMS = {
    "late sound": (lambda folder: late(folder, "a"), [2.3], [1.6]),
    "late pictures": (lambda folder: late(folder, "v"), [1.6], [2.3]),
    "another size": (changing, [1.6, 4.6, 7.6], [1.6, 4.6, 7.6]),
}


@pytest.mark.parametrize("kind", FILMS)
def test_a_sources_film_keeps_its_time(kind, separate, tmp_path):
    make, expected, flashed = FILMS[kind]
    assert separate("mhunet", make(tmp_path), "--instruments", "horn", "--video")[0] == 0
    (tmp_path / "again").mkdir()
    _, wave, brightness = extract(tmp_path / "out" / "Horn.mp4", tmp_path / "again")
    np.testing.assert_allclose(clicks(wave), expected, atol=0.05)
    flashes = (np.flatnonzero(np.diff((brightness > 128).astype(int)) > 0) + 1) / 8
    assert len(flashes) == len(flashed)
    assert min(flashes - flashed) >= -0.05 and max(flashes - flashed) < 0.18


def test_a_playlist_that_says_that_more_is_to_come_is_not_waited_for(tmp_path):
    """FFmpeg would ask for hours whether there is."""
    playing = ("-f", "lavfi", "-i", "sine=d=4", "-f", "hls", "-hls_time", 1, "-hls_list_size", 0)
    ffmpeg(*playing, tmp_path / "whole.m3u8")
    ffmpeg(*playing, "-hls_flags", "omit_endlist", tmp_path / "live.m3u8")
    assert len(read_audio(tmp_path / "whole.m3u8")) / SAMPLE_RATE == pytest.approx(4, abs=0.1)
    for read in (read_audio, probe):
        with pytest.raises(MediaError, match="a playlist without an end"):
            read(tmp_path / "live.m3u8")

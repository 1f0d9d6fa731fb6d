"""What is remarkable about a sound is found by the same code wherever it is read, and said."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_media import SETTINGS, ffmpeg
from test_opening import FAST, burst, networks, separate  # noqa: F401
from test_urmp import write_piece

from solos import INSTRUMENTS
from solos.commands.scoring import score_folders
from solos.config.rows import Protocol
from solos.datasets.urmp import read_pieces
from solos.media.errors import MediaError
from solos.media.sound import decode, hear, read_audio
from solos.preparation import recordings
from solos.preparation.pieces import prepare_audio

RATE = 11025


def noise(seconds: float = 3, peak: float = 0.3, channels: int = 1, rate: int = RATE) -> np.ndarray:
    wave = np.random.default_rng(7).uniform(-peak, peak, (int(seconds * rate), channels))
    return wave.astype(np.float32)


def write(path: Path, wave: np.ndarray, subtype: str = "FLOAT", rate: int = RATE) -> Path:
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


def with_bad(value: float, places: slice, channels: int = 1) -> np.ndarray:
    wave = noise(channels=channels)
    wave[places, 0] = value
    return wave


def half(path: Path, share: float = 0.5) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def streamed(path: Path, size: int) -> Path:
    """A WAV as it comes out of a pipe: nobody went back to fill in its sizes."""
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[4:8] = content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    return path


def compressed(path: Path, wave: np.ndarray, *codec: object) -> Path:
    ffmpeg("-i", write(path.with_suffix(".source.wav"), wave), *codec, path)
    return path


def chained(path: Path) -> Path:
    """A mono file, and a stereo one after it in the same file."""
    parts = [compressed(path.with_stem(f"{n}"), noise(channels=n)).read_bytes() for n in (1, 2)]
    path.write_bytes(b"".join(parts))
    return path


NO_NUMBERS = "that are no numbers, taken as silence: "
SOUNDS = {
    "one NaN": (lambda p: write(p / "a.wav", with_bad(np.nan, slice(11025, 11026))), NO_NUMBERS),
    "infinity": (lambda p: write(p / "a.wav", with_bad(-np.inf, slice(0, 1))), NO_NUMBERS),
    "NaNs, stereo": (lambda p: write(p / "a.wav", with_bad(np.nan, slice(5, 99), 2)), NO_NUMBERS),
    "NaN in a double": (
        lambda p: write(p / "a.wav", with_bad(np.nan, slice(9, 10)), "DOUBLE"),
        NO_NUMBERS,
    ),
    "beyond floats": (lambda p: write(p / "a.wav", with_bad(1e30, slice(9, 12))), NO_NUMBERS),
    "half a WAV": (
        lambda p: half(write(p / "a.wav", noise(), "PCM_16")),
        "ends at 1.5 s of the 3.0",
    ),
    "half an AIFF": (
        lambda p: half(write(p / "a.aiff", noise(), "PCM_24")),
        "of the 3.0 s promised",
    ),
    "half a FLAC": (
        lambda p: half(write(p / "a.flac", noise(9), "PCM_16")),
        "of the 9.0 s promised",
    ),
    "most of a FLAC": (
        lambda p: half(write(p / "a.flac", noise(9), "PCM_16"), 0.97),
        "of the 9.0 s promised",
    ),
    "half an MP3": (lambda p: half(compressed(p / "a.mp3", noise(9))), "s promised"),
    "half an M4A": (
        lambda p: half(compressed(p / "a.m4a", noise(9), "-movflags", "+faststart")),
        "s promised",
    ),
    "chained Ogg": (lambda p: chained(p / "a.ogg"), "can't be read beyond 3.0 s"),
    "chained Opus": (lambda p: chained(p / "a.opus"), "can't be read beyond 3.0 s"),
    "antiphase": (
        lambda p: write(p / "a.wav", np.hstack([noise(), -noise()]), "PCM_16"),
        "channels that cancel each other",
    ),
    "antiphase, compressed": (
        lambda p: compressed(p / "a.m4a", np.hstack([noise(), -noise()]), "-b:a", "192k"),
        "channels that cancel each other",
    ),
    "silence": (lambda p: write(p / "a.wav", 0 * noise()), "is silent: no sample reaches 0.0001"),
    "loud": (lambda p: write(p / "a.wav", noise(peak=3)), "reaches 3 of full scale"),
    "clipped": (
        lambda p: write(p / "a.wav", np.clip(noise(peak=3), -1, 1), "PCM_16"),
        "is clipped",
    ),
}
"""How each is made, and what is said of it."""
PLAIN = {
    "piped, 0": lambda p: streamed(write(p / "a.wav", noise(), "PCM_16"), 0),
    "piped, all": lambda p: streamed(write(p / "a.wav", noise(), "PCM_16"), 0xFFFFFFFF),
    "piped by sox": lambda p: streamed(write(p / "a.wav", noise(), "PCM_16"), 0x7FFFF000),
    "44,056 Hz": lambda p: write(p / "a.wav", noise(0.75, rate=44056), rate=44056),
    "8 bits": lambda p: write(p / "a.wav", noise(), "PCM_U8"),
    "32 bits": lambda p: write(p / "a.wav", noise(), "PCM_32"),
    "doubles": lambda p: write(p / "a.wav", noise(), "DOUBLE"),
    "three channels": lambda p: write(p / "a.wav", noise(channels=3), "PCM_24"),
    "VBR without a header": lambda p: compressed(
        p / "a.mp3", noise(9), "-q:a", 2, "-write_xing", 0
    ),
}
"""What is unusual, and all right."""


@pytest.mark.parametrize("kind", SOUNDS)
def test_found_and_bounded_wherever_it_is_read(kind, tmp_path):
    make, said = SOUNDS[kind]
    path = make(tmp_path)
    wav, remark = decode(path, tmp_path)
    wave, remarks = hear(path)
    assert said in remark and any(said in one for one in remarks)
    np.testing.assert_array_equal(read_audio(wav), wave)
    assert np.isfinite(wave).all()
    if NO_NUMBERS in said:
        clean = noise(channels=1 + ("stereo" in kind)).mean(axis=1)
        assert len(wave) == len(clean)
        assert np.flatnonzero(np.abs(wave - clean) > 0.16).size <= 100  # no more than was bad


@pytest.mark.parametrize("kind", PLAIN)
def test_what_is_all_right_goes_unremarked(kind, tmp_path):
    path = PLAIN[kind](tmp_path)
    wav, remark = decode(path, tmp_path)
    wave, remarks = hear(path)
    assert (remark, remarks) == ("", [])
    seconds = {"44,056 Hz": 0.75, "VBR without a header": 9.1}.get(kind, 3)
    assert len(wave) / RATE == pytest.approx(seconds, abs=0.06)
    assert len(read_audio(wav)) == pytest.approx(len(wave), abs=1)
    assert 0.1 < np.abs(wave).max() < 0.6


@pytest.mark.parametrize("kind", [kind for kind in SOUNDS if not kind.startswith("half an M")])
def test_separate_says_it(kind, tmp_path, separate, caplog):  # noqa: F811
    make, said = SOUNDS[kind]
    path = make(tmp_path)
    with caplog.at_level(logging.WARNING):
        code, report = separate("mhunet", path)
    assert code == 0
    assert any(said in remark for remark in report["remarks"])
    assert f"{path}: " in caplog.text and said in caplog.text
    estimates = [read_audio(tmp_path / "out" / f"{name}.wav") for name in INSTRUMENTS]
    assert np.isfinite(estimates).all()
    if kind not in ("antiphase, compressed",):
        expected = read_audio(decode(path, tmp_path)[0])
        np.testing.assert_allclose(
            np.sum(estimates, axis=0), expected, atol=0.02 * max(1, report_peak(expected))
        )


def report_peak(wave: np.ndarray) -> float:
    return float(np.abs(wave).max())


def test_amplitude_is_kept_in_32_bits_and_its_loss_said_in_16(tmp_path, separate):  # noqa: F811
    path = write(tmp_path / "loud.wav", noise(peak=30))
    assert separate("mhunet", path)[0] == 0
    total = sum(read_audio(tmp_path / "out" / f"{name}.wav") for name in INSTRUMENTS)
    assert np.abs(total).max() == pytest.approx(30, rel=0.05)
    code, report = separate("mhunet", path, "--bits", 16, "--overwrite")
    assert code == 0
    cut = [remark for remark in report["remarks"] if "is cut at full scale" in remark]
    assert cut and "--bits 32" in cut[0]


def film(folder: Path, sound: Path, seconds: float) -> Path:
    picture = ("-f", "lavfi", "-i", f"testsrc=s=96x64:r=25:d={seconds}")
    ffmpeg(*picture, "-i", sound, *FAST, "-c:a", "pcm_f32le", folder / "a.mov")
    return folder / "a.mov"


@pytest.mark.parametrize("kind", ["one NaN", "infinity", "loud", "clipped"])
def test_extract_says_it(kind, tmp_path):
    make, said = SOUNDS[kind]
    path = film(tmp_path, make(tmp_path), 3)
    result = recordings.extract(tmp_path, source=path, settings=SETTINGS)
    assert said in result["reason"]
    wave, _ = soundfile.read(tmp_path / "audio.wav")
    if NO_NUMBERS in said:
        assert np.abs(wave).max() < 0.5


def test_extract_says_why_there_is_nothing_to_hear(tmp_path):
    both = write(tmp_path / "a.wav", np.hstack([noise(), -noise()]), "PCM_16")
    with pytest.raises(MediaError, match="cancel each other") as error:
        recordings.extract(tmp_path, source=film(tmp_path, both, 3), settings=SETTINGS)
    assert error.value.status == "silent"


@pytest.mark.parametrize(
    ("picture", "sound", "said"),
    [
        (2, 12, "the video ends 10.0 s before the audio"),
        (9, 3, "the video ends 6.0 s after"),
        (3, 3, ""),
    ],
)
def test_extract_says_which_ends_early(picture, sound, said, tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        f"testsrc=s=96x64:r=25:d={picture}",
        "-f",
        "lavfi",
        "-i",
        burst(1, sound),
        *FAST,
        path,
    )
    result = recordings.extract(tmp_path, source=path, settings=SETTINGS)
    assert result["reason"].startswith(said) and bool(result["reason"]) == bool(said)


@pytest.mark.parametrize("kind", ["one NaN", "half a WAV", "antiphase", "loud", "silence"])
def test_urmp_and_score_say_it_of_references_and_estimates(kind, tmp_path, caplog):
    make, said = SOUNDS[kind]
    folder = write_piece(tmp_path / "urmp", "01_Jupiter_vn_vc")
    (tmp_path / "new").mkdir()
    estimate = tmp_path / "estimates" / folder.name / "AuSep_1_vn_01_Jupiter.wav"
    estimate.parent.mkdir(parents=True)
    make(tmp_path / "new").rename(estimate)
    score_folders(tmp_path / "urmp", {"x": tmp_path / "estimates"}, Protocol())
    assert f"x, 01_Jupiter_vn_vc: {estimate.name} " in caplog.text and said in caplog.text
    estimate.rename(folder / "AuSep_1_vn_01_Jupiter.wav")
    (folder / "AuMix_01_Jupiter_vn_vc.wav").unlink()
    (piece,) = read_pieces(tmp_path / "urmp")
    _, note = prepare_audio(piece, tmp_path)
    assert "part 1 (Violin) " in note and said in note
    assert np.isfinite(read_audio(tmp_path / "mix.wav")).all()


def test_the_report_is_json(tmp_path, separate):  # noqa: F811
    separate("mhunet", write(tmp_path / "a.wav", with_bad(np.nan, slice(9, 10))))
    assert json.loads((tmp_path / "out" / "separation.json").read_text())["remarks"]


@pytest.mark.parametrize("network", ["sop", "mhunet"])
@pytest.mark.parametrize(("seen", "said"), [(3, "the video ends 3.0 s before the audio"), (6, "")])
def test_a_film_says_it_whether_the_network_sees_or_not(network, seen, said, tmp_path, separate):  # noqa: F811
    picture = ("-f", "lavfi", "-i", f"testsrc=s=96x64:r=25:d={seen}")
    ffmpeg(*picture, "-f", "lavfi", "-i", burst(1, 6), *FAST, tmp_path / "a.mkv")
    who = ("--players", 2) if network == "sop" else ("--instruments", "horn,cello")
    code, report = separate(network, tmp_path / "a.mkv", *who, "--video")
    assert (code, report["remarks"]) == (0, [said] if said else [])


@pytest.mark.parametrize("network", ["sop", "mhunet"])
def test_what_ffmpeg_complains_of_is_said_of_a_film(network, tmp_path, separate):  # noqa: F811
    """Pictures of which some bytes are not theirs."""
    picture = ("-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=3")
    codecs = ("-c:v", "mpeg4", "-c:a", "pcm_s16le")
    ffmpeg(*picture, "-f", "lavfi", "-i", burst(1, 3), *codecs, tmp_path / "a.mkv")
    content = bytearray((tmp_path / "a.mkv").read_bytes())
    place = content.index(b"\0\0\1\xb6", len(content) // 2)  # a picture
    content[place + 20 : place + 60] = bytes(range(40))
    (tmp_path / "a.mkv").write_bytes(content)
    who = ("--players", 2) if network == "sop" else ("--instruments", "horn,cello")
    code, report = separate(network, tmp_path / "a.mkv", *who, "--video")
    assert code == 0
    assert len(report["remarks"]) == 1 and report["remarks"][0].startswith("ffmpeg: [mpeg4] ")


def test_a_cut_film_with_another_sound_is_said_to_be_cut(tmp_path, separate):  # noqa: F811
    picture = ("-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=6")
    ffmpeg(*picture, "-f", "lavfi", "-i", burst(1, 6), *FAST, tmp_path / "a.mkv")
    half(tmp_path / "a.mkv", 0.9)
    audio = ("--audio", write(tmp_path / "a.wav", noise(6)))
    _, report = separate("mhunet", tmp_path / "a.mkv", *audio, "--video")
    assert report["remarks"][0].startswith("of the video, its file is cut off")


@pytest.mark.parametrize(("rate", "estimated"), [(44056, 48000), (44100, 44100)])
def test_a_rate_that_estimates_cannot_have_is_said(rate, estimated, tmp_path, separate):  # noqa: F811
    path = write(tmp_path / "a.wav", noise(2, rate=rate), rate=rate)
    code, report = separate("mhunet", path, "--rate", "original")
    assert (code, report["input"]["rate"], report["output"]["rate"]) == (0, rate, estimated)
    said = [remark for remark in report["remarks"] if "not at the recording's 44056 Hz" in remark]
    assert len(report["remarks"]) == len(said) == (rate != estimated)
    assert separate("mhunet", path, "--overwrite")[1]["remarks"] == []


def turned(seconds: float, *spans: tuple[float, float]) -> np.ndarray:
    """Noise on both channels, of opposite sign within spans of seconds."""
    wave = np.repeat(noise(seconds), 2, axis=1)
    for first, last in spans:
        wave[int(first * RATE) : int(last * RATE), 1] *= -1
    return wave


PARTLY = {
    "a part": (lambda: turned(10, (3, 7)), (4.0, 3.0, 7.0)),
    "two parts": (lambda: turned(10, (1, 3), (6, 8.5)), (4.5, 1.0, 8.5)),
    "the end": (lambda: turned(6, (4, 6)), (2.0, 4.0, 6.0)),
    "a pause": (lambda: turned(10, (2, 8)) * paused(10, 4, 6), (4.0, 2.0, 8.0)),
}


def paused(seconds: float, first: float, last: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE))[:, None] / RATE
    return ((t < first) | (t >= last)).astype(np.float32)


@pytest.mark.parametrize("codec", [(), ("-c:a", "aac", "-b:a", "192k")])
@pytest.mark.parametrize("kind", PARTLY)
def test_channels_that_cancel_each_other_in_part(kind, codec, tmp_path):
    make, expected = PARTLY[kind]
    path = compressed(tmp_path / "a.m4a", make(), *(codec or ("-c:a", "alac")))
    (remark,) = hear(path)[1]
    found = re.fullmatch(r".* cancel each other for (.*) s, between (.*) s and (.*) s", remark)
    np.testing.assert_allclose(list(map(float, found.groups())), expected, atol=0.6)


def wide(correlation: float) -> np.ndarray:
    """Ten seconds of two channels of noise that correlate so."""
    common, other = noise(10), noise(10, channels=2)[:, 1:]
    return np.hstack([common, correlation * common + (1 - correlation**2) ** 0.5 * other])


def chorus() -> np.ndarray:
    """Harmonic notes, of which the channels are out of tune by a few cents: phases drift."""
    t, notes = np.arange(20 * RATE)[:, None] / RATE, []
    for cents in (0, 2):
        pitch = 220 * 2 ** (np.array([0, 4, 7]) / 12 + cents / 1200)
        partials = (np.outer(pitch, np.arange(1, 6)) * 1.0).reshape(-1)
        notes.append(np.sin(2 * np.pi * t * partials) @ (0.1 / np.tile(np.arange(1, 6), 3)))
    return 0.3 * np.stack(notes, axis=1)


ORDINARY = {
    "decorrelated": lambda: wide(0.0),
    "very wide": lambda: wide(-0.9),
    "chorus": chorus,
    "one channel": lambda: np.hstack([noise(5), 0 * noise(5)]),
    "apart": lambda: np.hstack([noise(5), np.roll(noise(5), 40)]),
    "a moment": lambda: turned(6, (2, 2.6)),
    "faint": lambda: 1e-3 * turned(6, (2, 5)),
    "eight channels": lambda: noise(5, channels=8),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_stereo_goes_unremarked(kind, tmp_path):
    assert hear(write(tmp_path / "a.wav", ORDINARY[kind]()))[1] == []

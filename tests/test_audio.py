"""Sound of any format, resampled in blocks as in one go."""

import math

import numpy as np
import pytest
import soundfile
import torch
from test_media import ffmpeg
from torchaudio.functional import resample

from solos.media import sound as audio
from solos.media.errors import MediaError

RATES = [(48000, 11025), (44100, 11025), (8000, 11025), (11025, 48000), (96000, 11025)]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.5, 0.5, shape).astype(np.float32)


def in_one_go(wave: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    kaiser = {"resampling_method": "sinc_interp_kaiser", "beta": 14.769656459379492}
    return resample(
        torch.from_numpy(wave), rate, new_rate, 64, 0.9475937167399596, **kaiser
    ).numpy()


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
@pytest.mark.parametrize("n", [1, 640, 50001, 200_000])
def test_blocks_are_resampled_as_the_whole(rate, new_rate, n, monkeypatch):
    """Of a memory for 20,000 samples: the whole takes up to ten blocks."""
    monkeypatch.setattr(audio, "BLOCK", 20_000)
    wave = noise(n)
    expected = in_one_go(wave, rate, new_rate)
    assert expected.shape == (math.ceil(n * new_rate / rate),)
    for size in (777, 30_000, n):
        blocks = [wave[i : i + size] for i in range(0, n, size)]
        got = list(audio.resample_blocks(blocks, rate, new_rate))
        np.testing.assert_allclose(np.concatenate(got), expected, atol=1e-6)
        assert max(map(len, got)) <= 20_000 * max(1, new_rate / rate) + new_rate


def test_several_channels_at_once_and_equal_rates_untouched():
    waves = noise(2, 3000)
    halves = [waves[:, :1000], waves[:, 1000:]]
    got = np.concatenate(list(audio.resample_blocks(halves, 11025, 44100)), axis=1)
    np.testing.assert_allclose(got[1], in_one_go(waves[1], 11025, 44100), atol=1e-6)
    assert list(audio.resample_blocks(halves, 11025, 11025)) == halves
    assert list(audio.resample_blocks([], 48000, 11025)) == []


def test_a_lossless_file_is_read_as_it_is(tmp_path):
    for suffix in ("wav", "flac", "aiff"):
        path = tmp_path / f"a.{suffix}"
        soundfile.write(path, noise(5000, 2), 48000, subtype="PCM_24")
        assert audio.decode(path, tmp_path) == (path, "")
        expected = in_one_go(noise(5000, 2).mean(axis=1), 48000, 11025)
        np.testing.assert_allclose(audio.read_audio(path), expected, atol=1e-6)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "ogg", "mkv"])
def test_other_formats_are_decoded_at_their_rate_with_their_channels(suffix, tmp_path):
    sine = "aevalsrc='0.4*sin(2*PI*500*t)|0.2*sin(2*PI*500*t)':s=44100:d=3"
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-f", "lavfi", "-i", sine, path)
    wav, complaint = audio.decode(path, tmp_path)
    about = soundfile.info(wav)
    assert (about.samplerate, about.channels, about.subtype) == (44100, 2, "FLOAT")
    assert (about.duration, complaint) == (pytest.approx(3, abs=0.06), "")
    inner = audio.read_audio(wav)[3000:-3000]
    assert np.sqrt(2 * np.mean(inner**2)) == pytest.approx(0.3, rel=0.1)


def test_a_rate_that_would_need_a_huge_filter_becomes_48_khz(tmp_path):
    path = tmp_path / "a.wav"
    wave = 0.5 * np.sin(2 * np.pi * 500 * np.arange(44056) / 44056)
    soundfile.write(path, wave, 44056)
    wav, _ = audio.decode(path, tmp_path)
    assert soundfile.info(wav).samplerate == 48000
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(11025) / 11025)
    np.testing.assert_allclose(audio.read_audio(wav)[300:10700], expected[300:10700], atol=2e-3)


def test_sound_that_starts_late_is_preceded_by_silence(tmp_path):
    picture = ("-f", "lavfi", "-i", "color=black:s=64x64:r=10:d=3")
    late = ("-itsoffset", "1", "-f", "lavfi", "-i", "aevalsrc='0.5*sin(3000*t)':s=44100:d=2")
    ffmpeg(*picture, *late, "-c:a", "pcm_s16le", tmp_path / "a.mkv")
    wave = audio.read_audio(audio.decode(tmp_path / "a.mkv", tmp_path)[0])
    assert len(wave) / 11025 == pytest.approx(3, abs=0.03)
    assert np.abs(wave[:10900]).max() < 0.02
    assert np.abs(wave[11100:20000]).max() > 0.4


def test_what_is_no_sound_says_so(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "color=black:s=64x64:r=10:d=1", tmp_path / "silent.mp4")
    (tmp_path / "a.txt").write_text("Dear Sir or Madam\n" * 99)
    (tmp_path / "empty.mp4").touch()
    cases = {"silent.mp4": "no_audio", "a.txt": "unreadable", "empty.mp4": "unreadable"}
    for name, status in (cases | {"absent.wav": "missing"}).items():
        with pytest.raises(MediaError) as error:
            audio.decode(tmp_path / name, tmp_path)
        assert error.value.status == status


@pytest.mark.parametrize("rate", [44056, 96001, 192001])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_what_is_too_short_at_an_odd_rate_is_said(tmp_path, rate, n):
    soundfile.write(tmp_path / "a.wav", noise(n), rate)
    with pytest.raises(MediaError, match="nothing is left of the sound at 48000 Hz"):
        audio.hear(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.wav", noise(n), 44100)
    assert len(audio.read_audio(tmp_path / "a.wav")) == math.ceil(n / 4)

"""Many channels, layouts that FFmpeg can't mix, samples of rare formats."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_media import ffmpeg
from test_opening import burst, clicks, decoded

from solos.media import sound
from solos.media.decoding import listening
from solos.media.errors import MediaError
from solos.media.sound import hear, read_audio, write_mono

KINDS = {
    "AAC": ("a.m4a", 8, "-c:a", "aac"),
    "Opus": ("a.opus", 8, "-c:a", "libopus"),
    "Vorbis": ("a.ogg", 8, "-c:a", "libvorbis"),
    "WavPack": ("a.wv", 8, "-c:a", "wavpack"),
    "FLAC": ("a.flac", 8, "-c:a", "flac"),
    "sixteen": ("a.wav", 16, "-c:a", "pcm_s16le"),
    "sixteen, packed": ("a.wv", 16, "-c:a", "wavpack"),
    "octagonal": ("a.wav", 8, "-af", "channelmap=channel_layout=octagonal:map=0|1|2|3|4|5|6|7"),
    "at an odd rate": ("a.wav", 8, "-af", "asetrate=44056"),
    "left and deep": ("a.wav", 2, "-af", "channelmap=channel_layout=FL+LFE:map=0|1"),
    "back, at an odd rate": (
        *("a.wav", 2, "-af", "asetrate=44056,channelmap=channel_layout=BL+BR:map=0|1"),
    ),
    "64 bits": ("a.wav", 1, "-c:a", "pcm_s64le"),
}
"""Each file, its channels, and how it is made."""


@pytest.mark.parametrize("kind", KINDS)
def test_clicks_where_it_should_however_it_is_read(kind, tmp_path):
    name, channels, *how = KINDS[kind]
    path = tmp_path / name
    ffmpeg("-f", "lavfi", "-i", burst(1.2, 3, 48000, channels), *how, path)
    at = 1.2 * 48000 / 44056 if "odd" in kind else 1.2
    with listening(path) as found:
        assert found.channels == channels
    n_samples, peak, _ = write_mono(path, tmp_path / "mono.wav")
    wave, remarks = hear(path)
    assert remarks == [] and n_samples == pytest.approx(len(wave), abs=40)
    assert np.abs(wave).max() > 0.3 and peak > 0.3
    for each in (wave, decoded(path, tmp_path), read_audio(tmp_path / "mono.wav")):
        assert clicks(each) == pytest.approx([at], abs=0.01)


def test_channels_keep_their_order(tmp_path):
    """Packed and planar: each channel has a level of its own."""
    levels = np.arange(1, 9, dtype=np.float32)[:, None] / 10
    path = tmp_path / "a.wav"
    soundfile.write(path, np.repeat(levels, 20_000, axis=1).T, 44100, subtype="FLOAT")
    ffmpeg("-i", path, "-c:a", "wavpack", tmp_path / "a.wv")
    for each in (path, tmp_path / "a.wv"):
        with listening(each) as found:
            for block in found.blocks():
                np.testing.assert_array_equal(block, np.repeat(levels, block.shape[1], axis=1))


def test_a_hundred_channels(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full((30_000, 100), 0.25, np.float32), 44100)
    write_mono(path, tmp_path / "mono.wav")
    for wave in (read_audio(tmp_path / "mono.wav"), hear(path)[0]):
        assert np.median(wave) == pytest.approx(0.25, abs=1e-3)


def impossible_rate(path: Path) -> Path:
    soundfile.write(path, np.zeros(20_000, np.float32), 44100)
    content = bytearray(path.read_bytes())
    content[24:28] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("read", [hear, lambda path: write_mono(path, path.with_name("b.wav"))])
def test_a_rate_beyond_all_is_an_error_of_the_file(read, tmp_path):
    with pytest.raises(MediaError, match="memory"):
        read(impossible_rate(tmp_path / "a.wav"))


def test_strange_errors_of_decoders_are_the_files(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.zeros(20_000, np.float32), 44100)

    def refuse(*_):
        raise IndexError("no such plane")

    monkeypatch.setattr(sound, "packed", refuse)
    with pytest.raises(MediaError, match="no such plane"):
        write_mono(tmp_path / "a.wav", tmp_path / "b.wav")

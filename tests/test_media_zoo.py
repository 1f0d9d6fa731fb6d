"""Media as they come: each awkward file is extracted in time, or its reason is given."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from test_media import FLASH, SETTINGS, ffmpeg, write_clip

from solos.media.errors import MediaError
from solos.preparation import recordings
from solos.storage.pictures import read_frames

COPY = ("-c", "copy")
X264 = ("-c:v", "libx264", "-preset", "ultrafast")


@dataclass(frozen=True)
class Animal:
    """A file made from the clip that flashes and clicks at ``FLASH``."""

    name: str
    arguments: tuple
    """For ffmpeg, after ``-i clip``."""
    before: tuple = ()
    """For ffmpeg, before ``-i clip``."""
    seconds: float = 4.0
    shape: tuple[int, int] = (48, 72)
    """Height and width of an extracted picture."""


SURROUND = "pan=5.1|FL=c0|FR=c1|FC=c0|LFE=c0|BL=c1|BR=c1"
ZOO = [
    Animal("vp9_opus.webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus")),
    Animal("vp8_vorbis.webm", ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis")),
    Animal("h264_flac.mkv", ("-c:v", "copy", "-c:a", "flac")),
    Animal("mpeg4_mp3.avi", ("-c:v", "mpeg4", "-c:a", "libmp3lame")),
    Animal("mjpeg_pcm.mov", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16be")),
    Animal("broadcast.ts", COPY),
    Animal("h264_aac.flv", COPY),
    Animal("hevc.mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-c:a", "copy")),
    Animal("fragmented.mp4", (*COPY, "-movflags", "frag_keyframe+empty_moov")),
    Animal("index_at_the_end.mp4", COPY),
    Animal("film.mp4", ("-r", "24000/1001", *X264)),
    Animal("ntsc.mp4", ("-r", "30000/1001", *X264)),
    Animal("fifty.mp4", ("-r", "50", *X264)),
    Animal("five.mp4", ("-r", "5", *X264)),
    Animal(
        "variable.mp4",
        ("-vf", "select='not(mod(n,5)*between(n,5,35))'", "-fps_mode", "vfr", *X264),
    ),
    Animal("portrait.mp4", ("-vf", "scale=64:96,setsar=1", *X264), shape=(72, 48)),
    Animal("rotated.mp4", COPY, before=("-display_rotation", "90"), shape=(72, 48)),
    Animal("upside_down.mp4", COPY, before=("-display_rotation", "180")),
    Animal("odd_444.mp4", ("-vf", "scale=95:63", "-pix_fmt", "yuv444p", *X264)),
    Animal("ten_bit.mp4", ("-pix_fmt", "yuv420p10le", *X264)),
    Animal("wide_pixels.mp4", ("-vf", "setsar=2", *X264), shape=(48, 144)),
    Animal("mono_8k.mkv", ("-c:v", "copy", "-ac", "1", "-ar", "8000", "-c:a", "pcm_s16le")),
    Animal("surround.mkv", ("-c:v", "copy", "-af", SURROUND, "-c:a", "flac")),
    Animal("float_96k.mkv", ("-c:v", "copy", "-ar", "96000", "-c:a", "pcm_f32le")),
    Animal("two_seconds.mp4", ("-t", "2", *X264), seconds=2.0),
    Animal("two_languages.mp4", ("-map", "0:v", "-map", "0:a", "-map", "0:a", *COPY)),
    Animal("-dash %03d 100% ü'x.mp4", COPY),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("zoo") / "clip.mp4")


def test_the_zoo_is_large_enough():
    assert len(ZOO) + len(BROKEN) >= 30


@pytest.mark.parametrize("animal", ZOO, ids=lambda animal: animal.name)
def test_extracted_in_time(animal, clip, tmp_path):
    source = tmp_path / animal.name
    ffmpeg(*animal.before, "-i", clip, *animal.arguments, f"file:{source}")
    result = recordings.extract(tmp_path, source=source, settings=SETTINGS)
    wave, rate = soundfile.read(tmp_path / "audio.wav")
    frames = read_frames(tmp_path / "frames.zip", range(result["n_frames"]))
    assert (rate, wave.ndim, frames.shape[1:3]) == (11025, 1, animal.shape)
    assert result["duration"] == pytest.approx(animal.seconds, abs=0.15)
    assert result["n_frames"] == pytest.approx(8 * animal.seconds, abs=4)
    click = np.argmax(np.abs(wave) > 0.5 * np.abs(wave).max()) / rate
    brightness = frames.mean(axis=(1, 2, 3))
    assert click == pytest.approx(FLASH, abs=0.05)
    # A picture is taken every 1/8 s: the first white one follows the file's own within that.
    flash = np.argmax(brightness > 128) / 8 - first_white(source)
    assert -1e-3 <= flash <= 1 / 8 + 1e-3


def first_white(path: Path) -> float:
    """Second at which a file's own first white frame is due, by its timestamps."""
    with av.open(str(path)) as container:
        start = (container.start_time or 0) / av.time_base
        for frame in container.decode(video=0):
            if frame.to_ndarray(format="gray").mean() > 128:
                return frame.time - start
    raise AssertionError(f"{path} has no white frame")


def cut(share: float):
    def make(clip: Path, target: Path) -> None:
        target.write_bytes(clip.read_bytes()[: int(share * clip.stat().st_size)])

    return make


def by_ffmpeg(*arguments: str):
    return lambda clip, target: ffmpeg("-i", clip, *arguments, target)


def content(data: bytes):
    return lambda _, target: target.write_bytes(data)


def noise_from(share: float):
    """Random bytes over all the sound and pictures from a place on; the index stays whole."""

    def make(clip: Path, target: Path) -> None:
        whole = clip.read_bytes()
        start = int(share * len(whole))
        rubbish = np.random.default_rng(0).bytes(len(whole) - start)
        target.write_bytes(whole[:start] + rubbish)

    return make


BROKEN = {
    "no_sound.mp4": (by_ffmpeg("-an", *COPY), "no_audio"),
    "no_picture.mp4": (by_ffmpeg("-vn", *COPY), "no_video"),
    "music.mp3": (by_ffmpeg("-vn", "-c:a", "libmp3lame"), "no_video"),
    "photo.jpg": (by_ffmpeg("-frames:v", "1"), "no_audio"),
    "silent.mp4": (by_ffmpeg("-c:v", "copy", "-af", "volume=0"), "silent"),
    "half.mp4": (cut(0.5), "truncated"),
    "stub.mp4": (cut(0.02), "unreadable"),
    "empty.mp4": (content(b""), "unreadable"),
    "page.mp4": (content(b"<html><body>Sign in</body></html>"), "unreadable"),
    "zeros.mp4": (content(bytes(100_000)), "unreadable"),
    "noise.mp4": (noise_from(0.2), None),
}
"""How each is made, and its status; None where a part may still be good, but a reason is due."""


@pytest.mark.parametrize("name", BROKEN)
def test_reported_with_its_reason(name, clip, tmp_path):
    make, status = BROKEN[name]
    make(clip, tmp_path / name)
    try:
        result = recordings.extract(tmp_path, source=tmp_path / name, settings=SETTINGS)
    except MediaError as error:
        assert str(error)
        assert status in (error.status, None)
    else:
        assert status is None and result["reason"]

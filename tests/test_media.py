import signal
import subprocess
import zipfile
from functools import partial
from pathlib import Path

import ffmpeg as ffmpeg_python
import numpy as np
import pytest
import soundfile
from PIL import Image
from waiting import wait_for

from pipeline import extract as stage
from pipeline.items import _making
from solos.config.data import Extract
from solos.config.params import Parallel
from solos.errors import UserError
from solos.media.errors import MediaError
from solos.media.pictures import extract_crops
from solos.media.process import ffmpeg_path
from solos.preparation import recordings
from solos.storage.cache import Cache
from solos.storage.files import file_hash
from solos.storage.pictures import count_frames, pack_frames, read_frames
from solos.storage.tables import read_table, write_table

SETTINGS = Extract(short_side=48, jpeg_quality=2)
FLASH = 1.6
"""Second at which a clip's picture turns white and its sound clicks."""


def ffmpeg(*arguments: object) -> None:
    command = [ffmpeg_path(), "-v", "error", "-y", "-threads", "1"]
    subprocess.run([*command, *map(str, arguments)], check=True)


def write_clip(path: Path, seconds: float = 4, fps: str = "25", size: str = "96x64") -> Path:
    """A black clip with noise-like sound that flashes and clicks for 0.2 s at ``FLASH``."""
    flash = f"between(t,{FLASH - 1e-3},{FLASH + 0.2})"
    click = f"0.01*sin(600*t)+0.7*between(t,{FLASH},{FLASH + 0.2})*sin(2*PI*1500*t)"
    picture = f"color=black:s={size}:r={fps}:d={seconds},drawbox=c=white:t=fill:enable='{flash}'"
    sound = f"aevalsrc='{click}|{click}':s=44100:d={seconds}"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound)
    path.parent.mkdir(parents=True, exist_ok=True)
    codecs = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-b:a", "96k")
    ffmpeg(*inputs, *codecs, "-movflags", "+faststart", path)
    return path


def write_frames(archive: Path, count: int, colour: int) -> None:
    """An archive of ``count`` plain pictures of 48 by 64 pixels, grey level ``colour``."""
    folder = archive.with_suffix(".frames")
    folder.mkdir(parents=True)
    for n in range(count):
        level = np.full((48, 64, 3), colour, np.uint8)
        Image.fromarray(level).save(folder / f"{n:06d}.jpg", quality=95)
    pack_frames(folder, archive)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


def extract(source: Path, folder: Path) -> tuple[dict, np.ndarray, np.ndarray]:
    """What is said of a clip, its samples, and the brightness of its pictures."""
    folder.mkdir(exist_ok=True)
    result = recordings.extract(folder, source=source, settings=SETTINGS)
    wave, rate = soundfile.read(folder / "audio.wav")
    assert rate == 11025 and wave.ndim == 1
    frames = read_frames(folder / "frames.zip", range(result["n_frames"]))
    return result, wave, frames.mean(axis=(1, 2, 3))


def click_and_flash(wave: np.ndarray, brightness: np.ndarray) -> tuple[float, float]:
    """Seconds at which the sound clicks and the first picture is white."""
    return np.argmax(np.abs(wave) > 0.2) / 11025, np.argmax(brightness > 128) / 8


def failure(source: Path, folder: Path) -> MediaError:
    folder.mkdir()
    with pytest.raises(MediaError) as error:
        recordings.extract(folder, source=source, settings=SETTINGS)
    return error.value


def test_sound_and_pictures_of_a_clip(clip, tmp_path):
    result, wave, brightness = extract(clip, tmp_path)
    expected = {"duration": 4.0, "n_frames": 32, "width": 72, "height": 48, "reason": ""}
    assert result == expected | {"sha256": file_hash(tmp_path / "audio.wav")}
    assert len(wave) == 44100
    assert soundfile.info(tmp_path / "audio.wav").subtype == "PCM_16"
    click, _ = click_and_flash(wave, brightness)
    assert click == pytest.approx(FLASH, abs=0.005)
    # On screen from 1.6 s to 1.84 s: of the pictures at n/8 s, numbers 13 and 14 alone are white.
    assert np.flatnonzero(brightness > 128).tolist() == [13, 14]
    assert (np.abs(wave[2000:15000])).max() == pytest.approx(0.01, rel=0.15)  # stereo, not doubled


@pytest.mark.parametrize("fps", ["30000/1001", "24000/1001", "50", "12"])
def test_pictures_keep_time_at_any_frame_rate(fps, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", fps=fps)
    _, wave, brightness = extract(clip, tmp_path / "out")
    click, flash = click_and_flash(wave, brightness)
    assert click == pytest.approx(FLASH, abs=0.005)
    assert 0 <= flash - click <= 1 / 8 + 1 / 12


@pytest.mark.parametrize(("late", "clicks", "flashes"), [("a", 2.3, 1.625), ("v", 1.6, 2.375)])
def test_a_stream_that_starts_late_keeps_its_time(clip, late, clicks, flashes, tmp_path):
    other = "v" if late == "a" else "a"
    mapped = ("-map", f"0:{other}", "-map", f"1:{late}", "-c", "copy")
    ffmpeg("-i", clip, "-itsoffset", "0.7", "-i", clip, *mapped, tmp_path / "late.mkv")
    _, wave, brightness = extract(tmp_path / "late.mkv", tmp_path / "out")
    click, flash = click_and_flash(wave, brightness)
    assert click == pytest.approx(clicks, abs=0.01)
    assert flash == flashes


@pytest.mark.parametrize(
    ("size", "sar", "shape"),
    [("64x96", "1", (72, 48)), ("90x90", "1", (48, 48)), ("64x64", "2", (48, 96))],
)
def test_short_side_of_portrait_square_and_wide_pixels(size, sar, shape, tmp_path):
    plain = write_clip(tmp_path / "plain.mp4", seconds=1, size=size)
    ffmpeg("-i", plain, "-vf", f"setsar={sar}", tmp_path / "clip.mp4")
    ffmpeg("-i", tmp_path / "clip.mp4", "-c", "copy", tmp_path / "-clip.mp4")
    recordings.extract(tmp_path, source=tmp_path / "-clip.mp4", settings=SETTINGS)
    assert read_frames(tmp_path / "frames.zip", [0]).shape == (1, *shape, 3)


def test_two_extractions_have_equal_bytes(clip, tmp_path):
    for name in ("one", "two"):
        extract(clip, tmp_path / name)
    for file in ("audio.wav", "frames.zip"):
        assert file_hash(tmp_path / "one" / file) == file_hash(tmp_path / "two" / file)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("-an", "-c", "copy"), "no_audio"), (("-vn", "-c", "copy"), "no_video")],
)
def test_a_missing_stream(clip, arguments, status, tmp_path):
    ffmpeg("-i", clip, *arguments, tmp_path / "half.mp4")
    assert failure(tmp_path / "half.mp4", tmp_path / "out").status == status


def test_cover_art_is_no_video(clip, tmp_path):
    ffmpeg("-i", clip, "-frames:v", "1", "-f", "image2", tmp_path / "cover.png")
    files = ("-i", clip, "-i", tmp_path / "cover.png", "-map", "0:a", "-map", "1:v")
    how = ("-c:a", "copy", "-c:v", "png", "-disposition:v", "attached_pic")
    ffmpeg(*files, *how, tmp_path / "song.m4a")
    assert failure(tmp_path / "song.m4a", tmp_path / "out").status == "no_video"


def test_silence(clip, tmp_path):
    ffmpeg("-i", clip, "-af", "volume=0", "-c:v", "copy", tmp_path / "silent.mp4")
    error = failure(tmp_path / "silent.mp4", tmp_path / "out")
    assert (error.status, str(error)) == ("silent", "no sample of the audio reaches 0.0001")


def test_files_that_are_no_media(tmp_path):
    (tmp_path / "text.mp4").write_text("not a film")
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert failure(tmp_path / "text.mp4", tmp_path / "1").status == "unreadable"
    assert failure(tmp_path / "empty.mp4", tmp_path / "2").status == "unreadable"
    assert failure(tmp_path / "absent.mp4", tmp_path / "3").status == "missing"


def test_a_file_cut_short(tmp_path):
    source = ("-f", "lavfi", "-i", "testsrc=s=96x64:r=25:d=8", "-f", "lavfi", "-i", "sine=d=8")
    ffmpeg(*source, "-c:a", "aac", "-movflags", "+faststart", tmp_path / "whole.mp4")
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    error = failure(tmp_path / "cut.mp4", tmp_path / "out")
    assert error.status == "truncated"
    assert str(error).endswith("of 8.0 s")


def extract_one(line: dict, source: Path, work: Path, settings: Extract) -> dict:
    """What the stage does with one line of the table of downloads."""
    item = stage.to_item(line, source, settings, "keep")
    make = partial(stage.extract, settings=settings, aspect="keep")
    return _making(make, Cache(work), None).one(item.name, item)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_ffmpeg_says_nothing_of_the_recording(how, tmp_path, monkeypatch):
    """Nothing is kept, so that the next run extracts the recording after all."""
    fast = ffmpeg_python.run_async

    def stopped(*arguments, **options):
        process = fast(*arguments, **options)
        wait_for(lambda: any(path.is_file() for path in (tmp_path / "work/.half").rglob("*")))
        process.send_signal(how)
        return process

    monkeypatch.setattr(ffmpeg_python.nodes.OutputStream, "run_async", stopped, raising=False)
    write_clip(tmp_path / "long.mp4", seconds=600, fps="5")
    line = {"id": "a", "instrument": "Tuba", "status": "ok", "file": "long.mp4", "sha256": "x"}
    with pytest.raises(UserError, match="ffmpeg was stopped"):
        extract_one(line, tmp_path, tmp_path / "work", SETTINGS)
    assert not [*(tmp_path / "work").glob("[!.]*"), *(tmp_path / "work").glob(".half/*")]


def test_frames_are_read_by_number_and_held_at_both_ends(clip, tmp_path):
    _, _, brightness = extract(clip, tmp_path)
    archive = tmp_path / "frames.zip"
    with zipfile.ZipFile(archive) as stream:
        assert stream.namelist()[:2] == ["000000.jpg", "000001.jpg"]
        assert {info.compress_type for info in stream.infolist()} == {zipfile.ZIP_STORED}
    assert count_frames(archive) == 32
    frames = read_frames(archive, [14, 0, 14, 500, -3])
    assert frames.shape == (5, 48, 72, 3) and frames.dtype == np.uint8
    picked = frames.mean(axis=(1, 2, 3))
    np.testing.assert_array_equal(picked, brightness[[14, 0, 14, 31, 0]])


def test_a_replaced_archive_is_read_anew(tmp_path):
    archive = tmp_path / "frames.zip"
    write_frames(archive, count=3, colour=200)
    assert read_frames(archive, [9]).mean() == pytest.approx(200, abs=2)
    write_frames(archive, count=5, colour=50)
    assert count_frames(archive) == 5
    assert read_frames(archive, [4]).mean() == pytest.approx(50, abs=2)


def test_an_archive_without_pictures_is_an_error(tmp_path):
    write_frames(tmp_path / "frames.zip", count=0, colour=0)
    with pytest.raises(ValueError, match="no pictures"):
        read_frames(tmp_path / "frames.zip", [0])


def test_regions_of_a_wide_video(tmp_path):
    sides = "color=black:s=64x64:r=25:d=2[l];color=white:s=64x64:r=25:d=2[r];[l][r]hstack"
    ffmpeg("-f", "lavfi", "-i", sides, tmp_path / "wide.mp4")
    archives = [tmp_path / "1.zip", tmp_path / "2.zip"]
    boxes = [(0, 0, 64, 64), (64, 0, 64, 64)]
    n_frames, complaint = extract_crops(tmp_path / "wide.mp4", boxes, archives, SETTINGS)
    assert (n_frames, complaint) == (16, "")
    left, right = (read_frames(archive, [15]) for archive in archives)
    assert left.shape == right.shape == (1, 48, 48, 3)
    assert left.max() < 10 and right.min() > 245
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.zip", "2.zip", "wide.mp4"]


@pytest.fixture
def stage_params(params, tmp_path, monkeypatch):
    """Parameters for a stage run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    one_thread = Parallel(backend="threading", jobs=1)
    return params.model_copy(update={"parallel": one_thread, "extract": SETTINGS})


def test_the_stage_accounts_for_every_recording_and_repeats_none(
    stage_params, clip, tmp_path, monkeypatch
):
    raw = Path("data/raw/solos")
    raw.mkdir(parents=True)
    (raw / "-good.mp4").write_bytes(clip.read_bytes())
    (raw / "-good.mp4").chmod(0o444)
    (raw / "bad.mp4").write_text("not a film")
    columns = ("id", "instrument", "status", "reason", "file", "sha256")
    found = {"-good": ("ok", "", "-good.mp4", "a"), "bad": ("ok", "", "bad.mp4", "b")}
    found |= {"gone": ("private", "Private video", "", ""), "lost": ("ok", "", "lost.mp4", "c")}
    lines = [dict(zip(columns, (key, "Tuba", *rest), strict=True)) for key, rest in found.items()]
    write_table(raw / "status.csv", columns, lines)

    stage.main(stage_params, "solos")
    rows = {row["id"]: row for row in read_table(Path("data/extracted/solos/status.csv"), "")}
    statuses = {"-good": "ok", "bad": "unreadable", "gone": "private", "lost": "missing"}
    assert {key: row["status"] for key, row in rows.items()} == statuses
    assert rows["gone"]["reason"] == "not downloaded: Private video"
    assert rows["-good"]["duration"] == "4.0"
    names = sorted(path.name for path in Path("data/extracted/solos").iterdir())
    assert names == ["-good.wav", "-good.zip", "status.csv"]

    def never(*_, **__):
        raise AssertionError("extracted again")

    monkeypatch.setattr(recordings, "extract", never)
    stage.main(stage_params, "solos")  # as after an interruption: outputs gone, work kept
    assert {path.name for path in Path("data/extracted/solos").iterdir()} == set(names)
    (raw / "-good.mp4").unlink()
    write_clip(raw / "-good.mp4", seconds=2)
    with pytest.raises(AssertionError, match="extracted again"):
        stage.main(stage_params, "solos")  # other bytes under the same name

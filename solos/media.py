"""Pictures and sound out of media files, by ffmpeg.

A recording's pictures become one archive: an uncompressed ZIP of JPEGs, of which the n-th (named
``000000.jpg`` on) is what the screen shows n/8 s into the recording. Its sound becomes mono PCM
whose first sample is the recording's time zero too, whatever the timestamps in the container.
"""

import errno
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import ffmpeg
import imageio_ffmpeg
import numpy as np
import soundfile
from PIL import Image

from solos import FRAME_RATE, SAMPLE_RATE
from solos.config import Extract
from solos.errors import UserError
from solos.files import file_hash

SILENCE = 1e-4
"""A recording whose samples all lie below this is silent (3 steps of 16-bit audio)."""
_STOPPED = 255  # ffmpeg's exit code after SIGINT and SIGTERM
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # ZIP's earliest: archives of equal pictures have equal bytes
_LOCAL_HEADER = 30  # bytes of a ZIP entry's header before its name


class MediaError(Exception):
    """A recording can't be used: ``status`` is one word for tables, the text is the reason."""

    def __init__(self, status: str, reason: str):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Probe:
    """What a container says it holds."""

    duration: float
    """Seconds; 0 where the container does not say."""
    audio: bool
    width: int
    """Pixels; 0 without a video stream (cover art is none)."""
    height: int


def ffmpeg_path() -> str:
    """The ffmpeg to use: the system's if there is one, else the one that pip installed.

    Raises:
        UserError: there is neither.
    """
    system = shutil.which("ffmpeg")
    if system:
        return system
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise UserError("no ffmpeg: install it, or `pip install imageio-ffmpeg`") from None


def probe(path: Path) -> Probe:
    """Look into a media file without decoding it.

    Raises:
        MediaError: it is missing, or no media file (or one cut before its index).
    """
    try:
        with av.open(str(path)) as container:
            if container.format.name == "tty":  # what FFmpeg makes of any .txt: a film of letters
                raise MediaError("unreadable", "a text, not a media file")
            video = [stream for stream in container.streams.video if not _is_cover(stream)]
            size = (video[0].width, video[0].height) if video else (0, 0)
            duration = (container.duration or 0) / av.time_base
            return Probe(duration, bool(container.streams.audio), *size)
    except FileNotFoundError:
        raise MediaError("missing", "the file is not there") from None
    except (av.FFmpegError, OSError) as error:
        reason = f"not a media file, or cut off before its index ({error.strerror or error})"
        raise MediaError("unreadable", reason) from None


def check_complete(path: Path) -> Probe:
    """Like :func:`probe`, but reads the file to its end, still without decoding it.

    Raises:
        MediaError: as :func:`probe`; or ``truncated``: it ends before its container says.
    """
    found = probe(path)
    with av.open(str(path)) as container:
        start = (container.start_time or 0) / av.time_base
        reached = max((_end(packet) for packet in _packets(container)), default=0.0) - start
    _require_reach(reached, found)
    return found


def _packets(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """Its packets, up to where it can be read."""
    try:
        yield from container.demux()
    except (av.FFmpegError, OSError):
        return


def _end(packet: av.Packet) -> float:
    """Seconds into the file at which what a packet holds ends; 0 for the empty last ones."""
    if packet.pts is None or not packet.size:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def extract(folder: Path, *, source: Path, settings: Extract) -> dict:
    """Take sound and pictures out of ``source`` in one ffmpeg pass.

    Writes ``audio.wav`` (mono, 11025 Hz, PCM16) and ``frames.zip`` (8 pictures a second, see
    :func:`read_frames`) into ``folder``.

    Returns:
        ``duration`` of the audio in seconds and its file's ``sha256``, ``n_frames``, ``width`` and
        ``height`` of a frame, and ``reason``: what ffmpeg complained of, empty as a rule.

    Raises:
        MediaError: unreadable, no_audio, no_video, truncated or silent.
    """
    found = probe(source)
    _require_streams(found)
    frames, wav = folder / "frames", folder / "audio.wav"
    frames.mkdir()
    stream = ffmpeg.input(str(source.absolute()), threads=1)
    outputs = [_pictures(_at_frame_rate(stream), frames, settings), _sound(stream, wav)]
    complaint = run_ffmpeg(outputs)
    n_frames = pack_frames(frames, folder / "frames.zip")
    duration = _check_sound(wav)
    _check_complete(duration, n_frames, found, complaint)
    height, width = read_frames(folder / "frames.zip", [0]).shape[1:3]
    size = {"width": width, "height": height}
    about = {"duration": round(duration, 3), "n_frames": n_frames, "sha256": file_hash(wav)}
    return about | size | {"reason": complaint}


def extract_crops(
    source: Path,
    boxes: Sequence[tuple[int, int, int, int]],
    archives: Sequence[Path],
    settings: Extract,
) -> tuple[int, str]:
    """Pictures of several regions of one video, in one ffmpeg pass: an archive for each region.

    Args:
        boxes: (x, y, width, height) in pixels.

    Returns:
        Number of pictures in each archive, and what ffmpeg complained of (empty as a rule).

    Raises:
        MediaError: nothing can be decoded.
    """
    stream = _at_frame_rate(ffmpeg.input(str(source.absolute()), threads=1)).split()
    with TemporaryDirectory(dir=archives[0].parent) as scratch:
        folders = [Path(scratch) / str(k) for k in range(len(boxes))]
        outputs = []
        for k, ((x, y, width, height), folder) in enumerate(zip(boxes, folders, strict=True)):
            folder.mkdir()
            region = stream[k].filter("crop", width, height, x, y)
            outputs.append(_pictures(region, folder, settings))
        complaint = run_ffmpeg(outputs)
        n_frames = min(len(list(folder.iterdir())) for folder in folders)
        if not n_frames:
            raise MediaError("no_video", f"no picture can be decoded {complaint}".strip())
        for folder, archive in zip(folders, archives, strict=True):
            pack_frames(folder, archive)
    return n_frames, complaint


def _require_streams(found: Probe) -> None:
    if not found.audio:
        raise MediaError("no_audio", "the file has no audio stream")
    if not found.width:
        raise MediaError("no_video", "the file has no video stream")


def _check_sound(wav: Path) -> float:
    """Duration in seconds of sound that is there and can be heard."""
    duration, peak = 0.0, 0.0
    if wav.exists():
        for block in soundfile.blocks(wav, blocksize=1 << 20, dtype="float32"):
            duration += len(block) / SAMPLE_RATE
            peak = max(peak, float(np.abs(block).max()))
    if not duration:
        raise MediaError("no_audio", "the audio stream holds nothing that can be decoded")
    if peak < SILENCE:
        raise MediaError("silent", f"no sample of the audio reaches {SILENCE:g}")
    return duration


def _check_complete(duration: float, n_frames: int, found: Probe, complaint: str) -> None:
    if not n_frames:
        raise MediaError("no_video", f"no picture can be decoded {complaint}".strip())
    _require_reach(max(duration, n_frames / FRAME_RATE), found)


def _require_reach(reached: float, found: Probe) -> None:
    if reached < found.duration - max(1.0, 0.05 * found.duration):
        raise MediaError("truncated", f"ends at {reached:.1f} s of {found.duration:.1f} s")


def _at_frame_rate(stream: ffmpeg.Stream) -> ffmpeg.Stream:
    """What the screen shows at each n/8 s: ``round=up`` never takes a picture before its time."""
    return stream["V:0"].filter("fps", fps=FRAME_RATE, start_time=0, round="up")


def _pictures(stream: ffmpeg.Stream, folder: Path, settings: Extract) -> ffmpeg.Stream:
    """JPEGs in ``folder``, pixels square, the shorter side as asked and the other one even."""
    side, shape = settings.short_side, "iw*sar/ih"
    scaled = stream.filter(
        "scale",
        w=f"if(lt({shape},1),{side},2*round({side}*{shape}/2))",
        h=f"if(lt({shape},1),2*round({side}/({shape})/2),{side})",
    ).filter("setsar", 1)
    pattern = str(folder.absolute()).replace("%", "%%") + "/%06d.jpg"
    quality = {"q:v": settings.jpeg_quality, "flags:v": "+bitexact", "threads": 1}
    return scaled.output(pattern, f="image2", start_number=0, **quality)


def _sound(stream: ffmpeg.Stream, wav: Path) -> ffmpeg.Stream:
    """A mono wav; a late start and gaps in the timestamps become silence, so that time holds."""
    timed = stream["a:0"].filter("aresample", SAMPLE_RATE, **{"async": 1, "first_pts": 0})
    exact = {"fflags": "+bitexact", "flags:a": "+bitexact", "map_metadata": -1}
    return timed.output(str(wav.absolute()), acodec="pcm_s16le", ac=1, ar=SAMPLE_RATE, **exact)


def run_ffmpeg(outputs: Sequence[ffmpeg.Stream]) -> str:
    """Run one ffmpeg for all ``outputs``, on one thread and overwriting.

    Returns:
        The first line that ffmpeg complained with and how many more there were, or "".

    Raises:
        MediaError: ffmpeg gave up.
        UserError: ffmpeg was stopped from outside, which says nothing about the recording.
        OSError: nor does a disk that can't be written to.
    """
    graph = ffmpeg.merge_outputs(*outputs).global_args(
        *("-nostdin", "-loglevel", "error", "-filter_complex_threads", "1")
    )
    process = graph.run_async(ffmpeg_path(), pipe_stderr=True, overwrite_output=True)
    _, errors = process.communicate()
    if process.returncode < 0 or process.returncode == _STOPPED:
        raise UserError(f"ffmpeg was stopped (exit code {process.returncode}): run again to go on")
    if process.returncode:
        _raise_if_disk(errors.decode(errors="replace"))
        raise MediaError("undecodable", _complaint(errors) or f"ffmpeg: {process.returncode}")
    return _complaint(errors)


def _raise_if_disk(complaint: str) -> None:
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        if os.strerror(number) in complaint:
            raise OSError(number, f"ffmpeg: {os.strerror(number)}")


def _complaint(stderr: bytes) -> str:
    text = re.sub(r" @ 0x[0-9a-f]+", "", stderr.decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"ffmpeg: {lines[0][:200]}{more}" if lines else ""


def pack_frames(folder: Path, archive: Path) -> int:
    """Move the JPEGs of ``folder``, in order, into an uncompressed ZIP; returns their number."""
    pictures = sorted(folder.glob("*.jpg"))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        for picture in pictures:
            stream.writestr(zipfile.ZipInfo(picture.name, _ZIP_TIME), picture.read_bytes())
    shutil.rmtree(folder)
    return len(pictures)


def count_frames(archive: Path) -> int:
    """Number of pictures in an archive that :func:`pack_frames` made."""
    return len(_entries(archive))


def read_frames(archive: Path, indices: Sequence[int]) -> np.ndarray:
    """Pictures of a recording by number (n/8 s into it), read at random from its archive.

    A number past either end gives the first or the last picture: a recording's sound may outlast
    its pictures a little.

    Returns:
        uint8 (len(indices), H, W, 3), RGB.

    Raises:
        FileNotFoundError: no such archive.
        ValueError: it holds no pictures.
    """
    entries = _entries(archive)
    if not len(entries):
        raise ValueError(f"{archive} holds no pictures")
    with archive.open("rb") as stream:
        wanted = entries[np.clip(indices, 0, len(entries) - 1)]
        return np.stack([_picture(stream, offset, size) for offset, size in wanted.tolist()])


def _entries(archive: Path) -> np.ndarray:
    stat = archive.stat()
    return _read_entries(archive, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2048)
def _read_entries(archive: Path, _mtime_ns: int, _size: int) -> np.ndarray:
    """Offset and size of each entry, int64 (n, 2); kept, as an hour has 28,800 entries to parse."""
    with zipfile.ZipFile(archive) as stream:
        entries = [(info.header_offset, info.file_size) for info in stream.infolist()]
    return np.array(entries, dtype=np.int64).reshape(-1, 2)


def _picture(stream: BytesIO, offset: int, size: int) -> np.ndarray:
    stream.seek(offset)
    name, extra = struct.unpack("<HH", stream.read(_LOCAL_HEADER)[26:])
    stream.seek(name + extra, 1)
    with Image.open(BytesIO(stream.read(size))) as picture:
        return np.asarray(picture.convert("RGB"))

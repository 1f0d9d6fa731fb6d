"""Pictures out of films, at 8 a second."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import ffmpeg

from solos import FRAME_RATE
from solos.config.data import Aspect, Extract
from solos.media.errors import MediaError
from solos.media.opening import locator
from solos.media.probe import Probe, probe
from solos.media.process import run_ffmpeg
from solos.storage.pictures import pack_frames


def extract_crops(
    source: Path,
    boxes: Sequence[tuple[int, int, int, int]],
    archives: Sequence[Path],
    settings: Extract,
    aspect: Aspect = "keep",
) -> tuple[int, str]:
    """Pictures of several regions of one video, in one ffmpeg pass: an archive for each region.

    Args:
        boxes: (x, y, width, height) in pixels.

    Returns:
        Number of pictures in each archive, and what ffmpeg complained of (empty as a rule).

    Raises:
        MediaError: nothing can be decoded.
    """
    stream = at_frame_rate(film(source, probe(source))).split()
    with TemporaryDirectory(dir=archives[0].parent) as scratch:
        folders = [Path(scratch) / str(k) for k in range(len(boxes))]
        outputs = []
        for k, ((x, y, width, height), folder) in enumerate(zip(boxes, folders, strict=True)):
            folder.mkdir()
            region = stream[k].filter("crop", width, height, x, y)
            outputs.append(pictures(region, folder, settings, aspect))
        complaint = run_ffmpeg(outputs)
        n_frames = min(len(list(folder.iterdir())) for folder in folders)
        if not n_frames:
            raise MediaError("no_video", f"no picture can be decoded {complaint}".strip())
        for folder, archive in zip(folders, archives, strict=True):
            pack_frames(folder, archive)
    return n_frames, complaint


def film(source: Path, found: Probe) -> ffmpeg.Stream:
    """A file's pictures as players show them, all as large as the first, from its time zero on.

    ffmpeg would build its filters anew where a picture's size changes, and with them the time that
    they count from. So they are kept, and what comes is scaled to what they know.

    Raises:
        MediaError: its name is none that can be handed to ffmpeg.
    """
    try:
        str(source).encode()
    except UnicodeEncodeError:
        raise MediaError("unreadable", "its name is not in UTF-8: rename it") from None
    as_stored = {"noautorotate": None, "reinit_filter:v": 0}
    as_stored |= {"itsoffset": f"{found.late:.6f}"} if found.late else {}
    stream = ffmpeg.input(locator(source), threads=1, **as_stored)
    stream = stream["V:0"].filter("scale", *found.stored)
    for turn in found.turns:
        stream = stream.filter(*turn)
    # What is turned must not tell the next player to turn it again.
    return stream.filter("sidedata", "delete", "DISPLAYMATRIX") if found.turns else stream


def at_frame_rate(stream: ffmpeg.Stream) -> ffmpeg.Stream:
    """What the screen shows at each n/8 s: ``round=up`` never takes a picture before its time."""
    return stream.filter("fps", fps=FRAME_RATE, start_time=0, round="up")


def unequal_ends(seen: float, heard: float) -> str:
    """A remark where ``seen`` seconds of pictures end more than one before or after the sound."""
    lacking = heard - seen
    if abs(lacking) <= 1.0:
        return ""
    return f"the video ends {abs(lacking):.1f} s {'before' if lacking > 0 else 'after'} the audio"


def pictures(
    stream: ffmpeg.Stream, folder: Path, settings: Extract, aspect: Aspect
) -> ffmpeg.Stream:
    """JPEGs in ``folder``, the shorter side as asked and the other one even, or both as asked."""
    side, shape = settings.short_side, "iw*sar/ih"
    size = {"w": side, "h": side}
    if aspect == "keep":
        size["w"] = f"if(lt({shape},1),{side},2*round({side}*{shape}/2))"
        size["h"] = f"if(lt({shape},1),2*round({side}/({shape})/2),{side})"
    scaled = stream.filter("scale", **size).filter("setsar", 1)
    pattern = str(folder.absolute()).replace("%", "%%") + "/%06d.jpg"
    quality = {"q:v": settings.jpeg_quality, "flags:v": "+bitexact", "threads": 1}
    return scaled.output(pattern, f="image2", start_number=0, **quality)

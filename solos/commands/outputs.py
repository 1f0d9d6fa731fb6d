"""What ``solos separate`` writes: sounds, films and maps."""

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import ffmpeg
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from solos.errors import UserError
from solos.media.crops import Box
from solos.media.opening import locator
from solos.media.pictures import film, unequal_ends
from solos.media.probe import ends, probe
from solos.media.process import run_ffmpeg
from solos.media.writing import HEADER, writing

REPORT = "separation.json"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_LARGEST = 2**32 - HEADER  # bytes of a WAV, whose header counts them by 32 bits


def require_apart(folder: Path, names: Sequence[str], inputs: Iterable[Path]) -> None:
    """To overwrite is meant of earlier estimates, not of what is to be separated.

    Raises:
        UserError: an input lies where a file of ``names`` is to be.
    """
    taken = set(_identities(inputs))
    for target in (folder / name for name in names):
        if taken & set(_identities([target])):
            raise UserError(f"{target} is an input, and would be replaced: choose another --out")


def _identities(paths: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """Of those files that are there, by whatever names."""
    for path in paths:
        with suppress(OSError):
            about = path.stat()
            yield about.st_dev, about.st_ino


@contextmanager
def published(folder: Path, names: Sequence[str], overwrite: bool) -> Iterator[Path]:
    """A temporary folder, whose files ``names`` are moved into ``folder`` at the end.

    The last one is the report: where it is, the others are complete.

    Raises:
        UserError: a file of those is there and may not be overwritten.
    """
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise UserError(f"{folder / there[0]} is there: use --overwrite, or another --out")
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _named(folder), TemporaryDirectory(prefix=".solos-", dir=folder) as scratch:
            yield Path(scratch)
            (folder / names[-1]).unlink(missing_ok=True)
            for name in names:
                (Path(scratch) / name).replace(folder / name)
    finally:
        if new:
            with suppress(OSError):  # it holds something: what was made
                folder.rmdir()


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """A full disk is that of ``folder``, whoever met it: ffmpeg, libsndfile, Python."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL or error.filename is None:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise


def write_sounds(
    paths: Sequence[Path],
    stretches: Iterable[NDArray[np.float32]],
    rate: int,
    length: int,
    subtype: str,
) -> list[str]:
    """Write (n_src, n) stretches of estimates as they come, a WAV a source, cut to ``length``.

    Returns:
        Which ones go beyond full scale, where 16 bits cut them (floats keep them), as remarks.

    Raises:
        UserError: they would be larger than a WAV can be.
        OSError: the disk is full, or refuses them otherwise.
    """
    if length * {"PCM_16": 2, "FLOAT": 4}[subtype] > _LARGEST:
        raise UserError(
            f"{length / rate / 3600:.1f} h are more than a WAV holds: see --bits, --rate"
        )
    peaks, kind = np.zeros(len(paths)), (rate, 1, subtype)
    with writing(paths, *kind) as sounds:
        for stretch in stretches:
            peaks = np.maximum(peaks, np.abs(stretch).max(axis=1, initial=0))
            for sound, wave in zip(sounds, stretch, strict=True):
                sound.write(wave[: length - sound.frames])
    for path in paths:
        _forget_time(path)
    loud = [(path.name, peak) for path, peak in zip(paths, peaks, strict=True) if peak > 1]
    return [
        f"{name} is cut at full scale, reaching {peak:.3g} of it: --bits 32"
        for name, peak in loud
        if subtype == "PCM_16"
    ]


def _forget_time(wav: Path) -> None:
    """libsndfile notes the time of writing in its PEAK chunk: equal sounds, unequal bytes."""
    with wav.open("r+b") as stream:
        place = stream.read(HEADER).find(b"PEAK")
        if place >= 0:
            stream.seek(place + 12)
            stream.write(bytes(4))


def write_film(path: Path, *, video: Path, box: Box, sound: Path) -> tuple[str, str]:
    """A region of a video with another sound (H.264 and AAC).

    Returns:
        What ffmpeg complained of, and which of both ends early; empty as a rule.
    """
    x, y, width, height = box
    even = (width // 2 * 2, height // 2 * 2, x, y)  # colour is stored for pairs of pixels
    picture = film(video, probe(video)).filter("crop", *even)
    exact = {"fflags": "+bitexact", "flags": "+bitexact", "map_metadata": -1}
    codecs = {"vcodec": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", "acodec": "aac"}
    wave = ffmpeg.input(locator(sound))["a:0"]
    complaint = run_ffmpeg([ffmpeg.output(picture, wave, locator(path), **codecs, **exact)])
    return complaint, unequal_ends(*ends(path))


def write_map(path: Path, picture: NDArray[np.uint8], energies: NDArray[np.float32]) -> None:
    """A picture (H, W, 3) with where its sound is, in colours: energies (h, w) over the largest."""
    height, width = picture.shape[:2]
    level = Image.fromarray(energies / max(float(energies.max()), 1e-12)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    colours = mpl.colormaps["inferno"](np.asarray(level))[..., :3] * 255
    Image.fromarray((0.4 * picture + 0.6 * colours).astype(np.uint8)).save(path)


def counted(
    stretches: Iterable[NDArray[np.float32]], count: Callable[[int], object]
) -> Iterator[NDArray[np.float32]]:
    """The same, telling of how many samples each one is."""
    for stretch in stretches:
        yield stretch
        count(stretch.shape[-1])

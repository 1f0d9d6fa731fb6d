"""A solo recording's pictures and sound, in one ffmpeg pass.

The sound becomes mono PCM whose first sample is the recording's time zero, as picture 0 is,
whatever the timestamps in the container.
"""

from pathlib import Path

import ffmpeg
import numpy as np
import soundfile

from solos import FRAME_RATE, SAMPLE_RATE
from solos.config.data import Aspect, Extract
from solos.media.errors import MediaError, failure, number_said
from solos.media.pictures import at_frame_rate, pictures
from solos.media.probe import Probe, probe, require_reach
from solos.media.process import run_ffmpeg
from solos.storage.files import file_hash
from solos.storage.pictures import pack_frames, read_frames

SILENCE = 1e-4
"""A recording whose samples all lie below this is silent (3 steps of 16-bit audio)."""


def extract(
    folder: Path,
    *,
    source: Path,
    settings: Extract,
    aspect: Aspect | None = "keep",
) -> dict:
    """Take sound and pictures out of ``source`` in one ffmpeg pass.

    Writes ``audio.wav`` (mono, 11025 Hz, PCM16) and ``frames.zip`` (8 pictures a second, see
    :func:`read_frames`) into ``folder``.

    Args:
        aspect: of the pictures; None for sound alone, of which no video is needed.

    Returns:
        ``duration`` of the audio in seconds and its file's ``sha256``, ``n_frames``, ``width`` and
        ``height`` of a frame, and ``reason``: what ffmpeg complained of, empty as a rule.

    Raises:
        MediaError: unreadable, no_audio, no_video, truncated or silent.
    """
    found = probe(source)
    _require_streams(found, seen=bool(aspect))
    frames, wav = folder / "frames", folder / "audio.wav"
    stream = ffmpeg.input(str(source.absolute()), threads=1)
    outputs = [sound(stream, wav)]
    if aspect:
        frames.mkdir()
        outputs.insert(0, pictures(at_frame_rate(stream), frames, settings, aspect))
    complaint = run_ffmpeg(outputs)
    n_frames = pack_frames(frames, folder / "frames.zip") if aspect else 0
    try:
        duration = _check_sound(wav)
        if aspect and not n_frames:
            raise MediaError("no_video", f"no picture can be decoded {complaint}".strip())
        require_reach(max(duration, n_frames / FRAME_RATE), found)
    except MediaError as error:  # ffmpeg may end well after having had no memory
        raise failure(error.status, number_said(complaint), str(error)) from None
    about = {"duration": round(duration, 3), "n_frames": n_frames, "sha256": file_hash(wav)}
    if aspect:
        height, width = read_frames(folder / "frames.zip", [0]).shape[1:3]
        about |= {"width": width, "height": height}
    return about | {"reason": complaint}


def _require_streams(found: Probe, *, seen: bool) -> None:
    if not found.audio:
        raise MediaError("no_audio", "the file has no audio stream")
    if seen and not found.width:
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


def sound(stream: ffmpeg.Stream, wav: Path) -> ffmpeg.Stream:
    """A mono wav; a late start and gaps in the timestamps become silence, so that time holds."""
    timed = stream["a:0"].filter("aresample", SAMPLE_RATE, **{"async": 1, "first_pts": 0})
    exact = {"fflags": "+bitexact", "flags:a": "+bitexact", "map_metadata": -1}
    return timed.output(str(wav.absolute()), acodec="pcm_s16le", ac=1, ar=SAMPLE_RATE, **exact)

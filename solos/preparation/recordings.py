"""A solo recording's pictures and sound.

The sound becomes mono PCM whose first sample is the recording's time zero, as picture 0 is,
whatever the timestamps in the container.
"""

from pathlib import Path

from solos import FRAME_RATE, SAMPLE_RATE
from solos.config.data import Aspect, Extract
from solos.media.errors import MediaError, failure, number_said
from solos.media.facts import SILENCE, Facts
from solos.media.pictures import at_frame_rate, film, pictures, unequal_ends
from solos.media.probe import Probe, probe, require_reach
from solos.media.process import run_ffmpeg
from solos.media.sound import write_mono
from solos.storage.files import file_hash
from solos.storage.pictures import pack_frames, read_frames


def extract(
    folder: Path,
    *,
    source: Path,
    settings: Extract,
    aspect: Aspect | None = "keep",
) -> dict:
    """Take sound and pictures out of ``source``.

    Writes ``audio.wav`` (mono, 11025 Hz, PCM16) and ``frames.zip`` (8 pictures a second, see
    :func:`read_frames`) into ``folder``.

    Args:
        aspect: of the pictures; None for sound alone, of which no video is needed.

    Returns:
        ``duration`` of the audio in seconds and its file's ``sha256``, ``n_frames``, ``width`` and
        ``height`` of a frame, and ``reason``: what is remarkable, empty as a rule.

    Raises:
        MediaError: unreadable, no_audio, no_video, truncated or silent.
    """
    found = probe(source)
    _require_streams(found, seen=bool(aspect))
    complaint, wav = "", folder / "audio.wav"
    if aspect:
        frames = folder / "frames"
        frames.mkdir()
        stream = at_frame_rate(film(source, found))
        complaint = run_ffmpeg([pictures(stream, frames, settings, aspect)])
    n_frames = pack_frames(frames, folder / "frames.zip") if aspect else 0
    try:
        n_samples, peak, facts = write_mono(source, wav)
        duration = n_samples / SAMPLE_RATE
        _require_sound(peak, facts)
        if aspect and not n_frames:
            raise MediaError("no_video", f"no picture can be decoded {complaint}".strip())
        require_reach(max(duration, n_frames / FRAME_RATE), found)
    except MediaError as error:  # ffmpeg may end well after having had no memory
        raise failure(error.status, number_said(complaint), str(error)) from None
    about = {"duration": round(duration, 3), "n_frames": n_frames, "sha256": file_hash(wav)}
    ends = ""
    if aspect:
        height, width = read_frames(folder / "frames.zip", [0]).shape[1:3]
        about |= {"width": width, "height": height}
        ends = unequal_ends(n_frames / FRAME_RATE, duration)
    return about | {"reason": "; ".join(filter(None, (complaint, *facts.remarks(), ends)))}


def _require_streams(found: Probe, *, seen: bool) -> None:
    if not found.audio:
        raise MediaError("no_audio", "the file has no audio stream")
    if seen and not found.width:
        raise MediaError("no_video", "the file has no video stream")


def _require_sound(peak: float, facts: Facts) -> None:
    if peak < SILENCE:
        why = "the channels cancel each other: " if facts.cancelled else ""
        raise MediaError("silent", f"{why}no sample of the audio reaches {SILENCE:g}")

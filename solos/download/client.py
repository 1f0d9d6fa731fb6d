"""yt-dlp as it is used here: politely, resuming, giving up on what is too slow."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from yt_dlp import YoutubeDL
from yt_dlp.utils import DownloadError

from solos.config.data import Download
from solos.download.outcomes import UnwantedError
from solos.media.process import ffmpeg_path

log = logging.getLogger(__name__)

_NOT_YET = {
    "is_live": ("live", "a live stream, which has no end: tried again once it is a recording"),
    "post_live": ("live", "a live stream that has ended and is not a whole recording yet"),
    "is_upcoming": ("upcoming", "not broadcast yet"),
}
_MOST_A_SECOND = 1_000_000  # bytes of a film, generously


def download(url: str, folder: Path, settings: Download) -> Path:
    """Fetch one URL to ``folder/media.<ext>``, going on with what an earlier attempt left there.

    Raises:
        DownloadError: yt-dlp's, with YouTube's answer.
        UnwantedError: it is no recording yet, or longer than ``settings.max_duration``.
    """
    with YoutubeDL(options(url, folder, settings)) as client:
        info = client.extract_info(url)
    if "requested_downloads" not in info:
        raise DownloadError("Unsupported URL: it holds no video, or several")
    return folder / Path(info["requested_downloads"][0]["filepath"]).name


def _duration_guard(settings: Download) -> Callable[..., None]:
    """A filter that refuses, before a byte is fetched, what would not end, or not soon enough."""

    def guard(info: dict, *, incomplete: object = False) -> None:
        del incomplete  # what is asked for here is known before the formats are
        if info.get("live_status") in _NOT_YET:
            raise UnwantedError(*_NOT_YET[info["live_status"]])
        require_short(info.get("duration") or 0.0, settings)

    return guard


def require_short(seconds: float, settings: Download) -> None:
    """Raise :class:`UnwantedError` for a recording of more than ``settings.max_duration``."""
    if seconds > settings.max_duration:
        reason = f"{seconds:.0f} s long, above download.max_duration ({settings.max_duration:g})"
        raise UnwantedError("too_long", reason, seconds)


def _progress_guard(settings: Download) -> Callable[[dict], None]:
    """A hook that gives up on a file that arrives below ``settings.min_rate``, or has no end.

    A recording can be several files: its pictures and its sound. One whose length nobody says may
    be a stream that goes on for ever.
    """
    starts: dict[str, tuple[float, int]] = {}

    def guard(progress: dict) -> None:
        now, found = time.monotonic(), progress.get("downloaded_bytes") or 0
        began, had = starts.setdefault(progress.get("filename", ""), (now, found))
        seconds, gained = now - began, found - had
        if seconds > settings.timeout and gained < settings.min_rate * seconds:
            raise DownloadError(f"given up at {gained / seconds:.0f} bytes/s (download.min_rate)")
        if progress.get("total_bytes") or progress.get("fragment_count"):
            return
        if max(seconds, found / _MOST_A_SECOND) > settings.max_duration:
            reason = f"no end after {found} bytes and {seconds:.0f} s (download.max_duration)"
            raise UnwantedError("live", reason)

    return guard


def options(url: str, folder: Path, settings: Download) -> dict:
    """yt-dlp's options. Retries have to be spelt out: its API has none, its command line ten."""
    pauses = ("sleep_interval", "max_sleep_interval", "sleep_interval_requests")
    retries = dict.fromkeys(("retries", "fragment_retries"), settings.retries)
    retries["extractor_retries"] = min(settings.retries, 3)  # as its command line has it
    return {
        "format": settings.format,
        # Relative, as yt-dlp would expand a $ or ~ in the project's own path.
        "outtmpl": os.path.relpath(folder).replace("%", "%%") + "/media.%(ext)s",
        "ffmpeg_location": ffmpeg_path(),
        "enable_file_urls": url.startswith("file:"),
        "noplaylist": True,
        "socket_timeout": settings.timeout,
        "match_filter": _duration_guard(settings),
        "progress_hooks": [_progress_guard(settings)],
        "logger": _Quiet(),
        "quiet": True,
        "noprogress": True,
        "color": {"stdout": "no_color", "stderr": "no_color"},
        "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), _back_off),
        **retries,
        **{pause: getattr(settings, pause) for pause in pauses},
        **settings.options.model_dump(exclude_none=True),
    }


def _back_off(n: int) -> float:
    """Seconds to wait after failure number ``n`` (from 0): doubling, at most a minute."""
    return min(2.0**n, 60.0)


class _Quiet:
    """yt-dlp's own messages, for those who turn debugging on: the table tells what failed."""

    debug: Callable = staticmethod(log.debug)
    info = warning = error = debug

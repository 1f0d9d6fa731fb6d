"""yt-dlp as it is used here: politely, resuming, giving up on what is too slow."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from yt_dlp import YoutubeDL
from yt_dlp.utils import DownloadError

from solos.config.data import Download
from solos.media.process import ffmpeg_path

log = logging.getLogger(__name__)


def download(url: str, folder: Path, settings: Download) -> Path:
    """Fetch one URL to ``folder/media.<ext>``, going on with what an earlier attempt left there.

    Raises:
        DownloadError: yt-dlp's, with YouTube's answer.
    """
    with YoutubeDL(options(url, folder, settings)) as client:
        info = client.extract_info(url)
    if "requested_downloads" not in info:
        raise DownloadError("Unsupported URL: it holds no video, or several")
    return folder / Path(info["requested_downloads"][0]["filepath"]).name


def _slowness_guard(settings: Download) -> Callable[[dict], None]:
    """A progress hook that gives up on a file that arrives below ``settings.min_rate``.

    A recording can be several files: its pictures and its sound.
    """
    starts: dict[str, tuple[float, int]] = {}

    def guard(progress: dict) -> None:
        now, found = time.monotonic(), progress.get("downloaded_bytes") or 0
        began, had = starts.setdefault(progress.get("filename", ""), (now, found))
        seconds, gained = now - began, found - had
        if seconds > settings.timeout and gained < settings.min_rate * seconds:
            raise DownloadError(f"given up at {gained / seconds:.0f} bytes/s (download.min_rate)")

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
        "progress_hooks": [_slowness_guard(settings)],
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

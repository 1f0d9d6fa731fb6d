"""Fetching recordings with yt-dlp, politely, and saying what became of each.

Downloads land in a store: a folder a recording, named after its id and a fingerprint of what was
asked for. What is there is never fetched again, a half-fetched file is gone on with, and a video
that is gone for good is not asked for again unless that is wanted; all other failures are tried
again by the next run.

What can become of a recording: ``ok``; ``private``, ``removed``, ``terminated`` (its account),
``geo``, ``age``, ``members``, ``unavailable``: YouTube's answers for good; ``missing``: a local
file that is absent or empty; ``rate_limited`` and ``blocked``: YouTube refuses this guest;
``environment``: network, disk, an outdated yt-dlp, or a file that is no video or not all of one;
``pending``: not tried.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlsplit

from yt_dlp import YoutubeDL
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadError, GeoRestrictedError, YoutubeDLError

from solos.config import Download
from solos.errors import UserError
from solos.files import atomic, file_hash, fingerprint
from solos.index import Recording
from solos.media import MediaError, check_complete, ffmpeg_path

log = logging.getLogger(__name__)

GONE = ("private", "removed", "terminated", "geo", "age", "members", "unavailable")
"""Statuses that trying again would not change."""

# Tried in this order: YouTube begins many different answers with "Video unavailable".
_RULES = (
    ("rate_limited", r"try again later|rate.?limited"),
    ("blocked", r"not a bot|IP is likely being blocked"),
    ("age", r"confirm your age|age.restricted"),
    ("private", r"private video|video is private"),
    ("terminated", r"account.{0,60}terminated|closed their YouTube account"),
    ("geo", r"in your country|from your location|geo.?restrict|HTTP Error 451"),
    ("removed", r"removed|copyright claim"),
    ("members", r"members.only|channel's members|join this channel"),
    ("missing", r"\[Errno 2\]|Did not get any data blocks"),
    ("unavailable", r"video unavailable|video is (unavailable|not available)|HTTP Error (404|410)"),
    ("unavailable", r"(not|isn.t) available anymore|recording is not available"),
    ("unavailable", r"requires payment|DRM protected"),
    ("environment", r"."),
)
_PATTERNS = tuple((status, re.compile(text, re.IGNORECASE | re.DOTALL)) for status, text in _RULES)
# Failures that the next recording would meet as well: after several in a row, asking is pointless.
_REFUSED = re.compile(
    r"HTTP Error 429|\[Errno 28\]|name resolution|Name or service not known|getaddrinfo failed"
    r"|nodename nor servname|Network is unreachable|No route to host|Connection refused",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Outcome:
    """What became of a recording."""

    status: str
    reason: str = ""
    file: str = ""
    """Path in the store, of an ``ok`` one."""
    bytes: int = 0
    duration: float = 0.0
    """Seconds, as far as the file says."""
    resolution: str = ""
    sha256: str = ""
    attempts: int = 0


def classify(message: str, cause: BaseException | None = None) -> str:
    """The status that an error of yt-dlp stands for.

    Args:
        cause: the exception behind the message, where yt-dlp has a class for it.
    """
    for status, pattern in _PATTERNS:
        if status == "geo" and isinstance(cause, GeoRestrictedError):
            return status
        if pattern.search(message):
            return status
    return "environment"


class Fetcher:
    """Fetches recordings into ``store``; may be called from several threads.

    After ``settings.refusals`` refusals in a row it asks no more, and what it is then asked for
    stays ``pending``. Where a server says how long to wait (Retry-After), no thread asks before.

    Raises:
        UserError: the store can't be written to, or there is no such file of cookies.
    """

    def __init__(self, store: Path, settings: Download):
        self.store, self.settings = store.absolute(), settings
        self._refusals = 0
        self._not_before = 0.0  # by time.monotonic()
        cookies = settings.options.cookiefile
        if cookies and not Path(cookies).is_file():
            raise UserError(f"download.options.cookiefile: {cookies} is not there")
        self._lock = Lock()

    @property
    def tripped(self) -> bool:
        """Whether asking on has been given up."""
        return self._refusals >= self.settings.refusals

    def __call__(self, recording: Recording) -> Outcome:
        folder = self.store / f"{recording.id}.{_key(recording.url, self.settings.format)}"
        known = self._recall(folder)
        if known.status == "ok" or (known.status in GONE and not self.settings.retry_dead):
            return known
        time.sleep(max(0.0, self._not_before - time.monotonic()))
        if self.tripped:
            reason = f"not tried: {self.settings.refusals} refusals in a row"
            return replace(known, status="pending", reason=reason)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            outcome = replace(self._attempt(recording.url, folder), attempts=known.attempts + 1)
            with atomic(folder / "status.json") as temporary:
                temporary.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{folder}: {error.strerror or error}. Put that right and run the same command "
                "again: what has been downloaded is kept"
            ) from error
        return outcome

    def _recall(self, folder: Path) -> Outcome:
        """What an earlier run noted; a file that has vanished since counts as pending."""
        try:
            text = (folder / "status.json").read_text(encoding="utf-8")
            known = Outcome(**json.loads(text))
        except (FileNotFoundError, ValueError, TypeError):  # none, or half of one after a crash
            return Outcome("pending")
        file = self.store / known.file
        if known.status == "ok" and not (file.is_file() and file.stat().st_size == known.bytes):
            return Outcome("pending", attempts=known.attempts)
        return known

    def _attempt(self, url: str, folder: Path) -> Outcome:
        try:
            file = download(url, folder, self.settings)
        except (YoutubeDLError, OSError) as error:
            outcome = _failure(error, url)
            self._count(_is_refusal(outcome))
            self._wait(_retry_after(error))
            return outcome
        self._count(refused=False)
        return _inspect(file, self.store)

    def _wait(self, seconds: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _count(self, refused: bool) -> None:
        with self._lock:
            if not self.tripped:  # once given up, a download that was under way changes nothing
                self._refusals = self._refusals + 1 if refused else 0


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


def _key(url: str, form: str) -> str:
    """A local file's bytes count as well: it may have been rendered anew under the same name."""
    path = Path(unquote(urlsplit(url).path))
    local = url.startswith("file:") and path.is_file()
    return fingerprint(url, form, file_hash(path) if local else "")


def _inspect(file: Path, store: Path) -> Outcome:
    """What was fetched; removed if it is no video or not all of one, so that it is fetched anew."""
    try:
        found = check_complete(file)
    except MediaError as error:
        file.unlink()
        return Outcome("environment", str(error))
    return Outcome(
        "ok",
        file=file.relative_to(store).as_posix(),
        bytes=file.stat().st_size,
        duration=round(found.duration, 3),
        resolution=f"{found.width}x{found.height}" if found.width else "",
        sha256=file_hash(file),
    )


def _failure(error: Exception, url: str) -> Outcome:
    cause = next((cause for cause in _causes(error) if isinstance(cause, GeoRestrictedError)), None)
    status = classify(str(error), cause)
    if status == "missing" and url.startswith("file:"):
        return Outcome(status, "no such file, or an empty one")
    return Outcome("environment" if status == "missing" else status, _tidy(str(error), url))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error of yt-dlp and those behind it."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = getattr(error, "exc_info", None)
        error = (inner and inner[1]) or getattr(error, "cause", None) or error.__cause__


def _retry_after(error: BaseException) -> float:
    """Seconds that the server asks to wait, at most ten minutes; 0 if it does not say."""
    for cause in _causes(error):
        if isinstance(cause, HTTPError):
            asked = cause.response.headers.get("Retry-After", "")
            return min(float(asked), 600.0) if asked.isdigit() else 0.0
    return 0.0


def _tidy(message: str, url: str) -> str:
    """One line, without yt-dlp's prefixes, its request to report a bug, and the cause's cause."""
    text = re.sub(r"^ERROR: (\[[^\]]*\] ([\w-]+: )?)?", "", message.replace(url, "the URL"))
    text = re.split(r"; please report this issue on| \(caused by ", text)[0]
    return " ".join(text.split())[:300]


def _is_refusal(outcome: Outcome) -> bool:
    return outcome.status in ("rate_limited", "blocked") or bool(_REFUSED.search(outcome.reason))

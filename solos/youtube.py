"""Fetching recordings with yt-dlp, politely, and saying what became of each.

Downloads land in a store: a folder a recording, named after its id and a fingerprint of what was
asked for. What is there is never fetched again, a half-fetched file is gone on with, and a video
that is gone for good is not asked for again; all other failures are tried again by the next run.

What can become of a recording: ``ok``; ``private``, ``removed``, ``terminated`` (its account),
``geo``, ``age``, ``members``, ``unavailable``: YouTube's answers for good; ``missing``: a local
file that is absent or empty; ``rate_limited`` and ``blocked``: YouTube refuses this guest;
``environment``: network, disk or an outdated yt-dlp; ``pending``: not tried.
"""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlsplit

from yt_dlp import YoutubeDL
from yt_dlp.utils import DownloadError, GeoRestrictedError, YoutubeDLError

from solos.config import Download
from solos.files import atomic, file_hash, fingerprint
from solos.index import Recording
from solos.media import MediaError, ffmpeg_path, probe

log = logging.getLogger(__name__)

GONE = ("private", "removed", "terminated", "geo", "age", "members", "unavailable")
"""Statuses that trying again would not change."""

# Tried in this order: YouTube begins many different answers with "Video unavailable".
_RULES = (
    ("rate_limited", r"try again later|rate.?limited"),
    ("blocked", r"not a bot|IP is likely being blocked"),
    ("age", r"confirm your age|age.restricted"),
    ("private", r"private video|video is private"),
    ("terminated", r"account.{0,60}terminated"),
    ("geo", r"in your country|from your location|geo.?restrict"),
    ("removed", r"removed|copyright claim"),
    ("members", r"members.only|channel's members|join this channel"),
    ("missing", r"\[Errno 2\]|Did not get any data blocks"),
    ("unavailable", r"video unavailable|video is (unavailable|not available)|HTTP Error (404|410)"),
    ("unavailable", r"unsupported URL"),
    ("environment", r"."),
)
_PATTERNS = tuple((status, re.compile(text, re.IGNORECASE | re.DOTALL)) for status, text in _RULES)
# Failures that the next recording would meet as well: after several in a row, asking is pointless.
_REFUSED = re.compile(
    r"HTTP Error 429|\[Errno 28\]|name resolution|Name or service not known|getaddrinfo failed"
    r"|nodename nor servname|Network is unreachable|No route to host",
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
    stays ``pending``.
    """

    def __init__(self, store: Path, settings: Download):
        self.store, self.settings = store.absolute(), settings
        self._refusals = 0
        self._lock = Lock()

    @property
    def tripped(self) -> bool:
        """Whether asking on has been given up."""
        return self._refusals >= self.settings.refusals

    def __call__(self, recording: Recording) -> Outcome:
        folder = self.store / f"{recording.id}.{_key(recording.url, self.settings.format)}"
        known = self._recall(folder)
        if known.status in ("ok", *GONE):
            return known
        if self.tripped:
            reason = f"not tried: {self.settings.refusals} refusals in a row"
            return replace(known, status="pending", reason=reason)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = replace(self._attempt(recording.url, folder), attempts=known.attempts + 1)
        with atomic(folder / "status.json") as temporary:
            temporary.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        return outcome

    def _recall(self, folder: Path) -> Outcome:
        """What an earlier run noted; a file that has vanished since counts as pending."""
        note = folder / "status.json"
        if not note.exists():
            return Outcome("pending")
        known = Outcome(**json.loads(note.read_text(encoding="utf-8")))
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
            return outcome
        self._count(refused=False)
        return replace(_success(file), file=file.relative_to(self.store).as_posix())

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
    return Path(info["requested_downloads"][0]["filepath"])


def options(url: str, folder: Path, settings: Download) -> dict:
    """yt-dlp's options. Retries have to be spelt out: its API has none, its command line ten."""
    pauses = ("sleep_interval", "max_sleep_interval", "sleep_interval_requests")
    retries = dict.fromkeys(("retries", "fragment_retries", "extractor_retries"), settings.retries)
    return {
        "format": settings.format,
        "outtmpl": str(folder).replace("%", "%%") + "/media.%(ext)s",
        "ffmpeg_location": ffmpeg_path(),
        "enable_file_urls": url.startswith("file:"),
        "noplaylist": True,
        "logger": _Quiet(),
        "quiet": True,
        "noprogress": True,
        "color": {"stdout": "no_color", "stderr": "no_color"},
        "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), _back_off),
        **retries,
        **{pause: getattr(settings, pause) for pause in pauses},
        **settings.options,
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


def _success(file: Path) -> Outcome:
    size = file.stat().st_size
    try:
        found = probe(file)
    except MediaError as error:  # fetched all the same; what can't be used is for `extract` to say
        return Outcome("ok", str(error), bytes=size)
    resolution = f"{found.width}x{found.height}" if found.width else ""
    return Outcome("ok", bytes=size, duration=round(found.duration, 3), resolution=resolution)


def _failure(error: Exception, url: str) -> Outcome:
    cause = error.exc_info[1] if getattr(error, "exc_info", None) else None
    status = classify(str(error), cause)
    if status == "missing" and url.startswith("file:"):
        return Outcome(status, "no such file, or an empty one")
    return Outcome("environment" if status == "missing" else status, _tidy(str(error), url))


def _tidy(message: str, url: str) -> str:
    """One line, without yt-dlp's prefix, its request to report a bug, and this machine's paths."""
    text = re.sub(r"^ERROR: (\[[^\]]*\] )?", "", message.replace(url, "the URL"))
    text = text.split("; please report this issue on")[0]
    return " ".join(text.split())[:300]


def _is_refusal(outcome: Outcome) -> bool:
    return outcome.status in ("rate_limited", "blocked") or bool(_REFUSED.search(outcome.reason))

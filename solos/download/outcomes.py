"""What can become of a recording, and which answer of YouTube means what.

``ok``; ``private``, ``removed``, ``terminated`` (its account), ``geo``, ``age``, ``members``,
``unavailable``: YouTube's answers for good; ``too_long``: longer than is wanted; ``live`` and
``upcoming``: not a recording yet; ``missing``: a local file that is absent or empty;
``rate_limited`` and ``blocked``: YouTube refuses this guest; ``environment``: network, disk, an
outdated yt-dlp, or a file that is no video or not all of one; ``pending``: not tried.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import GeoRestrictedError, YoutubeDLError

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
    ("upcoming", r"will begin (in|shortly)|premieres in|not currently live"),
    ("live", r"live event has ended"),
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
    """Name of an ``ok`` one."""
    bytes: int = 0
    duration: float = 0.0
    """Seconds, as far as the file says."""
    resolution: str = ""
    sha256: str = ""
    attempts: int = 0


class UnwantedError(YoutubeDLError):
    """What could be fetched and should not be: ``live``, ``upcoming`` or ``too_long``."""

    def __init__(self, status: str, reason: str, seconds: float = 0.0):
        super().__init__(reason)
        self.outcome = Outcome(status, reason, duration=round(seconds, 3))


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


def failure_of(error: Exception, url: str) -> Outcome:
    """What became of a recording that yt-dlp, or this project, gave up on."""
    if isinstance(error, UnwantedError):
        return error.outcome
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


def retry_after(error: BaseException) -> float:
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


def is_refusal(outcome: Outcome) -> bool:
    return outcome.status in ("rate_limited", "blocked") or bool(_REFUSED.search(outcome.reason))

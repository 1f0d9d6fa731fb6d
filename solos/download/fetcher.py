"""Fetching recordings, one call each, from as many threads as are wanted.

What is there is never fetched again, a half-fetched file is gone on with, and a video that is gone
for good is not asked for again unless that is wanted; all other failures are tried again by the
next run.
"""

import time
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlsplit

from yt_dlp.utils import YoutubeDLError

from solos.config.data import Download
from solos.datasets.index import Recording
from solos.download.client import download, require_short
from solos.download.outcomes import (
    GONE,
    Outcome,
    UnwantedError,
    failure_of,
    is_refusal,
    retry_after,
)
from solos.errors import UserError
from solos.media.errors import MediaError
from solos.media.probe import check_complete
from solos.storage.cache import read_result
from solos.storage.files import empty, file_hash


class Fetcher:
    """Fetches recordings; may be called from several threads.

    After ``settings.refusals`` refusals in a row it asks no more, and what it is then asked for
    stays ``pending``. Where a server says how long to wait (Retry-After), no thread asks before.

    Raises:
        UserError: the folder can't be written to, or there is no such file of cookies.
    """

    def __init__(self, settings: Download):
        self.settings = settings
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

    def is_final(self, outcome: dict) -> bool:
        """Whether a recording is there, or gone for good: the next run then asks no more."""
        status = outcome["status"]
        if status == "too_long":
            return outcome["duration"] > self.settings.max_duration
        return status == "ok" or (status in GONE and not self.settings.retry_dead)

    def __call__(self, recording: Recording, folder: Path) -> dict:
        """Fetch ``folder/<id>.<ext>``, going on with what an earlier attempt left there.

        Returns:
            The fields of :class:`Outcome`; of a failure ``status``, ``reason`` and ``attempts``.
        """
        attempts = (read_result(folder) or {}).get("attempts", 0)
        time.sleep(max(0.0, self._not_before - time.monotonic()))
        if self.tripped:
            reason = f"not tried: {self.settings.refusals} refusals in a row"
            return {"status": "pending", "reason": reason, "attempts": attempts}
        try:
            outcome = replace(self._attempt(recording, folder), attempts=attempts + 1)
        except OSError as error:
            raise UserError(
                f"{folder}: {error.strerror or error}. Put that right and run the same command "
                "again: what has been downloaded is kept"
            ) from error
        fields = asdict(outcome)
        failed = ["status", "reason", "attempts", *(["duration"] if outcome.duration else [])]
        return fields if outcome.status == "ok" else {name: fields[name] for name in failed}

    def _attempt(self, recording: Recording, folder: Path) -> Outcome:
        try:
            file = download(recording.url, folder, self.settings)
        except (YoutubeDLError, OSError) as error:
            if isinstance(error, UnwantedError):
                empty(folder)  # of what an endless stream left
            outcome = failure_of(error, recording.url)
            self._count(is_refusal(outcome))
            self._wait(retry_after(error))
            return outcome
        self._count(refused=False)
        return _inspect(file, recording.id, self.settings)

    def _wait(self, seconds: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _count(self, refused: bool) -> None:
        with self._lock:
            if not self.tripped:  # once given up, a download that was under way changes nothing
                self._refusals = self._refusals + 1 if refused else 0


def content_of(url: str) -> str:
    """A local file's checksum: it may have been rendered anew under the same name."""
    path = Path(unquote(urlsplit(url).path))
    return file_hash(path) if url.startswith("file:") and path.is_file() else ""


def _inspect(file: Path, name: str, settings: Download) -> Outcome:
    """What was fetched; removed if it is no video, not all of one, or longer than is wanted."""
    try:
        found = check_complete(file)
        require_short(found.duration, settings)
    except UnwantedError as error:
        file.unlink(missing_ok=True)
        return error.outcome
    except MediaError as error:
        file.unlink(missing_ok=True)
        return Outcome("environment", str(error))
    for other in file.parent.iterdir():  # halves of another format, fetched earlier
        if other != file:
            other.unlink()
    target = file.with_name(f"{name}{file.suffix}")
    outcome = Outcome(
        "ok",
        file=target.name,
        bytes=file.stat().st_size,
        duration=round(found.duration, 3),
        resolution=f"{found.width}x{found.height}" if found.width else "",
        sha256=file_hash(file),
    )
    file.rename(target)  # last: yt-dlp knows it by its first name, if this is interrupted
    return outcome

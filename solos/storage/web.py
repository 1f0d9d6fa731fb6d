"""Fetching single files over HTTP."""

import shutil
import urllib.request
from http.client import HTTPException
from pathlib import Path

from solos.storage.files import atomic

_TIMEOUT = 60  # seconds without an answer


def fetch(url: str, path: Path) -> None:
    """Download ``url`` to ``path``, whole or not at all.

    Raises:
        OSError: refused, unreachable, cut short, or no address.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, atomic(path) as temporary:
            with temporary.open("wb") as stream:
                shutil.copyfileobj(answer, stream)
            promised, found = answer.headers["Content-Length"], temporary.stat().st_size
            if promised is not None and int(promised) != found:
                raise OSError(f"cut short: {found} of {promised} bytes")
    except (HTTPException, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error

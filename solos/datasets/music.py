"""MUSIC's published list of solo recordings (Zhao et al., 2018).

``MUSIC_solo_videos.json`` in the repository roudimit/MUSIC_dataset: ``{"videos": {instrument:
[YouTube ids]}}``. It has no timestamps, so all of a recording counts as usable.
"""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from solos.datasets.index import WHOLE, Recording
from solos.errors import UserError

log = logging.getLogger(__name__)

_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")


def read_list(path: Path) -> list[Recording]:
    """The recordings in the published file, by instrument; a repeated id counts once.

    Raises:
        UserError: the file is missing or has another shape.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"index.music.source: {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, dict) or not videos:
        raise UserError(f'{path}: expected {{"videos": {{instrument: [ids]}}}}')
    problems = [problem for pair in videos.items() if (problem := _problem(*pair))]
    if problems:
        raise UserError(f"{path}: {len(problems)} bad list(s)\n" + "\n".join(problems[:20]))
    return _recordings(videos)


def _problem(instrument: str, ids: object) -> str:
    if not isinstance(ids, list) or not ids:
        return f"  {instrument}: a list of ids expected, found {str(ids)[:60]!r}"
    bad = [name for name in ids if not (isinstance(name, str) and _YOUTUBE_ID.fullmatch(name))]
    return f"  {instrument}: no YouTube id: {str(bad[0])[:60]!r}" if bad else ""


def _recordings(videos: Mapping[str, list[str]]) -> list[Recording]:
    found: dict[str, Recording] = {}
    for instrument, ids in sorted(videos.items()):
        for name in ids:
            if name in found:
                log.warning("%s is listed twice: taken as %s", name, found[name].instrument)
                continue
            url = f"https://www.youtube.com/watch?v={name}"
            found[name] = Recording(name, instrument, url, WHOLE)
    return list(found.values())

"""The table that names a training set's recordings: ``id, instrument, url, spans``.

A column ``split`` (``train``, ``val`` or empty) says which recordings are for validation; the
others are divided by the stage ``spectrograms``. A column ``ensemble`` names what a recording is a
part of: those of one name were played together, from the same moment on.

Spans are the stretches in which the player's hands are visible, as Solos publishes them: frame
numbers ``[start, end]`` at 25 fps, whatever the video's own rate. In the file they are JSON. A
``url`` without a scheme, or with the name of a file there (``Bach: Suite.mp3``), is a path relative
to the table's folder, so that the table of a local data set holds the same bytes wherever it lies.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from solos.config.data import Dataset
from solos.errors import UserError
from solos.storage.files import atomic

COLUMNS = ("id", "instrument", "url", "spans")
OPTIONAL = ("split", "ensemble")
SPLITS = ("train", "val", "")
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Spans = tuple[tuple[int, int], ...]
WHOLE: Spans = ((0, 10_000_000),)
"""Spans of a recording that is usable throughout: longer than any (111 hours)."""


@dataclass(frozen=True)
class Recording:
    """A solo recording: what is played, where it comes from, when the player is seen."""

    id: str
    instrument: str
    url: str
    spans: Spans
    """(start, end) pairs, frame numbers at 25 fps; empty where none are known."""
    split: str = ""
    """``train`` or ``val``; empty where the index leaves it open."""
    ensemble: str = ""
    """Common to recordings that were played together; empty for one that was played alone."""


def read_index(path: Path) -> list[Recording]:
    """Read the table in its own order; relative URLs come back as absolute ``file://`` ones.

    Raises:
        UserError: no such file, missing columns, no rows, or bad rows, all of which are listed.
    """
    rows = _rows(path)
    folder = path.absolute().parent
    recordings, problems, seen = [], [], set()
    for line, row in enumerate(rows, start=2):
        try:
            recording = _recording(row, folder)
            if recording.id in seen:
                raise ValueError(f"id {recording.id!r} occurs twice")
        except ValueError as error:
            problems.append(f"  line {line}: {error}")
            continue
        seen.add(recording.id)
        recordings.append(recording)
    if problems:
        raise UserError(f"{path}: {len(problems)} bad row(s)\n" + "\n".join(problems[:20]))
    return recordings


def select(dataset: Dataset) -> list[Recording]:
    """The recordings of a data set that are to be used, in the order of its index.

    Raises:
        UserError: as :func:`read_index`; or an instrument that the index does not have.
    """
    path = Path(dataset.folder) / "index.csv"
    recordings = read_index(path)
    listed = {recording.instrument for recording in recordings}
    unknown = sorted(set(dataset.instruments or ()) - listed)
    if unknown:
        raise UserError(f"{path} has no {', '.join(unknown)}; it has {', '.join(sorted(listed))}")
    return list(_first(recordings, dataset.instruments or listed, dataset.per_instrument))


def _first(
    recordings: Iterable[Recording], instruments: Container[str], count: int | None
) -> Iterator[Recording]:
    taken: Counter[str] = Counter()
    for recording in recordings:
        taken[recording.instrument] += 1
        within = count is None or taken[recording.instrument] <= count
        if within and recording.instrument in instruments:
            yield recording


def write_index(path: Path, recordings: Iterable[Recording]) -> None:
    """Write the table; URLs go in as they are (relative ones stay relative)."""
    recordings = list(recordings)
    more = [name for name in OPTIONAL if any(getattr(r, name) for r in recordings)]
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*COLUMNS, *more])
        for recording in recordings:
            spans = dump_spans(recording.spans)
            row = [recording.id, recording.instrument, recording.url, spans]
            writer.writerow([*row, *(getattr(recording, name) for name in more)])


def dump_spans(spans: Iterable[tuple[int, int]]) -> str:
    """Spans as the JSON that tables hold: ``[[0,200],[763,1450]]``."""
    return json.dumps([list(span) for span in spans], separators=(",", ":"))


def load_spans(text: str) -> Spans:
    """Spans from their JSON.

    Raises:
        ValueError: not a list of whole-number pairs with 0 <= start < end.
    """
    try:
        spans = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"spans are not JSON: {text[:60]!r}") from None
    if not isinstance(spans, list) or not all(_is_span(span) for span in spans):
        raise ValueError(f"spans must be [[start, end], ...] with 0 <= start < end: {text[:60]!r}")
    return tuple((start, end) for start, end in spans)


def _is_span(span: object) -> bool:
    pair = isinstance(span, list) and len(span) == 2 and all(type(edge) is int for edge in span)
    return pair and 0 <= span[0] < span[1]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(f"{path} is missing: it lists the recordings of the data set") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV in UTF-8: {error}") from None
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise UserError(f"{path} lacks the column(s) {', '.join(missing)}; found {columns}")
    if not rows:
        raise UserError(f"{path} lists no recordings")
    return rows


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a file's name can be
        return False


def _recording(row: dict[str, str], folder: Path) -> Recording:
    identity, instrument, url = (row[column] or "" for column in COLUMNS[:3])
    if not _SAFE_ID.fullmatch(identity):
        raise ValueError(f"id {identity!r} must be of letters, digits, _ and - (it names files)")
    if None in row:  # a split, say, without its column
        raise ValueError(
            f"{identity}: more cells than the header has: {','.join(row[None])[:60]!r}"
        )
    if not instrument or not url:
        raise ValueError(f"{identity}: instrument and url must not be empty")
    if not urlsplit(url).scheme or _is_file(folder / url):
        url = (folder / url).as_uri()
    split = row.get("split") or ""
    if split not in SPLITS:
        raise ValueError(f"{identity}: split must be train, val or empty, not {split[:60]!r}")
    ensemble = row.get("ensemble") or ""
    return Recording(identity, instrument, url, load_spans(row["spans"] or ""), split, ensemble)

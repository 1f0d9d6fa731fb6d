"""Where the players of URMP's wide videos are, and a picture by which a person can check it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from solos.errors import UserError
from solos.storage.files import atomic
from solos.storage.pictures import count_frames, read_frames

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the wide picture."""
Boxes = Mapping[tuple[str, int], Box]
"""Those of the players (piece, part) that are not to be cut out at equal widths."""
COLUMNS = ("piece", "part", "x", "y", "width", "height")
_HEIGHT = 120  # pixels of a crop on the contact sheet
_TITLE = 16


def equal_boxes(width: int, height: int, n: int) -> list[Box]:
    """Each player's box in a picture of ``n`` side by side, left to right.

    Equal widths; all numbers are even, as video codecs store colour for pairs of pixels.
    """
    each = 2 * (width // n // 2)
    return [(2 * (k * width // n // 2), 0, each, 2 * (height // 2)) for k in range(n)]


def read_boxes(path: Path) -> dict[tuple[str, int], Box]:
    """The table of boxes that differ from equal ones: (piece, part) -> box.

    Raises:
        UserError: no such file, other columns, or a bad row.
    """
    boxes: dict[tuple[str, int], Box] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            columns, *rows = list(csv.reader(stream)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"urmp.crops: {path}: {error}") from None
    if tuple(columns) != COLUMNS:
        raise UserError(f"urmp.crops: {path}: columns {', '.join(COLUMNS)} expected")
    for line, row in enumerate(rows, start=2):
        key, box = _box(row)
        if box is None or key in boxes:
            raise UserError(f"{path}, line {line}: no box within a picture, or twice: {row}")
        boxes[key] = box
    return boxes


def _box(row: Sequence[str]) -> tuple[tuple[str, int], Box | None]:
    """A line's (piece, part) and box; None for one that can't be."""
    try:
        piece, *numbers = row
        part, x, y, width, height = map(int, numbers)
    except ValueError:
        return ("", 0), None
    return (piece, part), ((x, y, width, height) if min(x, y, width - 2, height - 2) >= 0 else None)


def write_contact_sheet(path: Path, rows: Sequence[tuple[str, Mapping[str, Path]]]) -> None:
    """:func:`contact_sheet` as a JPEG; none without rows."""
    if rows:
        with atomic(path) as temporary:
            contact_sheet(rows).save(temporary, quality=85)


def contact_sheet(rows: Sequence[tuple[str, Mapping[str, Path]]]) -> Image.Image:
    """A picture with a row for each piece: its players' crops, named, halfway through.

    Args:
        rows: name of the piece, and archive of pictures of each labelled player.
    """
    strips = [_strip(title, players) for title, players in rows]
    sheet = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def _strip(title: str, players: Mapping[str, Path]) -> Image.Image:
    crops = [_thumbnail(archive) for archive in players.values()]
    width = sum(crop.width + 4 for crop in crops)
    strip = Image.new("RGB", (max(width, 320), _HEIGHT + 2 * _TITLE), "white")
    pen = ImageDraw.Draw(strip)
    pen.text((2, 2), title, fill="black")
    left = 0
    for label, crop in zip(players, crops, strict=True):
        strip.paste(crop, (left, _TITLE))
        pen.text((left + 2, _TITLE + _HEIGHT), label, fill="black")
        left += crop.width + 4
    return strip


def _thumbnail(archive: Path) -> Image.Image:
    frame: np.ndarray = read_frames(archive, [count_frames(archive) // 2])[0]
    height, width = frame.shape[:2]
    return Image.fromarray(frame).resize((round(width * _HEIGHT / height), _HEIGHT))

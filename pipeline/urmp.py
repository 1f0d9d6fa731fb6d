"""Stage ``urmp``: the test set, audio at 11025 Hz and each player's frames.

Writes ``data/urmp``: ``<piece>/mix.wav``, ``<piece>/<k>.wav``, ``<piece>/<k>.zip`` (absent without
a video), ``pieces.csv`` with a line a piece, usable or not, ``parts.csv`` with a line for each part
of the usable ones, and ``crops.jpg``, by which a person can check who was cut out of the videos.
"""

import logging
from functools import partial
from pathlib import Path

from pipeline.archive import unpacked
from pipeline.common import run_stage
from pipeline.items import Item, Place, make_items
from solos import media
from solos.config.data import Extract, Urmp
from solos.config.params import Params
from solos.datasets.urmp import Piece, read_pieces
from solos.errors import UserError
from solos.media.crops import Boxes, read_boxes, write_contact_sheet
from solos.preparation import pieces as preparation
from solos.storage import pictures
from solos.storage.cache import code_of
from solos.storage.files import file_hash
from solos.storage.tables import write_table

log = logging.getLogger(__name__)

OUTPUT = Path("data/urmp")
PIECES = ("piece", "n_parts", "n_samples", "n_segments", "video", "status", "reason")
PARTS = ("piece", "part", "instrument", "wav", "frames")


def main(params: Params) -> None:
    """Prepare the pieces in ``urmp.path``."""
    pieces = read_pieces(unpacked(params.urmp))
    boxes = read_boxes(Path(params.urmp.crops))
    known = {(piece.name, part.index) for piece in pieces for part in piece.parts}
    for name, part in sorted(set(boxes) - known):
        log.warning("%s: there is no part %d of a piece %s", params.urmp.crops, part, name)
    make = partial(
        preparation.prepare, settings=params.extract, boxes=boxes, aspect=params.urmp.aspect
    )
    items = [to_item(piece, params.extract, params.urmp, boxes) for piece in pieces]
    place = Place("urmp", "urmp", OUTPUT, "pieces.csv", PIECES)
    rows = make_items(items, make, place, params.parallel)
    usable = [piece for piece, row in zip(pieces, rows, strict=True) if row["status"] == "ok"]
    lines = [line for piece in usable for line in preparation.part_lines(piece, OUTPUT)]
    write_table(OUTPUT / "parts.csv", PARTS, lines)
    write_contact_sheet(OUTPUT / "crops.jpg", preparation.players(usable, OUTPUT))
    if not usable:
        raise UserError(f"{OUTPUT / 'pieces.csv'}: no usable piece in {params.urmp.path}")


def to_item(piece: Piece, settings: Extract, urmp: Urmp, boxes: Boxes) -> Item:
    """A folder of URMP."""
    line = {"piece": piece.name, "n_parts": len(piece.parts), "video": "no"}
    if piece.problem:
        return Item(piece.name, line | {"status": "broken", "reason": piece.problem})
    files = [piece.mix, piece.video, *(part.path for part in piece.parts)]
    hashes = [file_hash(file) if file else "" for file in files]
    own = [boxes.get((piece.name, part.index)) for part in piece.parts]
    code = code_of(media, preparation, pictures)
    key = (settings.model_dump(), urmp.aspect, hashes, code, own)
    return Item(piece.name, line, piece, key, tuple(file for file in files if file))


if __name__ == "__main__":
    run_stage(main)

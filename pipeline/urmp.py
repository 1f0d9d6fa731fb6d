"""Stage ``urmp``: the test set, audio at 11025 Hz and each player's frames.

Writes ``data/urmp``: ``<piece>/mix.wav``, ``<piece>/<k>.wav``, ``<piece>/<k>.zip`` (absent without
a video), ``pieces.csv`` with a line a piece, usable or not, ``parts.csv`` with a line for each part
of the usable ones, and ``crops.jpg``, by which a person can check who was cut out of the videos.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.common import WORK, reading, run_items, run_stage
from solos import SAMPLE_RATE, SEGMENT, audio, crops, media, urmp
from solos.config import Extract, Params, Urmp
from solos.errors import UserError
from solos.files import atomic, file_hash, fingerprint
from solos.media import MediaError
from solos.resume import RESULT, empty, link, once, prune
from solos.tables import count_statuses, write_table
from solos.unpack import unpack

log = logging.getLogger(__name__)

OUTPUT = Path("data/urmp")
PIECES = ("piece", "n_parts", "n_samples", "n_segments", "video", "status", "reason")
PARTS = ("piece", "part", "instrument", "wav", "frames")


def main(params: Params) -> None:
    """Prepare the pieces in ``urmp.path``."""
    pieces = urmp.read_pieces(_folder(params.urmp))
    work = WORK / "urmp"
    boxes = crops.read_boxes(Path(params.urmp.crops))
    known = {(piece.name, part.index) for piece in pieces for part in piece.parts}
    for name, part in sorted(set(boxes) - known):
        log.warning("%s: there is no part %d of a piece %s", params.urmp.crops, part, name)
    one = partial(prepare_one, work=work, settings=params.extract, boxes=boxes)
    results = run_items(one, pieces, params.parallel, "urmp")
    empty(OUTPUT)
    rows = [_publish(*pair) for pair in zip(pieces, results, strict=True)]
    write_table(OUTPUT / "pieces.csv", PIECES, rows)
    usable = [piece for piece, row in zip(pieces, rows, strict=True) if row["status"] == "ok"]
    write_table(OUTPUT / "parts.csv", PARTS, [line for p in usable for line in _part_lines(p)])
    _write_sheet(usable)
    prune(work, [folder.name for _, folder in results if folder])
    log.info("urmp: %s", count_statuses(rows))
    if not usable:
        raise UserError(f"{OUTPUT / 'pieces.csv'}: no usable piece in {params.urmp.path}")


def _folder(settings: Urmp) -> Path:
    """The folder of pieces; an archive is unpacked to where an interruption does not lose it."""
    path = Path(settings.path)
    if not path.is_file():
        if settings.sha256:
            raise UserError(f"urmp.sha256 is that of an archive, {path} is none: set it to null")
        return path
    stat = path.stat()
    key = fingerprint(str(path.absolute()), stat.st_size, stat.st_mtime_ns, settings.sha256)
    folder = WORK / "unpacked" / key
    if not folder.exists():
        prune(folder.parent, [])  # 12 GB of an earlier archive
    once(folder, partial(_unpack, archive=path, sha256=settings.sha256))
    return folder


def _unpack(folder: Path, archive: Path, sha256: str | None) -> dict:
    description, size = f"unpack {archive.name}", archive.stat().st_size
    with archive.open("rb") as file, reading(file, description, size) as stream:
        return {"files": unpack(stream, str(archive), folder, sha256)}


def prepare_one(
    piece: urmp.Piece, work: Path, settings: Extract, boxes: dict[tuple[str, int], crops.Box]
) -> tuple[dict, Path | None]:
    """What the table says of a piece, and the folder of its results unless it is broken."""
    if piece.problem:
        return {"status": "broken", "reason": piece.problem}, None
    files = [piece.mix, piece.video, *(part.path for part in piece.parts)]
    hashes = [file_hash(file) if file else "" for file in files]
    code = [file_hash(Path(module.__file__)) for module in (urmp, audio, media, crops)]
    own = [boxes.get((piece.name, part.index)) for part in piece.parts]
    folder = work / f"{piece.name}.{fingerprint(settings.model_dump(), hashes, code, own)}"
    return once(folder, partial(_try, piece=piece, settings=settings, boxes=boxes)), folder


def _try(
    folder: Path, piece: urmp.Piece, settings: Extract, boxes: dict[tuple[str, int], crops.Box]
) -> dict:
    try:
        n_samples, reason = urmp.prepare_audio(piece, folder)
    except MediaError as error:
        empty(folder)
        return {"status": error.status, "reason": str(error)}
    frames = partial(urmp.prepare_frames, piece, folder, settings, n_samples / SAMPLE_RATE, boxes)
    video, remark = _try_video(piece, frames)
    row = {"n_samples": n_samples, "n_segments": n_samples // SEGMENT, "video": video}
    return row | {"status": "ok", "reason": "; ".join(filter(None, (reason, remark)))}


def _try_video(piece: urmp.Piece, frames: Callable[[], str]) -> tuple[str, str]:
    """Whether there are pictures (yes or no), and a remark."""
    if piece.video is None:
        return "no", "no Vid file"
    try:
        return "yes", frames()
    except MediaError as error:
        return "no", f"no pictures: {error}"


def _publish(piece: urmp.Piece, result: tuple[dict, Path | None]) -> dict:
    row, folder = result
    if row["status"] == "ok":
        for file in sorted(path for path in folder.iterdir() if path.name != RESULT):
            link(file, OUTPUT / piece.name / file.name)
    return {"piece": piece.name, "n_parts": len(piece.parts), "video": "no"} | row


def _part_lines(piece: urmp.Piece) -> list[dict]:
    lines = []
    for part in piece.parts:
        frames = f"{piece.name}/{part.index}.zip"
        line = {"piece": piece.name, "part": part.index, "instrument": part.instrument}
        line["wav"] = f"{piece.name}/{part.index}.wav"
        line["frames"] = frames if (OUTPUT / frames).exists() else ""
        lines.append(line)
    return lines


def _write_sheet(pieces: list[urmp.Piece]) -> None:
    rows = []
    for piece in pieces:
        players = {f"{part.index} {part.instrument}": part.index for part in piece.parts}
        archives = {key: OUTPUT / piece.name / f"{k}.zip" for key, k in players.items()}
        if all(archive.exists() for archive in archives.values()):
            rows.append((piece.name, archives))
    if rows:
        with atomic(OUTPUT / "crops.jpg") as temporary:
            crops.contact_sheet(rows).save(temporary, quality=85)


if __name__ == "__main__":
    run_stage(main)

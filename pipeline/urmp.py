"""Stage ``urmp``: the test set, audio at 11025 Hz and each player's frames.

Writes ``data/urmp``: ``<piece>/mix.wav``, ``<piece>/<k>.wav``, ``<piece>/<k>.zip`` (absent without
a video), ``pieces.csv`` with a line a piece, usable or not, and ``parts.csv`` with a line for each
part of the usable ones.
"""

import logging
from functools import partial
from pathlib import Path

from pipeline.common import WORK, run_items, run_stage
from solos import SAMPLE_RATE, SEGMENT, media, urmp
from solos.config import Extract, Params
from solos.errors import UserError
from solos.files import file_hash, fingerprint
from solos.media import MediaError
from solos.resume import RESULT, empty, link, once, prune
from solos.tables import count_statuses, write_table

log = logging.getLogger(__name__)

OUTPUT = Path("data/urmp")
PIECES = ("piece", "n_parts", "n_samples", "n_segments", "video", "status", "reason")
PARTS = ("piece", "part", "instrument", "wav", "frames")


def main(params: Params) -> None:
    """Prepare the pieces in ``urmp.path``."""
    pieces = urmp.read_pieces(Path(params.urmp.path))
    work = WORK / "urmp"
    one = partial(prepare_one, work=work, settings=params.extract)
    results = run_items(one, pieces, params.parallel, "urmp")
    empty(OUTPUT)
    rows = [_publish(*pair) for pair in zip(pieces, results, strict=True)]
    write_table(OUTPUT / "pieces.csv", PIECES, rows)
    usable = [piece for piece, row in zip(pieces, rows, strict=True) if row["status"] == "ok"]
    write_table(OUTPUT / "parts.csv", PARTS, [line for p in usable for line in _part_lines(p)])
    prune(work, [folder.name for _, folder in results if folder])
    log.info("urmp: %s", count_statuses(rows))
    if not usable:
        raise UserError(f"{OUTPUT / 'pieces.csv'}: no usable piece in {params.urmp.path}")


def prepare_one(piece: urmp.Piece, work: Path, settings: Extract) -> tuple[dict, Path | None]:
    """What the table says of a piece, and the folder of its results unless it is broken."""
    if piece.problem:
        return {"status": "broken", "reason": piece.problem}, None
    files = [piece.mix, piece.video, *(part.path for part in piece.parts)]
    hashes = [file_hash(file) if file else "" for file in files]
    code = [file_hash(Path(module.__file__)) for module in (urmp, media)]
    folder = work / f"{piece.name}.{fingerprint(settings.model_dump(), hashes, code)}"
    return once(folder, partial(_try, piece=piece, settings=settings)), folder


def _try(folder: Path, piece: urmp.Piece, settings: Extract) -> dict:
    try:
        n_samples, reason = urmp.prepare_audio(piece, folder)
    except MediaError as error:
        empty(folder)
        return {"status": error.status, "reason": str(error)}
    video, remark = _try_video(folder, piece, settings, n_samples / SAMPLE_RATE)
    row = {"n_samples": n_samples, "n_segments": n_samples // SEGMENT, "video": video}
    return row | {"status": "ok", "reason": "; ".join(filter(None, (reason, remark)))}


def _try_video(
    folder: Path, piece: urmp.Piece, settings: Extract, seconds: float
) -> tuple[str, str]:
    """Whether there are pictures (yes or no), and a remark."""
    if piece.video is None:
        return "no", "no Vid file"
    try:
        return "yes", urmp.prepare_frames(piece, folder, settings, seconds)
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


if __name__ == "__main__":
    run_stage(main)

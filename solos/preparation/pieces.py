"""A piece of URMP as the evaluation reads it: parts at 11025 Hz, each player's pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from solos import FRAME_RATE, SAMPLE_RATE, SEGMENT
from solos.config.data import Aspect, Extract
from solos.datasets.urmp import Piece
from solos.errors import UserError
from solos.media.crops import Boxes, equal_boxes
from solos.media.errors import ENVIRONMENT, MediaError
from solos.media.extent import extent
from solos.media.pictures import extract_crops, unequal_ends
from solos.media.probe import probe
from solos.media.sound import hear, write_audio

SHORTEST = 1024
"""Samples that a piece must have."""


MIX_TOLERANCE = 1e-3
"""Largest |mixture - sum of parts| that goes unremarked; URMP's own stay within 1e-4."""


def prepare(
    piece: Piece, folder: Path, settings: Extract, boxes: Boxes, aspect: Aspect = "keep"
) -> dict:
    """Write ``<piece>/mix.wav``, ``<piece>/<k>.wav`` and, with a video, ``<piece>/<k>.zip``.

    Returns:
        ``n_samples``, ``n_segments``, ``video`` (yes or no), and ``reason``: what is remarkable.

    Raises:
        MediaError: as :func:`prepare_audio`.
        UserError: as :func:`prepare_frames`.
    """
    folder = folder / piece.name
    folder.mkdir()
    n_samples, reason = prepare_audio(piece, folder)
    video, remark = "no", "no Vid file"
    if piece.video:
        try:
            remark = prepare_frames(piece, folder, settings, n_samples / SAMPLE_RATE, boxes, aspect)
            video = "yes"
        except MediaError as error:
            if error.status in (ENVIRONMENT, "missing"):
                raise  # it says nothing about the video, and must not be kept
            remark = f"no pictures: {error}"
    row = {"n_samples": n_samples, "n_segments": n_samples // SEGMENT, "video": video}
    return row | {"reason": "; ".join(filter(None, (reason, remark)))}


def part_lines(piece: Piece, root: Path) -> list[dict]:
    """Lines of ``parts.csv`` of a piece prepared in ``root``: its files, relative to that."""
    lines = []
    for part in piece.parts:
        frames = f"{piece.name}/{part.index}.zip"
        line = {"piece": piece.name, "part": part.index, "instrument": part.instrument}
        line["wav"] = f"{piece.name}/{part.index}.wav"
        line["frames"] = frames if (root / frames).exists() else ""
        lines.append(line)
    return lines


def players(pieces: Sequence[Piece], root: Path) -> list[tuple[str, dict[str, Path]]]:
    """Archives of each labelled player, of those pieces prepared in ``root`` that have pictures."""
    rows = []
    for piece in pieces:
        archives = {
            f"{part.index} {part.instrument}": root / piece.name / f"{part.index}.zip"
            for part in piece.parts
        }
        if all(archive.exists() for archive in archives.values()):
            rows.append((piece.name, archives))
    return rows


def prepare_audio(piece: Piece, folder: Path) -> tuple[int, str]:
    """Write ``mix.wav`` and ``<k>.wav``: mono float32 at 11025 Hz, all as long as the shortest.

    Returns:
        Number of samples, and what is remarkable about the audio (empty as a rule).

    Raises:
        MediaError: a file can't be read, or the piece is shorter than any segment may be.
    """
    heard = [hear(part.path, f"part {part.index} ({part.instrument})") for part in piece.parts]
    waves = [wave for wave, _ in heard]
    mix, notes = hear(piece.mix, "the mixture") if piece.mix else (None, [])
    notes = [*(remark for _, remarks in heard for remark in remarks), *notes]
    files = {part.path.name: len(wave) for part, wave in zip(piece.parts, waves, strict=True)}
    files |= {} if mix is None else {piece.mix.name: len(mix)}
    length = min(files.values())
    if length < SHORTEST:
        raise MediaError("too_short", "; ".join([_too_short(files), *notes]))
    if max(files.values()) - length > 0.1 * SAMPLE_RATE:
        notes.append(f"lengths differ by {(max(files.values()) - length) / SAMPLE_RATE:.1f} s: cut")
    notes += _remarks(waves, mix, length)
    total = np.sum([wave[:length] for wave in waves], axis=0)
    write_audio(folder / "mix.wav", total if mix is None else mix[:length])
    for part, wave in zip(piece.parts, waves, strict=True):
        write_audio(folder / f"{part.index}.wav", wave[:length])
    return length, "; ".join(notes)


def _too_short(files: Mapping[str, int]) -> str:
    """Which of a piece's files, of so many samples each."""
    short = [
        f"{name} has {count} samples ({count / SAMPLE_RATE:.3f} s)"
        for name, count in files.items()
        if count < SHORTEST
    ]
    return f"{', '.join(short)}: {SHORTEST} are needed at {SAMPLE_RATE} Hz"


def _remarks(waves: Sequence[np.ndarray], mix: np.ndarray | None, length: int) -> list[str]:
    if mix is None:
        return ["no AuMix file: the mixture is the sum of the parts"]
    excess = np.abs(mix[:length] - np.sum([wave[:length] for wave in waves], axis=0)).max()
    if excess > MIX_TOLERANCE:
        return [f"the mixture differs from the sum of the parts by up to {excess:.2g}"]
    return []


def prepare_frames(
    piece: Piece,
    folder: Path,
    settings: Extract,
    seconds: float,
    boxes: Boxes,
    aspect: Aspect = "keep",
) -> str:
    """Write ``<k>.zip``, the pictures of each player at 8 fps, from the piece's video.

    Args:
        seconds: length of the piece's audio.
        boxes: of the players (piece, part) that are not to be cut out at equal widths.

    Returns:
        What is remarkable about the video (empty as a rule).

    Raises:
        MediaError: the video can't be used.
        UserError: a box reaches out of the picture.
    """
    found = probe(piece.video)
    if not found.width:
        raise MediaError("no_video", "the file has no video stream")
    equal = equal_boxes(found.width, found.height, len(piece.parts))
    places = [boxes.get((piece.name, k), box) for k, box in enumerate(equal, 1)]
    for k, (x, y, width, height) in enumerate(places, 1):
        if x + width > found.width or y + height > found.height:
            size = f"{found.width}x{found.height}"
            raise UserError(f"urmp.crops: part {k} of {piece.name} reaches out of its {size} video")
    archives = [folder / f"{part.index}.zip" for part in piece.parts]
    n_frames, complaint = extract_crops(piece.video, places, archives, settings, aspect)
    ends = unequal_ends(n_frames / FRAME_RATE, seconds)
    cut_off = extent(piece.video).why
    cut_off = f"of the video, {cut_off}" if cut_off else ""
    return "; ".join(filter(None, (ends, cut_off, complaint)))

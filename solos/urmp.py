"""URMP: real ensembles with a recording of each player (Li et al., IEEE Trans. Multimedia 2019).

A piece is a folder ``NN_Name_i1_i2...`` with ``AuMix_*.wav``, ``AuSep_<k>_*.wav`` for each part and
``Vid_*.mp4``, the players side by side in the order of the parts. The folder's name decides what
part k plays: in 15_Surprise the third part's files say trumpet where a trombone plays.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solos import FRAME_RATE, SAMPLE_RATE
from solos.audio import read_audio, write_audio
from solos.config import HOW_TO_GET_URMP, Extract
from solos.crops import Box, equal_boxes
from solos.errors import UserError
from solos.media import SILENCE, MediaError, extract_crops, probe

CODES = {
    "vn": "Violin",
    "va": "Viola",
    "vc": "Cello",
    "db": "DoubleBass",
    "fl": "Flute",
    "ob": "Oboe",
    "cl": "Clarinet",
    "sax": "Saxophone",
    "bn": "Bassoon",
    "tpt": "Trumpet",
    "hn": "Horn",
    "tbn": "Trombone",
    "tba": "Tuba",
}
"""Instruments by their codes in URMP's names."""
SHORTEST = 1024
"""Samples that a piece must have."""
MIX_TOLERANCE = 1e-3
"""Largest |mixture - sum of parts| that goes unremarked; URMP's own stay within 1e-4."""


@dataclass(frozen=True)
class Part:
    """A player."""

    index: int
    """k of the file names, from 1: also the place from the left in the picture."""
    instrument: str
    path: Path | None
    """None where the file is missing."""


@dataclass(frozen=True)
class Piece:
    """A folder of URMP."""

    name: str
    """The folder's, such as ``15_Surprise_tpt_tpt_tbn``."""
    mix: Path | None
    parts: tuple[Part, ...]
    video: Path | None
    problem: str
    """Why the piece can't be used; empty as a rule."""


def read_pieces(root: Path | str) -> list[Piece]:
    """The pieces in a folder, by name. What is broken in one is its ``problem``, not an error.

    Raises:
        UserError: no such folder, or no pieces in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root} is not there. {HOW_TO_GET_URMP}")
    folders = sorted(path for path in root.iterdir() if _is_piece(path))
    if not folders and (root / "Dataset").is_dir():  # as the archive extracts
        return read_pieces(root / "Dataset")
    if not folders:
        found = ", ".join(sorted(path.name for path in root.iterdir())[:5]) or "nothing"
        raise UserError(
            f"{root} holds no folder like 01_Jupiter_vn_vc (found: {found}). " + HOW_TO_GET_URMP
        )
    return [_read_piece(folder) for folder in folders]


def _is_piece(path: Path) -> bool:
    return path.is_dir() and re.match(r"\d+_.+_.+", path.name) is not None


def _read_piece(folder: Path) -> Piece:
    codes = folder.name.split("_")[2:]
    unknown = [code for code in codes if code not in CODES]
    parts = () if unknown else tuple(_part(folder, k, code) for k, code in enumerate(codes, 1))
    problem = f"unknown instrument code(s) {', '.join(unknown)}" if unknown else _problem(parts)
    extra = len(list(folder.glob("AuSep_*.wav"))) - len(parts)
    if not problem and extra:
        problem = f"{extra} more AuSep file(s) than the folder's name has instruments"
    mix, video = _only(folder, "AuMix_*.wav"), _only(folder, "Vid_*.mp4")
    return Piece(folder.name, mix, parts, video, problem)


def _part(folder: Path, k: int, code: str) -> Part:
    return Part(k, CODES[code], _only(folder, f"AuSep_{k}_*.wav"))


def _only(folder: Path, pattern: str) -> Path | None:
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    return found[0] if found else None


def _problem(parts: Sequence[Part]) -> str:
    missing = [f"{part.index} ({part.instrument})" for part in parts if part.path is None]
    return f"no AuSep file of part {', '.join(missing)}" if missing else ""


def prepare_audio(piece: Piece, folder: Path) -> tuple[int, str]:
    """Write ``mix.wav`` and ``<k>.wav``: mono float32 at 11025 Hz, all as long as the shortest.

    Returns:
        Number of samples, and what is remarkable about the audio (empty as a rule).

    Raises:
        MediaError: a file can't be read, or the piece is shorter than any segment may be.
    """
    waves = [read_audio(part.path) for part in piece.parts]
    mix = read_audio(piece.mix) if piece.mix else None
    length = min(len(wave) for wave in [*waves, *([] if mix is None else [mix])])
    if length < SHORTEST:
        raise MediaError("too_short", f"{length} samples, fewer than {SHORTEST}")
    notes = _remarks(piece, waves, mix, length)
    total = np.sum([wave[:length] for wave in waves], axis=0)
    write_audio(folder / "mix.wav", total if mix is None else mix[:length])
    for part, wave in zip(piece.parts, waves, strict=True):
        write_audio(folder / f"{part.index}.wav", wave[:length])
    return length, "; ".join(notes)


def _remarks(
    piece: Piece, waves: Sequence[np.ndarray], mix: np.ndarray | None, length: int
) -> list[str]:
    notes = []
    lengths = [len(wave) for wave in waves] + ([] if mix is None else [len(mix)])
    if max(lengths) - length > 0.1 * SAMPLE_RATE:
        notes.append(f"lengths differ by {(max(lengths) - length) / SAMPLE_RATE:.1f} s: cut")
    for part, wave in zip(piece.parts, waves, strict=True):
        if np.abs(wave[:length]).max() < SILENCE:
            notes.append(f"part {part.index} ({part.instrument}) is silent")
    if mix is None:
        return [*notes, "no AuMix file: the mixture is the sum of the parts"]
    excess = np.abs(mix[:length] - np.sum([wave[:length] for wave in waves], axis=0)).max()
    if excess > MIX_TOLERANCE:
        notes.append(f"the mixture differs from the sum of the parts by up to {excess:.2g}")
    return notes


def prepare_frames(
    piece: Piece,
    folder: Path,
    settings: Extract,
    seconds: float,
    boxes: Mapping[tuple[str, int], Box],
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
    n_frames, complaint = extract_crops(piece.video, places, archives, settings)
    lacking = seconds - n_frames / FRAME_RATE
    if lacking > 1.0:
        complaint = f"the video ends {lacking:.1f} s before the audio; {complaint}".rstrip("; ")
    return complaint

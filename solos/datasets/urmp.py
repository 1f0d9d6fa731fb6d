"""URMP: real ensembles with a recording of each player (Li et al., IEEE Trans. Multimedia 2019).

A piece is a folder ``NN_Name_i1_i2...`` with ``AuMix_*.wav``, ``AuSep_<k>_*.wav`` for each part and
``Vid_*.mp4``, the players side by side in the order of the parts. The folder's name decides what
part k plays: in 15_Surprise the third part's files say trumpet where a trombone plays.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from solos.config.data import HOW_TO_GET_URMP
from solos.errors import UserError

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
    surplus: str = ""
    """Which of its files are more than there can be, the problem of anybody's estimates too."""


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
    return path.is_dir() and re.match(r"\d+_.+_.+", path.name, re.DOTALL) is not None


def _read_piece(folder: Path) -> Piece:
    codes = folder.name.split("_")[2:]
    unknown = [code for code in codes if code not in CODES]
    parts = () if unknown else tuple(_part(folder, k, code) for k, code in enumerate(codes, 1))
    problem = f"unknown instrument code(s) {', '.join(unknown)}" if unknown else _problem(parts)
    if folder.name != folder.name.encode("utf-8", "replace").decode("utf-8"):
        problem = "the folder's name is no UTF-8: rename it"
    mix, video = _first(folder, "AuMix_*.wav"), _first(folder, "Vid_*.mp4")
    surplus = "" if unknown else _surplus(folder, [mix, video, *(part.path for part in parts)])
    return Piece(folder.name, mix, parts, video, problem or surplus, surplus)


def _part(folder: Path, k: int, code: str) -> Part:
    return Part(k, CODES[code], _first(folder, f"AuSep_{k}_*.wav"))


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _first(folder: Path, pattern: str) -> Path | None:
    return next(iter(_files(folder, pattern)), None)


def _surplus(folder: Path, taken: Sequence[Path | None]) -> str:
    """Which files nobody asked for: of two for one part, either may be meant."""
    for kind, pattern in (("AuSep", "AuSep_*.wav"), ("AuMix", "AuMix_*.wav"), ("Vid", "Vid_*.mp4")):
        more = [path.name for path in _files(folder, pattern) if path not in taken]
        if more:
            names = ", ".join(more[:3])
            return f"{len(more)} more {kind} file(s) than the folder's name has room for: {names}"
    return ""


def _problem(parts: Sequence[Part]) -> str:
    missing = [f"{part.index} ({part.instrument})" for part in parts if part.path is None]
    return f"no AuSep file of part {', '.join(missing)}" if missing else ""

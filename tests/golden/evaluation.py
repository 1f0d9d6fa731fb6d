"""Two known pieces, and their scores as mir_eval gives them: ``python tests/golden/evaluation.py``.

Writes ``evaluation.json`` beside this file: SDR, SIR and SAR of each source of each segment, for
the unprocessed mixture and the ideal masks. The estimates are the project's; the scores are not.
"""

import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from mir_eval.separation import bss_eval_sources
from numpy.typing import NDArray

from solos.evaluation.oracles import baseline_estimates
from solos.media.sound import read_audio

PIECES = {"01_Known_vn_vc": (2, 0), "02_Answer_fl_vn_vn": (3, 1)}
"""Name -> number of parts, seed."""
MERGED = {"01_Known_vn_vc": [[1], [2]], "02_Answer_fl_vn_vn": [[1], [2, 3]]}
RATE, SECONDS, SEGMENT = 48000, 12.5, 65535
FILE = Path(__file__).with_suffix(".json")


def write_pieces(folder: Path) -> None:
    """Notes of five harmonics in URMP's layout: 16 bit, 48 kHz, the mixture their sum."""
    for name, (n_parts, seed) in PIECES.items():
        rng = np.random.default_rng(seed)
        (folder / name).mkdir(parents=True)
        waves = [_melody(rng) for _ in range(n_parts)]
        codes = name.split("_")[2:]
        title = "_".join(name.split("_")[:2])
        for k, (code, wave) in enumerate(zip(codes, waves, strict=True), 1):
            _write(folder / name / f"AuSep_{k}_{code}_{title}.wav", wave)
        _write(folder / name / f"AuMix_{name}.wav", np.sum(waves, axis=0))


def _melody(rng: np.random.Generator) -> NDArray:
    t = np.arange(round(SECONDS * RATE)) / RATE
    pitches = 110 * 2 ** (rng.integers(0, 30, len(t) // (RATE // 4) + 1) / 12)
    phase = 2 * np.pi * np.cumsum(np.repeat(pitches, RATE // 4)[: len(t)]) / RATE
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 6))
    return 0.1 * harmonics * np.exp(-(4 * t % 1)) + 1e-3 * rng.standard_normal(len(t))


def _write(path: Path, wave: NDArray) -> None:
    soundfile.write(path, wave, RATE, subtype="PCM_16")


def scores() -> dict[str, list[list[float]]]:
    """Row -> (SDR, SIR, SAR) of each source, segment by segment."""
    rows: dict[str, list[list[float]]] = {}
    with TemporaryDirectory() as name:
        write_pieces(Path(name))
        for piece, groups in MERGED.items():
            parts = {
                k: read_audio(next(Path(name, piece).glob(f"AuSep_{k}_*")))
                for group in groups
                for k in group
            }
            mix = read_audio(next(Path(name, piece).glob("AuMix_*")))
            references = np.stack([sum(parts[k] for k in group) for group in groups])
            for start in range(0, len(mix) - SEGMENT + 1, SEGMENT):
                part = slice(start, start + SEGMENT)
                estimates = baseline_estimates(mix[part], references[:, part])
                for row, waves in estimates.items():
                    values = bss_eval_sources(references[:, part], waves, False)[:3]
                    rows.setdefault(row, []).extend(np.round(values, 5).T.tolist())
    return rows


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # mir_eval's deprecation
    FILE.write_text(json.dumps(scores(), indent=1) + "\n")

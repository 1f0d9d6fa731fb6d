"""A run small enough to be made in seconds: every file that the report reads."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from PIL import Image

from solos import SAMPLE_RATE, SEGMENT
from solos.config.recipes import Recipe
from solos.config.rows import Protocol
from solos.evaluation.oracles import baseline_estimates
from solos.evaluation.scores import score_rows, summarize, to_table
from solos.evaluation.segments import prepared_pieces, read_segments
from solos.models.weights import build_network, save_network
from solos.report.gather import Run
from solos.separation.segments import separate_segments
from solos.separation.separator import load_separator
from solos.statistics.bootstrap import Bootstrap
from solos.statistics.tables import all_tables, read_scores, write_table
from solos.storage.pictures import pack_frames

EVIL = "02_<img src=x onerror=alert(1)>_cl_tpt"
"""A folder may be called so."""
PIECES = {  # of a segment each, so that all four are chosen
    "01_Duet_vn_fl": ("Violin", "Flute"),
    EVIL: ("Clarinet", "Trumpet"),
    "03_Twins_vn_vn_vc": ("Violin", "Violin", "Cello"),
    "04_Quintet_fl_ob_cl_hn_bn": ("Flute", "Oboe", "Clarinet", "Horn", "Bassoon"),
}
NETWORKS = {"sop": "sop", "mhunet": "mhunet"}
SEED = 5


def small_run(root: Path, recipes: dict[str, Recipe], protocol: Protocol) -> Run:
    """Write everything into ``root`` and describe it."""
    torch.manual_seed(SEED)
    data = root / "data"
    write_urmp(data / "urmp")
    for row, kind in NETWORKS.items():
        description = {"network": kind, "recipe": recipes[row].model_dump()}
        save_network(data / "models" / row, build_network(recipes[row]), description)
    tables = _score(data, protocol)
    scores = read_scores(data / "evaluation", list(tables))
    for name, table in all_tables(scores, Bootstrap(50, 0.9, SEED)).items():
        write_table(table, data / "statistics" / f"{name}.csv")
    _write_logs(data / "training")
    (data / "coverage").mkdir()
    (data / "coverage" / "solos.csv").write_text(
        "instrument,listed,usable,minutes,not_usable\nTuba,4,2,12.0,1 <private>\n"
    )
    return Run(
        data=data,
        metrics={row: summarize(table) for row, table in tables.items()},
        others={"sop": {"masks: soft": summarize(tables["sop"])}},
        networks=NETWORKS,
        recipes=NETWORKS,
        sets=["solos"],
        protocol=protocol,
        profile="test",
        seed=SEED,
        confidence=0.9,
        provenance={"profile": "test", "seed": SEED, "commit": "abc & def"},
    )


def write_urmp(folder: Path) -> None:
    """A prepared test set: a tone with overtones for each part, in noise; plain pictures."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(SEED)
    pieces, parts = [], []
    for name, instruments in PIECES.items():
        (folder / name).mkdir()
        waves = [_tone(180.0 * 1.37**k, SEGMENT, rng) for k in range(len(instruments))]
        _write_wave(folder / name / "mix.wav", np.sum(waves, axis=0))
        pieces.append((name, len(waves), SEGMENT, 1, "yes", "ok", ""))
        for k, (instrument, wave) in enumerate(zip(instruments, waves, strict=True), 1):
            _write_wave(folder / name / f"{k}.wav", wave)
            _write_frames(folder / name / f"{k}.zip", 40 * k)
            parts.append((name, k, instrument, f"{name}/{k}.wav", f"{name}/{k}.zip"))
    header = ["piece", "n_parts", "n_samples", "n_segments", "video", "status", "reason"]
    pd.DataFrame(pieces, columns=header).to_csv(folder / "pieces.csv", index=False)
    header = ["piece", "part", "instrument", "wav", "frames"]
    pd.DataFrame(parts, columns=header).to_csv(folder / "parts.csv", index=False)


def _tone(pitch: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    phase = 2 * np.pi * pitch * np.arange(samples) / SAMPLE_RATE
    tone = sum(np.sin(n * phase) / n for n in range(1, 5))
    beat = 0.6 + 0.4 * np.sin(phase / 100)
    return (0.05 * beat * tone + 0.001 * rng.standard_normal(samples)).astype(np.float32)


def _write_wave(path: Path, wave: np.ndarray) -> None:
    soundfile.write(path, wave, SAMPLE_RATE, subtype="FLOAT")


def _write_frames(archive: Path, colour: int) -> None:
    folder = archive.with_suffix("")
    folder.mkdir()
    for number in range(30):
        Image.new("RGB", (60, 44), (colour, 8 * number, 120)).save(folder / f"{number:06d}.jpg")
    pack_frames(folder, archive)


def _score(data: Path, protocol: Protocol) -> dict[str, pd.DataFrame]:
    separators = {row: load_separator(data / "models" / row) for row in NETWORKS}
    lines: dict[str, list[dict]] = {}
    for segment in read_segments(prepared_pieces(data / "urmp"), protocol):
        estimates = baseline_estimates(segment.mix, segment.references)
        estimates |= {row: next(separate_segments(s, [segment])) for row, s in separators.items()}
        for row, scored in score_rows(segment, estimates, protocol).items():
            lines.setdefault(row, []).extend(scored)
    (data / "evaluation").mkdir()
    tables = {row: to_table(found) for row, found in lines.items()}
    for row, table in tables.items():
        table.to_csv(data / "evaluation" / f"{row}.csv", index=False)
    return tables


def _write_logs(folder: Path) -> None:
    logs = {"val_loss": [0.5, 0.4, 0.45, 0.3], "lr": [0.1] * 4, "max_src": [2, 2, 2, 3]}
    for row in NETWORKS:
        plots = folder / row / "plots" / "metrics"
        plots.mkdir(parents=True)
        for name, values in {**logs, "train_loss": [0.6, 0.5, 0.4, 0.2]}.items():
            log = pd.DataFrame({"step": range(4), name: values})
            log.to_csv(plots / f"{name}.tsv", sep="\t", index=False)
        (folder / row / "metrics.json").write_text(json.dumps({"step": 3}))

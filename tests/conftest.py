"""Shared fixtures: a training set small enough to be made in a moment."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image
from prepared import write_test_set
from small_run import small_run

from solos import SAMPLE_RATE
from solos.config.params import Params, load_params
from solos.config.recipes import InformedRecipe, MhuRecipe, SopRecipe
from solos.evaluation.segments import prepared_pieces, read_segments
from solos.report.gather import Run, choose_segments, find_eyes, gather, make_examples, read_lines
from solos.report.render import Content, render
from solos.separation.separator import load_separator
from solos.storage.pictures import pack_frames

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """What was captured, as UTF-8: xdist's workers can't send names of files that are none."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def params() -> Params:
    """The committed parameters."""
    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def sop_recipe(params) -> SopRecipe:
    small = {"channels": [4, 8, 8], "components": 4, "val_mixes": 4, "batch_size": 2}
    return params.train.sop.model_copy(update=small | {"mixes_per_recording": 1, "image_size": 32})


@pytest.fixture(scope="session")
def mhu_recipe(params) -> MhuRecipe:
    small = {"channels": [4, 8, 8], "train_mixes": 6, "val_mixes": 4, "batch_size": 2}
    curriculum = params.train.mhunet.curriculum.model_copy(update={"start": 2, "stop": 3})
    return params.train.mhunet.model_copy(update=small | {"curriculum": curriculum})


@pytest.fixture(scope="session")
def informed_recipe(params) -> InformedRecipe:
    small = {"channels": [4, 8, 8], "train_mixes": 6, "val_mixes": 4, "batch_size": 2}
    return params.train.informed.model_copy(update=small | {"n_src": [2, 3], "epochs": 2})


INSTRUMENTS = ("Cello", "Flute", "Tuba")
LENGTH = 700
"""STFT frames of a fake recording."""


@pytest.fixture(scope="session")
def training_set(tmp_path_factory) -> tuple[Path, Path]:
    """Folders of spectrograms and pictures: 3 instruments, 3 recordings each, one for validation.

    Each instrument has energy in a band of its own; spans are [100, 400) and [420, 690).
    """
    root = tmp_path_factory.mktemp("training_set")
    spectrograms, extracted = root / "spectrograms", root / "extracted"
    spectrograms.mkdir()
    extracted.mkdir()
    rows = []
    for i, instrument in enumerate(INSTRUMENTS):
        for take in range(3):
            name = f"{instrument}-{take}"
            _write_spectrogram(spectrograms, name, band=i, seed=10 * i + take)
            _write_sound(extracted / f"{name}.wav")
            _write_frames(extracted / f"{name}.zip", root / name, colour=80 * i + 10 * take)
            rows.append((name, instrument, "val" if take == 2 else "train"))
    _write_table(spectrograms, rows)
    (extracted / "status.csv").write_text("id,sha256\n")
    return spectrograms, extracted


def _write_spectrogram(folder: Path, name: str, band: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = np.zeros((LENGTH, 512, 2), np.float16)
    spec[:, 20 + 60 * band : 60 + 60 * band] = rng.normal(0, 3, (LENGTH, 40, 2))
    np.save(folder / f"{name}.npy", spec)


def _write_sound(path: Path) -> None:
    """Louder and louder: in each hop of 256 samples, one at each extreme."""
    wave = np.zeros((LENGTH, 256), np.float32)
    wave[:, 0] = np.linspace(-0.1, -0.5, LENGTH)
    wave[:, 1] = np.linspace(0.2, 0.6, LENGTH)
    soundfile.write(path, wave.flatten(), SAMPLE_RATE, subtype="FLOAT")


def _write_frames(archive: Path, folder: Path, colour: int) -> None:
    """140 pictures; the red channel counts them, the green one tells the recording."""
    folder.mkdir()
    for number in range(140):
        Image.new("RGB", (48, 40), (number, colour, 0)).save(folder / f"{number:06d}.jpg")
    pack_frames(folder, archive)


def _write_table(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    table = pd.DataFrame(rows, columns=["id", "instrument", "split"])
    table["status"], table["reason"], table["n_stft_frames"] = "ok", "", LENGTH
    table["spans"] = json.dumps([[100, 400], [420, 690]])
    table.to_csv(folder / "recordings.csv", index=False)


@pytest.fixture(scope="session")
def urmp(tmp_path_factory) -> Path:
    """A small prepared test set."""
    folder = tmp_path_factory.mktemp("urmp")
    write_test_set(folder)
    return folder


torch.set_num_threads(1)  # the networks of the tests are too small to share


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def run(tmp_path_factory, params, sop_recipe, mhu_recipe) -> Run:
    """A small run with every file that the report reads."""
    recipes = {"sop": sop_recipe, "mhunet": mhu_recipe}
    return small_run(tmp_path_factory.mktemp("run"), recipes, params.evaluate)


@pytest.fixture(scope="session")
def content(run) -> Content:
    """What the report's page shows of the small run."""
    lines = read_lines(run)
    choices = choose_segments(lines, run)
    separators = {row: load_separator(run.data / "models" / row) for row in run.networks}
    segments = read_segments(prepared_pieces(run.data / "urmp"), run.protocol)
    return gather(run, lines, make_examples(choices, segments, separators, find_eyes(run)))


@pytest.fixture(scope="session")
def page(content) -> str:
    """The page itself."""
    return render(content)


class _Threads(ThreadPoolExecutor):
    """loky's interface."""

    def shutdown(self, wait: bool = True, *, kill_workers: bool = False, **options: bool) -> None:
        super().shutdown(wait, **options)


@pytest.fixture
def score_in_threads(monkeypatch):
    """What a test has replaced, processes don't see."""
    pool = "solos.commands.scoring.get_reusable_executor"
    monkeypatch.setattr(pool, lambda **_: _Threads(2))

"""A made-up training set in the stages' own files, and the paper's recipes."""

from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
import yaml
from PIL import Image

from benchmarks.gpu.rows import ROOT, Setting
from solos import FRAME_RATE, INSTRUMENTS, SAMPLE_RATE
from solos.config.recipes import MhuRecipe, Recipe, SopRecipe
from solos.preparation import spectrograms
from solos.storage.pictures import pack_frames
from solos.storage.tables import write_table
from solos.training.tasks import Task, make_task

SECONDS = 24
SIDE = 256
"""Pixels of a picture: the shorter side of the real ones."""
NETWORKS = {"sop": "Sound of Pixels", "mhunet": "Multi-Head U-Net"}
_KINDS = {"sop": SopRecipe, "mhunet": MhuRecipe}
_SMALL = {
    "sop": {"channels": [4, 8, 8], "components": 4, "image_size": 32, "batch_size": 2},
    "mhunet": {"channels": [4, 8, 8], "batch_size": 2},
}


def paper_recipe(name: str, setting: Setting, **changes: object) -> Recipe:
    """The recipe ``sop`` or ``mhunet`` of the real profile, its trunk random; a small one if quick.

    Args:
        changes: to its values.
    """
    text = (ROOT / "conf/data/solos.yaml").read_text(encoding="utf-8")
    own = {"device": setting.device} | ({"trunk_weights": "random"} if name == "sop" else {})
    small = _SMALL[name] if setting.quick else {}
    return _KINDS[name].model_validate(yaml.safe_load(text)["train"][name] | own | small | changes)


def task_of(recipe: Recipe, setting: Setting) -> Task:
    """The task of a recipe on the made-up set."""
    return make_task(recipe, 0, setting.folder / "spectrograms", setting.folder / "extracted")


def make(folder: Path) -> None:
    """Two recordings of each instrument, one for validation, into ``spectrograms``, ``extracted``.

    A recording has 24 s of sound (16-bit PCM) and pictures of 256×256 at 8 fps.
    """
    (folder / "spectrograms").mkdir(parents=True)
    (folder / "extracted").mkdir()
    lines = []
    for number, instrument in enumerate(INSTRUMENTS):
        for split in ("train", "val"):
            name = f"{instrument}-{split}"
            rng = np.random.default_rng([number, split == "val"])
            line = {"id": name, "instrument": instrument, "split": split, "status": "ok"}
            lines.append(line | {"reason": ""} | _recording(folder, name, rng))
    columns = ("id", "instrument", "split", "status", "reason", "n_stft_frames", "spans")
    write_table(folder / "spectrograms/recordings.csv", columns, lines)


def _recording(folder: Path, name: str, rng: np.random.Generator) -> dict:
    wav = folder / f"extracted/{name}.wav"
    soundfile.write(wav, _notes(rng), SAMPLE_RATE, subtype="PCM_16")
    about = spectrograms.transform(wav, ((0, 10**6),), folder / "spectrograms")
    (folder / "spectrograms/spec.npy").rename(folder / f"spectrograms/{name}.npy")
    pictures = folder / name
    pictures.mkdir()
    drawn = [_picture(rng) for _ in range(8)]
    for number in range(SECONDS * FRAME_RATE):
        (pictures / f"{number:06d}.jpg").write_bytes(drawn[number % len(drawn)])
    pack_frames(pictures, folder / f"extracted/{name}.zip")
    return about


def _notes(rng: np.random.Generator) -> np.ndarray:
    """Harmonic notes of a second over faint noise, (24 · 11025,), within ±1."""
    time = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    pitch = np.repeat(rng.uniform(100, 600, SECONDS), SAMPLE_RATE)
    sound = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 9))
    return 0.2 * sound + 1e-3 * rng.standard_normal(time.size)


def _picture(rng: np.random.Generator) -> bytes:
    """A JPEG with about as much in it as a photograph's."""
    coarse = rng.integers(0, 256, (SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
    stream = BytesIO()
    picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()

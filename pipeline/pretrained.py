"""Sound of Pixels' MUSIC weights: trained here on MUSIC, or the released files."""

import os
import shutil
from pathlib import Path

import torch
from torch import nn

from pipeline.common import WORK, run_stage
from pipeline.fit import fit
from solos.config.params import Params
from solos.errors import UserError
from solos.models.weights import build_network, copy_weights, weight_files
from solos.storage.cache import locked
from solos.storage.files import fingerprint
from solos.storage.web import fetch
from solos.training.tasks import make_task, start_trunk

OUTPUT = Path("data/weights/music")
SCRATCH = Path("data/weights/scratch")
LOGS = Path("data/training/pretrained")


def main(params: Params) -> None:
    torch.manual_seed(params.seed)
    network = build_network(params.train.music)
    if params.pretrained.source == "train":
        train_on_music(params, network)
        return
    if os.environ.get("RANK", "0") != "0":
        return  # started by torchrun: one process is enough to copy files
    LOGS.mkdir(parents=True, exist_ok=True)  # nothing is trained, so there is nothing to log
    if params.pretrained.source == "files":
        copy_weights(Path(params.pretrained.path), network, OUTPUT)
    else:
        take_from(params.pretrained.url, network)


def train_on_music(params: Params, network: nn.Module) -> None:
    """From scratch, by its own recipe."""
    recipe = params.train.music
    start_trunk(network, recipe, SCRATCH)
    music = map(Path, params.pretrained.needs)  # spectrograms, pictures
    task = make_task(recipe, params.seed, *music)
    aspect = params.dataset["music"].aspect
    fit(task, network, recipe.epochs, SCRATCH, OUTPUT, LOGS, aspect)


def take_from(url: str, network: nn.Module) -> None:
    """The files of an address, which are removed again if they don't fit."""
    folder = WORK / "weights" / fingerprint(url)
    with locked(folder.with_name(f"{folder.name}.lock")):
        fetch_weights(url, list(weight_files(network)), folder)
        try:
            copy_weights(folder, network, OUTPUT)
        except UserError as error:
            shutil.rmtree(folder)
            raise UserError(f"{url} gave: {error}. Removed: run again") from None


def fetch_weights(url: str, names: list[str], folder: Path) -> None:
    """Download the files that are not in ``folder`` yet."""
    for name in names:
        if (folder / name).exists():
            continue
        address = f"{url.rstrip('/')}/{name}"
        try:
            fetch(address, folder / name)
        except OSError as error:
            raise UserError(
                f"{address}: {error}\nUsers report the released weights as forbidden. Put the three"
                " files in a folder and set pretrained=files pretrained.path=FOLDER, or set"
                " pretrained=music to train them on MUSIC"
            ) from error


if __name__ == "__main__":
    run_stage(main)

"""Sound of Pixels' MUSIC weights: trained here on MUSIC, or the released files."""

import logging
import os
import shutil
from pathlib import Path

import torch
from torch import nn

from pipeline.common import WORK, run_stage
from pipeline.fit import fit
from solos.config.params import Params
from solos.errors import UserError
from solos.models.weights import build_network, load_weights, weight_files
from solos.storage.files import file_hash, fingerprint
from solos.storage.web import fetch
from solos.training.tasks import make_task, start_trunk

OUTPUT = Path("data/weights/music")
SCRATCH = Path("data/weights/scratch")
LOGS = Path("data/training/pretrained")
log = logging.getLogger(__name__)


def main(params: Params) -> None:
    torch.manual_seed(params.seed)
    network = build_network(params.train.sop)
    if params.pretrained.source == "train":
        train_on_music(params, network)
        return
    if os.environ.get("RANK", "0") != "0":
        return  # started by torchrun: one process is enough to copy files
    LOGS.mkdir(parents=True, exist_ok=True)  # nothing is trained, so there is nothing to log
    if params.pretrained.source == "files":
        take_over(Path(params.pretrained.path), network)
    else:
        folder = fetch_weights(params.pretrained.url, list(weight_files(network)))
        try:
            take_over(folder, network)
        except UserError as error:
            shutil.rmtree(folder)
            raise UserError(f"{params.pretrained.url} gave: {error}. Removed: run again") from None


def train_on_music(params: Params, network: nn.Module) -> None:
    """The same training as on Solos, from scratch."""
    start_trunk(network, params.train.sop, SCRATCH)
    music = map(Path, params.pretrained.needs)  # spectrograms, pictures
    task = make_task(params.train.sop, params.seed, *music)
    fit(task, network, params.train.sop.epochs, SCRATCH, OUTPUT, LOGS)


def fetch_weights(url: str, names: list[str]) -> Path:
    """Download the files that are not there yet; the folder they are in."""
    folder = WORK / "weights" / fingerprint(url)
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
    return folder


def take_over(folder: Path, network: nn.Module) -> None:
    """Check that a folder's three files fit the network, and copy them with their checksums."""
    load_weights(folder, network)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    sums = {}
    for name in weight_files(network):
        shutil.copyfile(folder / name, OUTPUT / name)
        sums[name] = file_hash(OUTPUT / name)
        log.info("%s taken over, SHA-256 %s", folder / name, sums[name])
    lines = [f"{checksum}  {name}\n" for name, checksum in sums.items()]
    (OUTPUT / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)

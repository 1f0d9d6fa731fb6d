"""Train a row of Table II on Solos, or take over its start weights as they are (``epochs: 0``)."""

from pathlib import Path

import torch
from torch import nn

from pipeline.common import run_stage
from pipeline.fit import fit
from solos.config.data import Aspect
from solos.config.params import Params
from solos.config.recipes import Recipe, SopRecipe
from solos.config.rows import Row
from solos.errors import UserError
from solos.models.weights import build_network, load_published, load_weights
from solos.training.tasks import make_task, start_trunk


def main(params: Params, name: str) -> None:
    if name not in params.model:
        raise UserError(f"row {name!r} is not in params.yaml's model: {', '.join(params.model)}")
    row = params.model[name]
    start = Path(row.path or f"data/weights/{row.init}")
    torch.manual_seed(params.seed)
    network, recipe = start_network(row, getattr(params.train, row.network), start)
    solos = (Path("data/spectrograms/solos"), Path("data/extracted/solos"))
    task = make_task(recipe, params.seed, *solos)
    output, logs = Path("data/models") / name, Path("data/training") / name
    fit(task, network, row.epochs, start, output, logs, seen_aspect(params, row))


def start_network(row: Row, recipe: Recipe, start: Path) -> tuple[nn.Module, Recipe]:
    """A row's network before its training, and the recipe with the network's own sizes."""
    if row.init == "published":
        return load_published(recipe, start)
    network = build_network(recipe, row.network)
    if row.init == "music":
        load_weights(start, network)
    elif isinstance(recipe, SopRecipe):
        start_trunk(network, recipe, start)
    return network, recipe


def seen_aspect(params: Params, row: Row) -> Aspect:
    """Of the pictures that the row's network was trained on; the released weights' were kept."""
    if row.epochs:
        return params.dataset["solos"].aspect
    return params.dataset["music"].aspect if "music" in params.dataset else "keep"


if __name__ == "__main__":
    run_stage(main, ())

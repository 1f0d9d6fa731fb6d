"""Train a row of Table II on Solos, or take over its start weights as they are (``epochs: 0``)."""

from pathlib import Path

import torch

from pipeline.common import run_stage
from pipeline.fit import fit
from solos.config.params import Params
from solos.config.recipes import SopRecipe
from solos.errors import UserError
from solos.models.weights import build_network, load_weights
from solos.training.tasks import make_task, start_trunk


def main(params: Params, name: str) -> None:
    if name not in params.model:
        raise UserError(f"row {name!r} is not in params.yaml's model: {', '.join(params.model)}")
    row = params.model[name]
    recipe = getattr(params.train, row.network)
    start = Path("data/weights") / row.init
    torch.manual_seed(params.seed)
    network = build_network(recipe, row.network)
    if row.init == "music":
        load_weights(start, network)
    elif isinstance(recipe, SopRecipe):
        start_trunk(network, recipe, start)
    solos = (Path("data/spectrograms/solos"), Path("data/extracted/solos"))
    task = make_task(recipe, params.seed, *solos)
    fit(task, network, row.epochs, start, Path("data/models") / name, Path("data/training") / name)


if __name__ == "__main__":
    run_stage(main, ())

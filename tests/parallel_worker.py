"""Trains as torchrun or a test starts it; the first process writes the losses of each epoch."""

import json
import sys
from pathlib import Path

import torch
from pydantic import TypeAdapter

from pipeline.fit import join
from solos.config.recipes import AnyRecipe
from solos.models.weights import build_network
from solos.training.loop import train
from solos.training.state import Checkpoint
from solos.training.tasks import make_task


def main(description: Path, output: Path) -> None:
    torch.set_num_threads(1)
    given = json.loads(description.read_text())
    recipe = TypeAdapter(AnyRecipe).validate_python(given["recipe"])
    task = make_task(recipe, 0, *map(Path, given["folders"]))
    torch.manual_seed(1)
    records: list[dict] = []
    processes = join(recipe.device)
    path = Path(given["checkpoint"])
    if given.get("own_checkpoints"):
        path = path.with_stem(f"{path.stem}{processes.rank}")
    checkpoint = Checkpoint(path)
    network = build_network(recipe)
    train(task, network, given["epochs"], checkpoint, records.append, lambda b, _: b, processes)
    if processes.first:
        output.write_text(json.dumps({"count": processes.count, "records": records}))
    processes.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

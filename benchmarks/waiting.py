"""Training steps beside a busy process, by how long torch's threads spin for each other.

``python -m benchmarks.waiting``: seconds of a step of each network at the miniature's sizes
(medians of nine), alone, beside a busy thread and beside one on each core, as GNU's OpenMP has it
and as the stages set it (``GOMP_SPINCOUNT``, in ``pipeline``), in turns.
"""

import argparse
import os
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.bss_eval import busy
from benchmarks.measuring import apart
from benchmarks.train import mhunet_rate, sop_rate
from pipeline.params import compose
from solos.config.params import load_params
from solos.config.recipes import MhuRecipe, Recipe

OWN = "300000"  # where nothing is set (libgomp, env.c)
OURS = os.environ["GOMP_SPINCOUNT"]
ROUNDS = 3


def seconds(recipe: Recipe) -> list[float]:
    """Of three steps."""
    of = mhunet_rate if isinstance(recipe, MhuRecipe) else sop_rate
    return [recipe.batch_size / of(recipe, recipe.batch_size, 1, False) for _ in range(3)]


def with_spins(spins: str, recipe: Recipe) -> list[float]:
    """In a process that is begun with so many."""
    os.environ["GOMP_SPINCOUNT"] = spins
    return apart(seconds, recipe)


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.waiting").parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        compose(path, ["data=mini"])
        recipes = load_params(path).train
    print("| beside | step | OpenMP's own, s | ours, s | ratio |")
    print("|---" * 5 + "|")
    loads = {"nothing": 0, "a busy thread": 1, "one on each core": os.cpu_count()}
    for beside, threads in loads.items():
        with busy(threads) if threads else nullcontext():
            for recipe in (recipes.sop, recipes.mhunet):
                found: dict[str, list[float]] = {OWN: [], OURS: []}
                for _ in range(ROUNDS):
                    for spins in found:
                        found[spins] += with_spins(spins, recipe)
                own, ours = (median(times) for times in found.values())
                line = f"| {beside} | {recipe.recipe} | {own:.3f} | {ours:.3f} | {own / ours:.1f} |"
                print(line, flush=True)


if __name__ == "__main__":
    main()

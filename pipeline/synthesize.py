"""Stage ``synthesize@solos``, ``@music``, ``@urmp``: render the miniature data sets.

Writes ``data/synthetic/solos`` and ``music`` (``index.csv``, ``videos/<id>.mp4``) and
``data/synthetic/urmp`` (a folder a piece).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.common import run_stage
from pipeline.engines.spread import run_items
from pipeline.items import Item, Place, make_items
from solos import synthesis
from solos.config.params import Params
from solos.datasets.index import write_index
from solos.errors import UserError
from solos.storage.cache import code_of
from solos.synthesis import ensembles, recordings
from solos.synthesis.scores import Voice, read_work
from solos.synthesis.works import TRAINING, Work

TARGET = Path("data/synthetic")
SETS = ("solos", "music", "urmp")


def main(params: Params, name: str) -> None:
    """Render the data set ``name``."""
    settings = getattr(params.synthesize, name)
    if settings is None:
        raise UserError(f"params.yaml has no synthesize.{name}: its data is not rendered")
    key = (name, settings.model_dump(), params.seed, code_of(synthesis))
    place = Place(f"synthesize {name}", f"synthesize/{name}", TARGET / name)
    if name == "urmp":
        voices = _voices(params, [ensemble.work for ensemble in ensembles.chosen(settings)])
        plans = ensembles.plan_set(voices, settings, params.seed)
        items = [Item(plan.folder, {}, plan, key) for plan in plans]
        make_items(items, ensembles.render_plan, place, params.parallel)
        return
    voices, numbers = _voices(params, TRAINING), range(settings.recordings)
    plans = recordings.plan_set(name, voices, numbers, settings.seconds, params.seed)
    items = [Item(plan.recording.id, {}, plan, key) for plan in plans]
    render = partial(recordings.render_plan, height=settings.height)
    make_items(items, render, place, params.parallel)
    write_index(place.output / "index.csv", [plan.recording for plan in plans])


def _voices(params: Params, works: Sequence[Work]) -> list[list[Voice]]:
    return run_items(read_work, works, params.parallel, "scores")


if __name__ == "__main__":
    run_stage(main, SETS)

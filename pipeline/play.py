"""Stage ``play@solos``: soloists and ensembles put together from recorded notes, sound alone.

Writes ``data/played/solos``: ``index.csv`` and ``audio/<id>.flac``.
"""

from functools import partial
from pathlib import Path

from pipeline.common import run_stage
from pipeline.engines.spread import run_items
from pipeline.items import Item, Place, make_items
from solos import notes, synthesis
from solos.config.params import Params
from solos.datasets.index import write_index
from solos.notes.ensembles import plan_ensembles
from solos.notes.soloists import divide_works, plan_soloists, render_soloist
from solos.storage.cache import code_of
from solos.storage.files import file_hash
from solos.synthesis.recordings import Plan
from solos.synthesis.scores import read_work
from solos.synthesis.works import TRAINING

NOTES, TARGET = Path("data/notes"), Path("data/played")


def main(params: Params, name: str) -> None:
    """Play the data set ``name``."""
    settings, val_fraction = params.play[name], params.spectrograms.val_fraction
    works = divide_works(TRAINING, val_fraction)
    voices = {
        split: run_items(read_work, of_split, params.parallel, f"scores, {split}")
        for split, of_split in works.items()
    }
    plans = plan_soloists(voices, settings, val_fraction, params.seed)
    plans += plan_ensembles(voices, settings, val_fraction, params.seed)
    code = code_of(notes, synthesis)
    banks = {
        player: [file_hash(NOTES / f"{player}{suffix}") for suffix in (".csv", ".npy")]
        for player in {plan.player for plan in plans}
    }
    items = [Item(p.recording.id, {}, p, (key_of(p), code, banks[p.player])) for p in plans]
    place = Place(f"play {name}", f"play/{name}", TARGET / name)
    make_items(items, partial(render_soloist, notes=NOTES), place, params.parallel)
    write_index(place.output / "index.csv", [plan.recording for plan in plans])


def key_of(plan: Plan) -> tuple:
    """All of a plan that its sound depends on."""
    lines = [line.tolist() for line in plan.lines]
    return plan.recording.split, plan.player, plan.seconds, plan.seed, lines


if __name__ == "__main__":
    run_stage(main, ("solos",))

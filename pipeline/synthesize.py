"""Stage ``synthesize@solos``, ``@music``, ``@urmp``: render the miniature data sets.

Writes ``data/synthetic/solos`` and ``music`` (``index.csv``, ``videos/<id>.mp4``) and
``data/synthetic/urmp`` (a folder a piece). Files are rendered under ``.work/`` first, so that an
interrupted stage goes on where it was.
"""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.common import WORK, run_items, run_stage
from solos import synthesis
from solos.config import Params
from solos.errors import UserError
from solos.files import file_hash, fingerprint
from solos.index import write_index
from solos.resume import link
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
    code = [file_hash(path) for path in sorted(Path(synthesis.__file__).parent.glob("*.py"))]
    key = fingerprint(name, settings.model_dump(), params.seed, code)
    work = WORK / "synthesize" / key
    render = _urmp if name == "urmp" else _solos
    render(params, name, work)
    _publish(work, TARGET / name)
    shutil.rmtree(work)


def _solos(params: Params, name: str, work: Path) -> None:
    voices = _voices(params, TRAINING)
    plans = recordings.plan_set(name, voices, getattr(params.synthesize, name), params.seed)
    render = partial(recordings.render_plan, folder=work / "videos")
    run_items(render, plans, params.parallel, f"synthesize {name}")
    write_index(work / "index.csv", [plan.recording for plan in plans])


def _urmp(params: Params, name: str, work: Path) -> None:
    settings = params.synthesize.urmp
    voices = _voices(params, [ensemble.work for ensemble in ensembles.chosen(settings)])
    plans = ensembles.plan_set(voices, settings, params.seed)
    render = partial(ensembles.render_plan, root=work)
    run_items(render, plans, params.parallel, f"synthesize {name}")


def _voices(params: Params, works: Sequence[Work]) -> list[list[Voice]]:
    return run_items(read_work, works, params.parallel, "scores")


def _publish(work: Path, target: Path) -> None:
    """Make ``target`` hold the files of ``work``, without copying them where links are possible."""
    shutil.rmtree(target, ignore_errors=True)
    halves = shutil.ignore_patterns(".*")  # temporary files of a run that was killed
    shutil.copytree(work, target, copy_function=lambda a, b: link(Path(a), Path(b)), ignore=halves)


if __name__ == "__main__":
    run_stage(main, SETS)

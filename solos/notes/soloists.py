"""Solo recordings put together from recorded notes, sound alone, in a training set's layout.

Validation hears notes and scores that training never did: both are divided before anything is
played.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from solos.config.data import Play
from solos.notes.bank import read_bank
from solos.notes.player import play
from solos.preparation.splits import n_training, spread
from solos.synthesis.instruments import BY_NAME
from solos.synthesis.performance import perform, random_style
from solos.synthesis.recordings import Plan, at_level, plan_set
from solos.synthesis.scores import Voice
from solos.synthesis.sound import RATE, random_room, record, response
from solos.synthesis.works import Work

_VIBRATO = 0.4  # of the synthesiser's: the notes have their own
_DISCORD = 4.0  # cents, standard deviation of tuning in an ensemble


def divide_works(works: Sequence[Work], val_fraction: float) -> dict[str, list[Work]]:
    """Scores of each split, spread over their list."""
    parts = spread(len(works), val_fraction)
    return {
        split: [work for work, part in zip(works, parts, strict=True) if part == split]
        for split in ("train", "val")
    }


def plan_soloists(
    voices: dict[str, Sequence[Sequence[Voice]]], settings: Play, val_fraction: float, seed: int
) -> list[Plan]:
    """Decide on all the recordings of a training set.

    Args:
        voices: those of each score of the splits ``train`` and ``val``.
    """
    n_train = n_training(settings.recordings, val_fraction)
    numbers = {"train": range(n_train), "val": range(n_train, settings.recordings)}
    plans = []
    for split, of_split in numbers.items():
        for plan in plan_set("solos", voices[split], of_split, settings.seconds, seed):
            name = f"{plan.player}-{plan.number:03d}"
            recording = replace(plan.recording, id=name, url=f"audio/{name}.flac", split=split)
            plans.append(replace(plan, recording=recording))
    return sorted(plans, key=lambda plan: plan.recording.id)


def render_soloist(plan: Plan, folder: Path, notes: Path) -> None:
    """Write ``folder/audio/<id>.flac``, played from the bank in ``notes``.

    The parts of an ensemble share tuning and room: their seeds differ in the last number alone.
    """
    rng = shared = np.random.default_rng(plan.seed)
    tuning = 0.0
    if plan.recording.ensemble:
        shared = np.random.default_rng(plan.seed[:-1])
        tuning = rng.normal(0, _DISCORD)
    style = random_style(rng, tuning=tuning + shared.uniform(-35, 35))
    style = replace(style, vibrato=_VIBRATO * style.vibrato)
    performance = perform(BY_NAME[plan.player], plan.lines, style, plan.seconds, rng)
    dry = play(read_bank(notes.absolute(), plan.player, plan.recording.split), performance, rng)
    taps = response(random_room(shared, colour=2.5), rng, None, channels=1)
    wave = at_level(record(dry, taps), rng)
    path = folder / plan.recording.url
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE, subtype="PCM_16")

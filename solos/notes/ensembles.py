"""Ensembles put together from recorded notes: the parts of a score, played together.

Real music is synchronous and in one key, which mixes of any recordings aren't. Each part is a
recording of its own in the training set; the index's column ``ensemble`` says which were played
together.
"""

from collections.abc import Sequence

import numpy as np

from solos import SPAN_RATE
from solos.config.data import Play
from solos.datasets.index import Recording
from solos.preparation.splits import n_training
from solos.synthesis.instruments import BY_NAME, SETS, Instrument
from solos.synthesis.performance import excerpt, fit_range
from solos.synthesis.recordings import Plan
from solos.synthesis.scores import Voice

_LABELS = {player: label for label, player in SETS["solos"].items()}
_STREAM = 3  # of random numbers, beside those of the sets of ``solos.synthesis``
_LEAD, _TAIL = 1.0, 1.5  # seconds of silence around the music
_LONGEST_REST = 0.8
_FEWEST_NOTES = 20  # of a part
_NEAR = 14  # semitones between an instrument's middle and a part's mean pitch
_TWICE = 0.15  # chance that an instrument with a part already is one that the next may go to
_ATTEMPTS = 200


def plan_ensembles(
    voices: dict[str, Sequence[Sequence[Voice]]], settings: Play, val_fraction: float, seed: int
) -> list[Plan]:
    """Decide on the parts of ``settings.ensembles`` excerpts.

    Args:
        voices: those of each score of the splits ``train`` and ``val``.

    Returns:
        A plan a part, two parts or more an excerpt, of two instruments or more.
    """
    n_train = n_training(settings.ensembles, val_fraction)
    plans = []
    for number in range(settings.ensembles):
        split = "train" if number < n_train else "val"
        works = [work for work in voices[split] if len(work) > 1]
        key = (seed, _STREAM, number)
        parts, seconds = _arranged(works, settings.seconds, np.random.default_rng(key))
        for place, (player, line) in enumerate(parts):
            name = f"ensemble-{number:03d}-{place}"
            spans = ((int(_LEAD * SPAN_RATE), int(seconds * SPAN_RATE)),)
            url = f"audio/{name}.flac"
            recording = Recording(name, _LABELS[player], url, spans, split, f"{number:03d}")
            plans.append(Plan(recording, player, (line,), seconds, number, (*key, place)))
    return plans


def _arranged(
    works: Sequence[Sequence[Voice]], seconds: float, rng: np.random.Generator
) -> tuple[list[tuple[str, np.ndarray]], float]:
    """An excerpt of one of the works for instruments that suit its parts, and its whole length."""
    for _ in range(_ATTEMPTS):
        work = works[rng.integers(len(works))]
        beat = 60 / (work[0].tempo * rng.uniform(0.85, 1.15))
        latest = max(voice.notes[-1, 0] for voice in work) - seconds / beat
        start = 4 * np.floor(rng.uniform(0, max(latest, 1)) / 4)
        lines = excerpt(work, start=start, seconds=seconds, beat=beat, longest_rest=_LONGEST_REST)
        parts = _cast([line for line in lines if len(line) >= _FEWEST_NOTES], rng)
        if len({player for player, _ in parts}) > 1:
            end = max((line[:, 0] + line[:, 1]).max() for _, line in parts)
            return parts, float(np.ceil((end + _TAIL) * SPAN_RATE) / SPAN_RATE)
    raise ValueError(f"{_ATTEMPTS} excerpts of {len(works)} scores had no two parts to play")


def _cast(lines: Sequence[np.ndarray], rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """A player for each part, and what it plays: all in one key, which is drawn."""
    shift = int(rng.integers(-6, 6))
    parts: list[tuple[str, np.ndarray]] = []
    for line in lines:
        suited = [player for player in _LABELS if _suits(line, BY_NAME[player])]
        taken = {player for player, _ in parts}
        wanted = [p for p in suited if (p in taken) == (rng.random() < _TWICE)]
        if not (wanted or suited):
            continue
        player = str(rng.choice(wanted or suited))
        played = line.copy()
        played[:, 0] += _LEAD
        played[:, 2] = fit_range(line[:, 2], BY_NAME[player], shift)
        parts.append((player, played))
    return parts


def _suits(line: np.ndarray, instrument: Instrument) -> bool:
    """Whether a part lies near an instrument's range, and isn't too fast for it."""
    centre = (instrument.low + instrument.high) / 2
    slow = 1 / np.quantile(line[:, 1], 0.1) <= instrument.notes_per_second
    return bool(slow and abs(line[:, 2].mean() - centre) < _NEAR)

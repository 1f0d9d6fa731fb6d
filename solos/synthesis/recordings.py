"""Solo recordings, in the layout of a training set as its users would have it on disk."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solos import SPAN_RATE
from solos.datasets.index import Recording
from solos.synthesis import scene
from solos.synthesis.instruments import BY_NAME, SETS, Instrument
from solos.synthesis.looks import random_look
from solos.synthesis.motion import poses
from solos.synthesis.performance import excerpt, fit_range, perform, random_style
from solos.synthesis.scores import Voice
from solos.synthesis.sound import random_room, record, render, response
from solos.synthesis.video import encode

_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_LONGEST_REST = 1.0
_JOIN = 0.7  # seconds between two scores played in one go
_SHORTEST = 6.0  # seconds of a score
_MARGIN = 1.0  # seconds: an excerpt may end in a rest
_TWO_SPANS_FROM = 20.0  # seconds of music that are enough for two spans
_SETS = tuple(SETS)


@dataclass(frozen=True)
class Plan:
    """Everything that decides one recording.

    Attributes:
        recording: its row of the index.
        player: name in ``instruments.BY_NAME``.
        lines: what is played, one array of notes a voice (see ``performance``).
        seconds: length with lead-in and tail, a whole number of pictures.
        number: among its instrument's recordings.
        seed: of all that is random in playing and drawing it.
    """

    recording: Recording
    player: str
    lines: tuple[np.ndarray, ...]
    seconds: float
    number: int
    seed: tuple[int, ...]


def plan_set(
    name: str, voices: Sequence[Sequence[Voice]], numbers: Iterable[int], seconds: float, seed: int
) -> list[Plan]:
    """Decide on the recordings of a training set.

    Args:
        name: ``solos`` or ``music``.
        voices: those of each score.
        numbers: of each instrument's recordings.
        seconds: shortest music in a recording.
        seed: of the run.
    """
    plans = []
    for place, (label, player) in enumerate(SETS[name].items()):
        rng = np.random.default_rng([seed, _SETS.index(name), place])
        scores = _Deck(voices, BY_NAME[player], rng)
        for number in numbers:
            key = (seed, _SETS.index(name), place, number)
            plans.append(_plan(label, BY_NAME[player], scores, seconds, key))
    return plans


class _Deck:
    """Scores to play from in shuffled order, so that few recordings share one."""

    def __init__(
        self, voices: Sequence[Sequence[Voice]], instrument: Instrument, rng: np.random.Generator
    ):
        self.cards = [choice for work in voices for choice in _choices(work, instrument)]
        self.rng = rng
        self.left: list[tuple[Voice, ...]] = []

    def draw(self) -> tuple[Voice, ...]:
        if not self.left:
            order = self.rng.permutation(len(self.cards))
            self.left = [self.cards[place] for place in order]
        return self.left.pop()


def _choices(work: Sequence[Voice], instrument: Instrument) -> list[tuple[Voice, ...]]:
    """Voices of a score that suit the instrument: by pitch, and not too fast."""
    if instrument.voices > 1:
        return [(work[0], work[-1])] if len(work) > 1 else [(work[0],)]
    centre = (instrument.low + instrument.high) / 2
    near = [voice for voice in work if abs(voice.notes[:, 2].mean() - centre) < 16]
    return [(voice,) for voice in near if _rate(voice) <= instrument.notes_per_second]


def _rate(voice: Voice) -> float:
    """Notes a second in fast passages (all but the fastest tenth are slower)."""
    return 1 / np.quantile(voice.notes[:, 1] * 60 / voice.tempo, 0.1)


def _plan(label: str, instrument: Instrument, scores: _Deck, length: float, key: tuple) -> Plan:
    rng = np.random.default_rng([*key, 0])
    at = rng.uniform(1.0, 3.0)
    spans, parts = [], []
    for seconds in _span_seconds(length, rng):
        phrase = _phrase(scores, instrument, seconds, rng)
        parts.append([_moved(line, at) for line in phrase])
        end = _end(parts[-1])
        spans.append((int(at * SPAN_RATE), int(np.ceil(end * SPAN_RATE))))
        at = end + rng.uniform(1.5, 3.0)
    lines = tuple(np.concatenate(voice) for voice in zip(*parts, strict=True))
    n_frames = spans[-1][1] + round(rng.uniform(1.0, 3.0) * SPAN_RATE)
    identity = _youtube_like(rng, dash=key[-1] % 8 == 1 and key[-2] % 4 == 0)
    recording = Recording(identity, label, f"videos/{identity}.mp4", tuple(spans))
    return Plan(recording, instrument.name, lines, n_frames / SPAN_RATE, key[-1], (*key, 1))


def _span_seconds(total: float, rng: np.random.Generator) -> list[float]:
    """Music in one span or in two, ``total`` seconds or a little more in all."""
    more = rng.uniform(0, 3)
    if total < _TWO_SPANS_FROM or rng.random() < 0.6:
        return [total + more]
    first = rng.uniform(0.4, 0.6) * total
    return [first, total - first + more]


def _phrase(
    scores: _Deck, instrument: Instrument, seconds: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Notes of each voice, from 0 to ``seconds`` at least: one score, or several joined."""
    lines = [np.empty((0, 3)) for _ in range(instrument.voices)]
    while (end := _end(lines)) < seconds:
        start = end + _JOIN if end else 0.0
        wanted = max(seconds + _MARGIN - start, _SHORTEST)
        for line, more in enumerate(_excerpt(scores.draw(), instrument, wanted, rng)):
            lines[line] = np.concatenate([lines[line], _moved(more, start)])
    return lines


def _end(lines: Sequence[np.ndarray]) -> float:
    """When the last note of all ends."""
    return max((line[:, 0] + line[:, 1]).max(initial=0.0) for line in lines)


def _excerpt(
    voices: Sequence[Voice], instrument: Instrument, seconds: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """From a random onset (early enough to last), at a random tempo, in a random key."""
    tempo = voices[0].tempo * rng.uniform(0.82, 1.2)
    beat = 60 / tempo
    onsets = voices[0].notes[:, 0]
    latest = onsets[-1] - 1.3 * (seconds + 1) / beat
    start = rng.choice(onsets[: max(1, np.searchsorted(onsets, latest))])
    lines = excerpt(voices, start=start, seconds=seconds, beat=beat, longest_rest=_LONGEST_REST)
    shift = int(rng.integers(-6, 6))
    for line in lines:
        line[:, 2] = fit_range(line[:, 2], instrument, shift)
    return lines


def _moved(line: np.ndarray, seconds: float) -> np.ndarray:
    return line + np.array([seconds, 0, 0])


def _youtube_like(rng: np.random.Generator, *, dash: bool) -> str:
    letters = "".join(rng.choice(list(_ID_LETTERS), 11))
    return "-" + letters[1:] if dash else letters


def render_plan(plan: Plan, folder: Path, height: int) -> None:
    """Write ``folder/videos/<id>.mp4`` with pictures ``height`` pixels high."""
    path = folder / "videos" / f"{plan.recording.id}.mp4"
    rng = np.random.default_rng(plan.seed)
    instrument = BY_NAME[plan.player]
    style = random_style(rng, tuning=rng.uniform(-35, 35))
    performance = perform(instrument, plan.lines, style, plan.seconds, rng)
    taps = response(random_room(rng, colour=2.5), rng, instrument.formant, channels=2)
    wave = at_level(record(render(performance), taps), rng)
    n_frames = round(plan.seconds * SPAN_RATE)
    moves = poses(instrument, performance.notes, n_frames, rng)
    player = scene.Player(plan.player, random_look(rng), height)
    frames = (player.picture(tuple(move)) for move in moves.tolist())
    encode(path, frames, scene.size(height), wave)


def at_level(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A peak between -14 and -1 dBFS over a faint noise of the recorder."""
    wave = wave * np.float32(10 ** (rng.uniform(-14, -1) / 20) / abs(wave).max())
    noise = rng.standard_normal(wave.shape, dtype=np.float32)
    level = np.float32(10 ** (rng.uniform(-84, -70) / 20))
    return (wave + level * noise).clip(-1, 1)

"""Ensemble pieces, in URMP's layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from solos import SAMPLE_RATE, SEGMENT, SPAN_RATE
from solos.config.data import SynthesizeUrmp
from solos.datasets.urmp import CODES
from solos.errors import UserError
from solos.storage.files import atomic
from solos.synthesis import scene
from solos.synthesis.instruments import BY_NAME
from solos.synthesis.looks import beside, random_look
from solos.synthesis.motion import poses
from solos.synthesis.performance import Performance, excerpt, fit_range, perform, random_style
from solos.synthesis.scores import Voice
from solos.synthesis.sound import RATE, random_room, record, render, response
from solos.synthesis.video import encode
from solos.synthesis.works import ENSEMBLES, Ensemble

_LEAD, _TAIL = 0.4, 1.2  # seconds of silence around a piece
_LONGEST_REST = 0.8
_STREAM = 2  # of random numbers, beside those of the training sets
_FULL_SCALE = 2**23 - 1  # of 24 bits


@dataclass(frozen=True)
class Plan:
    """Everything that decides one piece.

    Attributes:
        number: in the set, from 1.
        ensemble: name, instruments and score.
        lines: notes of each part (see ``performance``).
        seconds: length, a whole number of pictures.
        height: of the picture in pixels.
        seed: of all that is random in playing and drawing it.
    """

    number: int
    ensemble: Ensemble
    lines: tuple[np.ndarray, ...]
    seconds: float
    height: int
    seed: tuple[int, ...]

    @property
    def title(self) -> str:
        """``NN_Name``."""
        return f"{self.number:02d}_{self.ensemble.name}"

    @property
    def folder(self) -> str:
        """``NN_Name_i1_i2...``."""
        return "_".join([self.title, *self.ensemble.codes])


def chosen(settings: SynthesizeUrmp) -> tuple[Ensemble, ...]:
    """The pieces to render.

    Raises:
        UserError: more are asked for than there are.
    """
    if settings.pieces > len(ENSEMBLES):
        raise UserError(
            f"synthesize.urmp.pieces is {settings.pieces}; there are scores for {len(ENSEMBLES)}"
        )
    return ENSEMBLES[: settings.pieces]


def plan_set(voices: Sequence[Sequence[Voice]], settings: SynthesizeUrmp, seed: int) -> list[Plan]:
    """Decide on all pieces.

    Args:
        voices: those of each ensemble's score, in the order of ``chosen``.
        seed: of the run.
    """
    plans = []
    for number, (ensemble, parts) in enumerate(zip(chosen(settings), voices, strict=True), 1):
        rng = np.random.default_rng([seed, _STREAM, number, 0])
        lines = _lines(ensemble, parts, settings.seconds - _LEAD - _TAIL, rng)
        end = max((line[:, 0] + line[:, 1]).max() for line in lines) + _TAIL
        seconds = np.ceil(min(end, settings.seconds) * SPAN_RATE) / SPAN_RATE
        key = (seed, _STREAM, number, 1)
        plans.append(Plan(number, ensemble, tuple(lines), seconds, settings.height, key))
    return plans


def _lines(
    ensemble: Ensemble, voices: Sequence[Voice], seconds: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """The excerpt in which all parts play most, transposed as a whole to suit the instruments."""
    beat = 60 / (voices[0].tempo * rng.uniform(0.94, 1.06))
    end = max(voice.notes[-1, 0] for voice in voices) - seconds / beat
    starts = np.arange(0, max(end, 1), 4.0)
    takes = [
        excerpt(voices, start=start, seconds=seconds, beat=beat, longest_rest=_LONGEST_REST)
        for start in starts
    ]
    best = max(takes, key=lambda lines: _least_playing(lines, seconds))
    shift = _best_shift(ensemble, best)
    for code, line in zip(ensemble.codes, best, strict=True):
        line[:, 2] = fit_range(line[:, 2], BY_NAME[CODES[code]], shift)
        line[:, 0] += _LEAD
        line[:, 1] = np.minimum(line[:, 1], seconds + _LEAD - line[:, 0])
    return best


def _least_playing(lines: Sequence[np.ndarray], seconds: float) -> float:
    """Least share of a segment in which a part sounds, plus a little of the mean."""
    length = SEGMENT / SAMPLE_RATE
    n_segments = max(1, int((_LEAD + seconds + _TAIL) / length))
    edges = np.arange(n_segments + 1) * length - _LEAD
    shares = [_sounding(line, edges) for line in lines]
    return float(np.min(shares) + 0.1 * np.mean(shares))


def _sounding(line: np.ndarray, edges: np.ndarray) -> np.ndarray:
    begin = np.maximum(line[None, :, 0], edges[:-1, None])
    end = np.minimum(line[None, :, :2].sum(axis=2), edges[1:, None])
    return np.maximum(end - begin, 0).sum(axis=1) / (edges[1:] - edges[:-1])


def _best_shift(ensemble: Ensemble, lines: Sequence[np.ndarray]) -> int:
    """Semitones that leave most notes in their octave; the smallest of equals."""

    def moved(shift: int) -> int:
        broken = 0
        for code, line in zip(ensemble.codes, lines, strict=True):
            fitted = fit_range(line[:, 2], BY_NAME[CODES[code]], shift)
            broken += int((np.diff(fitted) != np.diff(line[:, 2])).sum())
        return broken

    return min(range(-6, 6), key=lambda shift: (moved(shift), abs(shift)))


def render_plan(plan: Plan, root: Path) -> None:
    """Write the piece's folder under ``root``."""
    folder = root / plan.folder
    video = folder / f"Vid_{plan.folder}.mp4"
    rng = np.random.default_rng(plan.seed)
    performances = _perform(plan, rng)
    parts = _levelled([_played(*item) for item in _in_one_room(plan, performances, rng)], rng)
    for index, (code, wave) in enumerate(zip(plan.ensemble.codes, parts, strict=True), 1):
        _write(folder / f"AuSep_{index}_{code}_{plan.title}.wav", wave)
    mix = parts.sum(axis=0)
    _write(folder / f"AuMix_{plan.folder}.wav", mix)
    frames = _wide(plan, performances, rng)
    width, height = scene.size(plan.height)
    wave = (mix[:, None] / _FULL_SCALE).astype(np.float32)
    encode(video, frames, (width * len(parts), height), wave)


def _perform(plan: Plan, rng: np.random.Generator) -> list[Performance]:
    tuning = rng.uniform(-12, 16)  # 437 to 444 Hz
    performances = []
    for code, line in zip(plan.ensemble.codes, plan.lines, strict=True):
        style = random_style(rng, tuning + rng.normal(0, 3))
        performances.append(perform(BY_NAME[CODES[code]], [line], style, plan.seconds, rng))
    return performances


def _in_one_room(plan: Plan, performances: Sequence[Performance], rng: np.random.Generator):
    """Each performance with an impulse response: one room, another place for each player."""
    room = random_room(rng, colour=1.5)
    for code, performance in zip(plan.ensemble.codes, performances, strict=True):
        formant = BY_NAME[CODES[code]].formant
        yield performance, response(room, rng, formant, channels=1)


def _played(performance: Performance, taps: np.ndarray) -> np.ndarray:
    return record(render(performance), taps)[:, 0]


def _levelled(waves: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Parts within a few dB of each other, as 24-bit integers whose sum does not clip.

    Returns:
        int64 (n_parts, n).
    """
    levels = 10 ** (rng.normal(0, 2, len(waves)).clip(-4, 4) / 20)
    scaled = [wave * (level / wave.std()) for wave, level in zip(waves, levels, strict=True)]
    parts = np.stack(scaled).astype(np.float64)
    peak = max(abs(parts.sum(axis=0)).max(), abs(parts).max())
    return np.round(parts * (0.8 * _FULL_SCALE / peak)).astype(np.int64)


def _write(path: Path, wave: np.ndarray) -> None:
    with atomic(path) as temporary:
        aligned = (wave << 8).astype(np.int32)  # soundfile takes the upper 24 bits of 32
        soundfile.write(temporary, aligned, RATE, subtype="PCM_24")


def _wide(plan: Plan, performances: Sequence[Performance], rng: np.random.Generator):
    """Pictures with the players side by side, in the order of the parts."""
    n_frames = round(plan.seconds * SPAN_RATE)
    stage = random_look(rng)
    players, moves = [], []
    for code, performance in zip(plan.ensemble.codes, performances, strict=True):
        name = CODES[code]
        look = beside(random_look(rng), stage)
        players.append(scene.Player(name, look, plan.height))
        moves.append(poses(BY_NAME[name], performance.notes, n_frames, rng).tolist())
    for frame in range(n_frames):
        pictures = [
            player.picture(tuple(move[frame])) for player, move in zip(players, moves, strict=True)
        ]
        yield np.concatenate(pictures, axis=1)

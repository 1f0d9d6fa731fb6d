"""A segment to listen to: its sounds, their pictures, and where the network looks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from solos import SAMPLE_RATE
from solos.evaluation import Segment
from solos.oracles import BASELINES, baseline_estimates
from solos.page.choice import Choice
from solos.page.media import mask_uri, sound_uri, spectrogram_uri
from solos.page.players import Player, see_players
from solos.separation import Separator
from solos.stft import log_warp, stft
from solos.targets import NO_VIDEO, separable, separate_segments, start_of

_PEAK = 0.9  # of the loudest sound of a segment; all others keep their level to it
_FLOOR = 1e-4  # of the mixture's greatest magnitude


@dataclass(frozen=True)
class Sound:
    """What can be heard: its audio and pictures as data URIs."""

    audio: str
    spectrogram: str
    mask: str


@dataclass(frozen=True)
class SourceViews:
    """A source of a segment: its players, its reference and each row's estimate."""

    instrument: str
    part: str
    players: tuple[Player, ...]
    reference: Sound
    estimates: Mapping[str, Sound]
    """By row; a row that could not separate the segment is absent."""


@dataclass(frozen=True)
class Example:
    """A chosen segment."""

    choice: Choice
    start: float
    """Seconds into the piece."""
    seconds: float
    mixture: Sound
    sources: tuple[SourceViews, ...]
    absent: Mapping[str, str]
    """Rows without estimates of this segment, and why."""


def make_example(
    choice: Choice, segment: Segment, separators: Mapping[str, Separator], eyes: str | None
) -> Example:
    """Separate a segment with every row and draw what there is to see.

    Args:
        separators: of the trained rows.
        eyes: the row whose localisation maps are shown; None for none.
    """
    possible = {row: net for row, net in separators.items() if separable(net, segment)}
    estimates = _estimates(segment, possible)
    loudest = max(np.abs(w).max() for w in (segment.mix, segment.references, *estimates.values()))
    gain = _PEAK / max(float(loudest), 1e-9)
    mix = _warped(segment.mix)
    players = see_players(segment, possible.get(eyes or ""))
    views = [
        SourceViews(
            instrument=source.instrument,
            part=source.label,
            players=players[k],
            reference=_sound(segment.references[k], gain, mix),
            estimates={row: _sound(waves[k], gain, mix) for row, waves in estimates.items()},
        )
        for k, source in enumerate(segment.piece.sources)
    ]
    return Example(
        choice=choice,
        start=start_of(segment),
        seconds=segment.mix.size / SAMPLE_RATE,
        mixture=_sound(segment.mix, gain, mix),
        sources=tuple(views),
        absent={row: NO_VIDEO for row in separators if row not in possible},
    )


def _estimates(segment: Segment, separators: Mapping[str, Separator]) -> dict[str, NDArray]:
    """Estimates (n_src, n_samples) of each row, the oracles last."""
    baselines = baseline_estimates(segment.mix, segment.references)
    estimates = {row: separate_segments(net, [segment])[0] for row, net in separators.items()}
    return estimates | {row: baselines[row] for row in BASELINES if row != "mixture"}


def _warped(wave: NDArray) -> NDArray:
    return log_warp(stft(torch.from_numpy(np.ascontiguousarray(wave))).abs()).numpy()


def _sound(wave: NDArray, gain: float, mix: NDArray) -> Sound:
    """A sound and its pictures, of which the mixture's magnitudes ``mix`` (256, T) are the scale.

    The mask is what was applied, whatever made it: the share of the mixture's magnitude that is
    left. Where the mixture has next to nothing, neither has its mask.
    """
    mag, top = _warped(wave), mix.max()
    heard = mix > _FLOOR * top
    mask = np.where(heard, mag / np.where(heard, mix, 1), 0)
    return Sound(sound_uri(wave * gain), spectrogram_uri(mag, top), mask_uri(mask))

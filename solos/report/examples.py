"""A segment to listen to: its sounds, their pictures, and where the network looks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from solos import SAMPLE_RATE
from solos.evaluation.oracles import baseline_estimates, oracle_masks
from solos.evaluation.segments import Segment
from solos.report.choice import Choice
from solos.report.embed import mask_uri, sound_uri, spectrogram_uri
from solos.report.players import Player, see_players
from solos.separation.segments import NO_VIDEO, predict_masks, separable, separate_segments
from solos.separation.separator import Separator
from solos.signal.fourier import stft
from solos.signal.warp import log_warp

_PEAK = 0.9  # of the loudest sound of a segment; all others keep their level to it


@dataclass(frozen=True)
class Sound:
    """What can be heard: its audio and pictures as data URIs."""

    audio: str
    spectrogram: str
    mask: str = ""
    """Empty for the mixture and the references."""


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
    estimates, masks = _estimates(segment, possible)
    loudest = max(np.abs(w).max() for w in (segment.mix, segment.references, *estimates.values()))
    gain = _PEAK / max(float(loudest), 1e-9)
    top = float(_warped(segment.mix).max())
    players = see_players(segment, possible.get(eyes or ""))
    views = [
        SourceViews(
            instrument=source.instrument,
            part=source.label,
            players=players[k],
            reference=_sound(segment.references[k], gain, top),
            estimates={
                row: _sound(waves[k], gain, top, masks[row][k]) for row, waves in estimates.items()
            },
        )
        for k, source in enumerate(segment.piece.sources)
    ]
    return Example(
        choice=choice,
        start=segment.start / SAMPLE_RATE,
        seconds=segment.mix.size / SAMPLE_RATE,
        mixture=_sound(segment.mix, gain, top),
        sources=tuple(views),
        absent={row: NO_VIDEO for row in separators if row not in possible},
    )


def _estimates(
    segment: Segment, separators: Mapping[str, Separator]
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Estimates (n_src, n_samples) and masks (n_src, 256, T) of each row, the oracles last."""
    estimates = {row: next(separate_segments(net, [segment])) for row, net in separators.items()}
    masks = {row: predict_masks(net, segment).numpy() for row, net in separators.items()}
    ideal = oracle_masks(segment.references)
    baselines = baseline_estimates(segment.mix, segment.references)
    estimates |= {row: baselines[row] for row in ideal}
    return estimates, masks | {row: mask.numpy() for row, mask in ideal.items()}


def _warped(wave: NDArray) -> NDArray:
    return log_warp(stft(torch.from_numpy(np.ascontiguousarray(wave))).abs()).numpy()


def _sound(wave: NDArray, gain: float, top: float, mask: NDArray | None = None) -> Sound:
    """A sound and its pictures; ``top`` is the greatest magnitude of the mixture."""
    return Sound(
        audio=sound_uri(wave * gain),
        spectrogram=spectrogram_uri(_warped(wave), top),
        mask="" if mask is None else mask_uri(mask),
    )

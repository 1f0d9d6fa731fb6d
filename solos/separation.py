"""Separating mixtures of any length with either network.

The networks see 256 STFT frames at a time. Audio is cut into blocks of 65,535 samples, the paper's
segments, and the blocks' estimates are put together again. What is left at the end is separated as
the end of a whole block, with what comes before it; only a recording shorter than a block is filled
up, by its own reflection: networks never learned what zeros are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from solos import HOP_LENGTH, INSTRUMENTS, SAMPLE_RATE, SEGMENT, SEGMENT_FRAMES
from solos.checkpoint import build_network, load_weights, read_description
from solos.dataset import evaluation_frames, frame_indices, load_pictures
from solos.device import find_device
from solos.masks import apply_masks, decibel_input, log_input
from solos.models import SoundOfPixels
from solos.recipes import Recipe, SopRecipe
from solos.stft import log_warp, stft

Masks = Literal["soft", "binary"]
"""Whether Sound of Pixels' masks are applied as probabilities, or decided at 0.5 when unwarped,
as its authors did."""


@dataclass(frozen=True)
class Target:
    """What is known of a source to be separated."""

    instrument: str
    """One of ``solos.INSTRUMENTS``; Sound of Pixels goes by the pictures alone."""
    players: Sequence[Tensor] = field(default=())
    """Pictures of each player of that instrument: (3, T, H, W), normalised."""


Targets = Callable[[int], Sequence[Target]]
"""The targets of the block that begins at a sample: its pictures are those around its middle."""


def picture_targets(
    sources: Sequence[tuple[str, Sequence[Path]]], start: int, recipe: Recipe
) -> list[Target]:
    """Targets of the block of a recording that begins at sample ``start``.

    Args:
        sources: instrument and archives of pictures (8 fps) of its players, for each source.
        recipe: the network's: how many pictures of which size; MHU-Net needs none.
    """
    if not isinstance(recipe, SopRecipe):
        return [Target(instrument) for instrument, _ in sources]
    size = recipe.image_size
    return [
        Target(
            instrument,
            [evaluation_frames(block_pictures(path, start, recipe), size) for path in players],
        )
        for instrument, players in sources
    ]


def block_pictures(archive: Path, start: int, recipe: SopRecipe) -> Tensor:
    """Pictures around the middle of the block that begins at a sample: (T, 3, H, W) uint8."""
    middle = (start + HOP_LENGTH * SEGMENT_FRAMES // 2) / SAMPLE_RATE
    return load_pictures(archive, frame_indices(middle, recipe.frames, recipe.frame_stride))


@dataclass(frozen=True)
class Separator:
    """A trained network and the recipe it was trained with."""

    network: nn.Module
    recipe: Recipe
    masks: Masks = "soft"

    @property
    def needs_frames(self) -> bool:
        """Whether sources are told apart by their pictures."""
        return isinstance(self.recipe, SopRecipe)

    def separate(
        self, mixes: Tensor, sources: Sequence[Sequence[Target] | Targets]
    ) -> list[Tensor]:
        """Estimates of each mixture's sources, in their order.

        Args:
            mixes: (B, n_samples) of any length, of which B blocks are separated at a time.
            sources: for each mixture, its targets, or a function that gives each block's.

        Returns:
            B tensors (n_src, n_samples), ±1.
        """
        blocks = []
        for start, skip in block_starts(mixes.shape[-1]):
            targets = [wanted(start) if callable(wanted) else wanted for wanted in sources]
            estimates = self._separate(mixes[:, start : start + SEGMENT], targets)
            blocks.append([estimate[:, skip:] for estimate in estimates])
        return [torch.cat(estimates, dim=-1) for estimates in zip(*blocks, strict=True)]

    def stream(
        self,
        blocks: Iterable[NDArray[np.float32]],
        targets: Targets,
        batch_size: int,
        overlap: float = 0.0,
    ) -> Iterator[Tensor]:
        """Separate a recording of any length; memory does not grow with it.

        Args:
            blocks: the recording's samples (n,) at 11,025 Hz, in consecutive pieces of any sizes.
            targets: of the segment that begins at a sample.
            batch_size: segments separated at a time, which bounds the memory.
            overlap: of consecutive segments, up to half a segment; they are cross-faded linearly.
                0 as in the paper.

        Yields:
            (n_src, n): consecutive stretches of the estimates, together as long as the recording.

        Raises:
            ValueError: ``overlap`` is not in [0, 0.5].
        """
        if not 0 <= overlap <= 0.5:
            raise ValueError(f"overlap: {overlap}, expected 0 to 0.5 of a segment")
        fade = round(overlap * SEGMENT)
        return _join(self._batches(_cut(blocks, SEGMENT - fade), targets, batch_size), fade)

    @torch.inference_mode()
    def localize(
        self, blocks: Iterable[NDArray[np.float32]], frames: Callable[[int], Tensor]
    ) -> Tensor:
        """Sound of Pixels' map of where a recording's sound is, summed over its segments.

        Args:
            blocks: as of :meth:`stream`.
            frames: gives pictures (3, T, H, W), normalised, of the block that begins at a sample.

        Returns:
            (H / 16, W / 16), energies; see :meth:`SoundOfPixels.localize`.
        """
        device = next(self.network.parameters()).device
        total = torch.zeros(1, 1)
        for start, wave, _ in _cut(blocks, SEGMENT):
            log_mag = log_input(log_warp(stft(fill(wave).to(device)).abs()))[None, None]
            total = total + self.network.localize(frames(start)[None].to(device), log_mag)[0].cpu()
        return total

    def _batches(
        self, segments: Iterator[tuple[int, Tensor, int]], targets: Targets, batch_size: int
    ) -> Iterator[Tensor]:
        while batch := list(islice(segments, batch_size)):
            mixes = torch.stack([fill(wave) for _, wave, _ in batch])
            estimates = self._separate(mixes, [targets(start) for start, _, _ in batch])
            for (_, wave, skip), estimate in zip(batch, estimates, strict=True):
                yield estimate[:, skip : len(wave)]

    @torch.inference_mode()
    def _separate(self, mixes: Tensor, sources: Sequence[Sequence[Target]]) -> list[Tensor]:
        """A block of up to 65,535 samples of each mixture."""
        device = next(self.network.parameters()).device
        length = mixes.shape[-1]
        mix_specs = stft(fill(mixes).to(device))  # (B, 512, 256)
        mix_mags = log_warp(mix_specs.abs()).unsqueeze(1)  # (B, 1, 256, 256)
        masks = self.predict_masks(mix_mags, sources)
        decide = self.masks == "binary" and self.needs_frames
        return [
            apply_masks(spec, mask, length, decide).cpu()
            for spec, mask in zip(mix_specs, masks, strict=True)
        ]

    @torch.inference_mode()
    def predict_masks(self, mix_mags: Tensor, sources: Sequence[Sequence[Target]]) -> list[Tensor]:
        """Masks of each mixture's sources, before any decision.

        Shape: magnitudes (B, 1, 256, 256), log-spaced, and B lists -> B tensors (n_src, 256, 256).
        """
        if isinstance(self.network, SoundOfPixels):
            components = self.network.sound(log_input(mix_mags))  # (B, K, 256, 256)
            return [
                sop_masks(self.network, part[None], players)
                for part, players in zip(components, sources, strict=True)
            ]
        masks = self.network(decibel_input(mix_mags))  # (B, 13, 256, 256)
        return [
            part[[INSTRUMENTS.index(source.instrument) for source in wanted]]
            for part, wanted in zip(masks, sources, strict=True)
        ]


def fill(waves: Tensor) -> Tensor:
    """(..., n) -> (..., 65535): what there is, then its reflection, to and fro."""
    n = waves.shape[-1]
    if n == SEGMENT:
        return waves
    places = torch.arange(SEGMENT) % max(1, 2 * (n - 1))
    return waves[..., torch.minimum(places, (2 * (n - 1) - places).abs())]


def block_starts(n_samples: int) -> list[tuple[int, int]]:
    """First sample of each block of a recording, and how many samples the block before has too.

    Those are none but for the last block, which ends where the recording does.
    """
    starts = [(start, 0) for start in range(0, n_samples - SEGMENT + 1, SEGMENT)]
    rest = n_samples % SEGMENT
    if not rest:
        return starts
    first = max(0, n_samples - SEGMENT)
    return [*starts, (first, n_samples - rest - first)]


def _cut(blocks: Iterable[NDArray[np.float32]], hop: int) -> Iterator[tuple[int, Tensor, int]]:
    """Segments, one every ``hop`` samples: first sample, samples, how many of these not to use.

    Each holds samples that no earlier one has, so at the end none is begun for an overlap alone.
    The last one begins early enough to be whole, if the recording is as long.
    """
    held, start, before = np.zeros(0, np.float32), 0, np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > SEGMENT:
            yield start, torch.from_numpy(held[:SEGMENT]), 0
            before, held, start = held[:hop], held[hop:], start + hop
    if len(held):
        skip = min(len(before), SEGMENT - len(held))
        wave = np.concatenate([before[len(before) - skip :], held])
        yield start - skip, torch.from_numpy(wave), skip


def _join(estimates: Iterable[Tensor], fade: int) -> Iterator[Tensor]:
    """Consecutive segments' estimates (n_src, n), cross-faded over ``fade`` samples."""
    rise = (torch.arange(fade) + 0.5) / max(fade, 1)
    tail = torch.zeros(1, 0)
    for estimate in estimates:
        shared = tail.shape[1]  # none before the first
        begin = torch.lerp(tail, estimate[:, :shared], rise[:shared])
        joined = torch.cat([begin, estimate[:, shared:]], dim=1)
        done = max(0, joined.shape[1] - fade)
        if done:
            yield joined[:, :done]
        tail = joined[:, done:]
    if tail.shape[1]:
        yield tail


def sop_masks(network: SoundOfPixels, components: Tensor, sources: Sequence[Target]) -> Tensor:
    """Sigmoid masks: (1, K, 256, T) -> (n_src, 256, T).

    An instrument's players are pooled like the frames of one: the maximum over all of them. The
    networks learn binary masks; on validation mixes their probabilities separate better (SDR) than
    decisions at 0.5 do, as an unsure network then errs by less.
    """
    pooled = [
        network.frame(torch.stack(list(source.players)).to(components.device)).amax(dim=0)
        for source in sources
    ]
    visual = torch.sigmoid(torch.stack(pooled))[None]  # (1, n_src, K)
    return torch.sigmoid(network.synthesizer(visual, components)[0])


def load_separator(folder: Path, masks: Masks = "soft", device: str | None = None) -> Separator:
    """Rebuild an exported network from its description, and load its weights.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``; None for the recipe's.

    Raises:
        UserError: ``folder`` holds no exported network, or its files don't fit.
    """
    description, recipe = read_description(folder)
    network = build_network(recipe, description.get("network"))
    load_weights(folder, network)
    network.to(find_device(device or recipe.device), memory_format=torch.channels_last)
    return Separator(network.eval(), recipe, masks)

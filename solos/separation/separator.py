"""Separating mixtures of any length with any of the networks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from solos import INSTRUMENTS, SEGMENT
from solos.config.data import Aspect
from solos.config.exported import DESCRIPTION, read_description
from solos.config.recipes import InformedRecipe, Recipe, SopRecipe
from solos.errors import UserError
from solos.models import SoundOfPixels
from solos.models.device import find_device, lay_out
from solos.models.inputs import log_input, may_play, scaled_log_input
from solos.models.weights import build_network, load_weights
from solos.separation.blocks import block_starts, cut, fill, join
from solos.separation.targets import Target, Targets
from solos.signal.fourier import stft
from solos.signal.masks import apply_masks
from solos.signal.warp import log_warp

Masks = Literal["soft", "binary"]
"""Whether Sound of Pixels' masks are applied as probabilities, or decided at 0.5 when unwarped, as
its authors did."""


@dataclass(frozen=True)
class Separator:
    """A trained network and the recipe it was trained with."""

    network: nn.Module
    recipe: Recipe
    masks: Masks = "binary"
    aspect: Aspect = "keep"
    """Of the pictures it was trained on."""
    told: bool = True
    """Whether a network that can be told the instruments is."""

    @property
    def needs_names(self) -> bool:
        """Whether the network is told which instruments may play."""
        return isinstance(self.recipe, InformedRecipe)

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
            (n_src, n): consecutive stretches of the estimates, together as long as the recording
            and as loud: unlike those that are evaluated, they are not clipped.

        Raises:
            ValueError: ``overlap`` is not in [0, 0.5].
        """
        if not 0 <= overlap <= 0.5:
            raise ValueError(f"overlap: {overlap}, expected 0 to 0.5 of a segment")
        fade = round(overlap * SEGMENT)
        return join(self._batches(cut(blocks, SEGMENT - fade), targets, batch_size), fade)

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
        for start, wave, _ in cut(blocks, SEGMENT):
            log_mag = log_input(log_warp(stft(fill(wave).to(device)).abs()))[None, None]
            total = total + self.network.localize(frames(start)[None].to(device), log_mag)[0].cpu()
        return total

    def _batches(
        self, segments: Iterator[tuple[int, Tensor, int]], targets: Targets, batch_size: int
    ) -> Iterator[Tensor]:
        while batch := list(islice(segments, batch_size)):
            mixes = torch.stack([fill(wave) for _, wave, _ in batch])
            estimates = self._separate(mixes, [targets(start) for start, _, _ in batch], clip=False)
            for (_, wave, skip), estimate in zip(batch, estimates, strict=True):
                yield estimate[:, skip : len(wave)]

    @torch.inference_mode()
    def _separate(
        self, mixes: Tensor, sources: Sequence[Sequence[Target]], clip: bool = True
    ) -> list[Tensor]:
        """A block of up to 65,535 samples of each mixture."""
        device = next(self.network.parameters()).device
        length = mixes.shape[-1]
        mix_specs = stft(fill(mixes).to(device))  # (B, 512, 256)
        mix_mags = log_warp(mix_specs.abs()).unsqueeze(1)  # (B, 1, 256, 256)
        masks = self.predict_masks(mix_mags, sources)
        decide = self.masks == "binary" and self.needs_frames
        return [
            apply_masks(spec, mask, length, decide, clip).cpu()
            for spec, mask in zip(mix_specs, masks, strict=True)
        ]

    @torch.inference_mode()
    def predict_masks(self, mix_mags: Tensor, sources: Sequence[Sequence[Target]]) -> list[Tensor]:
        """Masks of each mixture's sources, before any decision.

        Shape: magnitudes (B, 1, 256, 256), log-spaced, and B lists -> B tensors (n_src, 256, 256).
        """
        if isinstance(self.network, SoundOfPixels):
            return sop_masks(self.network, self.network.sound(log_input(mix_mags)), sources)
        inputs = [scaled_log_input(mix_mags)]
        if self.needs_names:
            names = [[s.instrument for s in wanted] if self.told else [] for wanted in sources]
            inputs.append(torch.stack([may_play(of_mix) for of_mix in names]).to(mix_mags.device))
        masks = self.network(*inputs)  # (B, 13, 256, 256)
        return [
            part[[INSTRUMENTS.index(source.instrument) for source in wanted]]
            for part, wanted in zip(masks, sources, strict=True)
        ]


def sop_masks(
    network: SoundOfPixels, components: Tensor, sources: Sequence[Sequence[Target]]
) -> list[Tensor]:
    """Sigmoid masks of each mixture's sources: (B, K, 256, T), B lists -> B of (n_src, 256, T).

    An instrument's players are pooled like the frames of one: the maximum over all of them.
    """
    every = [source for of_mix in sources for source in of_mix]
    pictures = torch.stack([player for source in every for player in source.players])
    seen = network.frame(pictures.to(components.device))  # of all at once: weights are large
    pooled = [part.amax(dim=0) for part in seen.split([len(s.players) for s in every])]
    visual = torch.sigmoid(torch.stack(pooled)).split([len(of_mix) for of_mix in sources])
    return [
        torch.sigmoid(network.synthesizer(of_mix[None], part[None])[0])
        for of_mix, part in zip(visual, components, strict=True)
    ]


def load_separator(folder: Path, masks: Masks = "binary", device: str | None = None) -> Separator:
    """Rebuild an exported network from its description, and load its weights.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``; None for the recipe's.

    Raises:
        UserError: ``folder`` holds no exported network, or its files don't fit.
    """
    description, recipe = read_description(folder)
    aspect = description.get("aspect", "keep")
    if aspect not in get_args(Aspect):
        choices = " or ".join(get_args(Aspect))
        raise UserError(f"{folder / DESCRIPTION}: aspect: {choices} expected, found {aspect!r}")
    try:
        network = build_network(recipe, description.get("network"))
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:  # torch's for memory
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder / DESCRIPTION} describes no network: {reason}") from error
    load_weights(folder, network)
    lay_out(network, find_device(device or recipe.device), channels_last=True)
    return Separator(network.eval(), recipe, masks, aspect)

"""Separating mixtures with either network, segment by segment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from solos import INSTRUMENTS
from solos.checkpoint import DESCRIPTION, build_network, load_weights
from solos.device import find_device
from solos.errors import UserError
from solos.masks import apply_masks, decibel_input, log_input
from solos.models import SoundOfPixels
from solos.recipes import MhuRecipe, Recipe, SopRecipe
from solos.stft import log_warp, stft


@dataclass(frozen=True)
class Target:
    """What is known of a source to be separated."""

    instrument: str
    """One of ``solos.INSTRUMENTS``."""
    players: Sequence[Tensor] = field(default=())
    """Pictures of each player of that instrument: (3, T, H, W), normalised."""


@dataclass(frozen=True)
class Separator:
    """A trained network and the recipe it was trained with."""

    network: nn.Module
    recipe: Recipe

    @property
    def needs_frames(self) -> bool:
        """Whether sources are told apart by their pictures."""
        return isinstance(self.recipe, SopRecipe)

    @torch.inference_mode()
    def separate(self, mixes: Tensor, sources: Sequence[Sequence[Target]]) -> list[Tensor]:
        """Estimates of each mixture's sources, in their order.

        Shape: (B, n_samples) and B lists of n_src sources -> B tensors (n_src, n_samples), ±1.
        """
        device = next(self.network.parameters()).device
        mix_specs = stft(mixes.to(device))  # (B, 512, T)
        mix_mags = log_warp(mix_specs.abs()).unsqueeze(1)  # (B, 1, 256, T)
        masks = self._masks(mix_mags, sources)
        length = mixes.shape[-1]
        return [apply_masks(s, m, length).cpu() for s, m in zip(mix_specs, masks, strict=True)]

    def _masks(self, mix_mags: Tensor, sources: Sequence[Sequence[Target]]) -> list[Tensor]:
        if isinstance(self.network, SoundOfPixels):
            components = self.network.sound(log_input(mix_mags))  # (B, K, 256, T)
            return [
                sop_masks(self.network, part[None], players)
                for part, players in zip(components, sources, strict=True)
            ]
        masks = self.network(decibel_input(mix_mags))  # (B, 13, 256, T)
        return [
            part[[INSTRUMENTS.index(source.instrument) for source in wanted]]
            for part, wanted in zip(masks, sources, strict=True)
        ]


def sop_masks(network: SoundOfPixels, components: Tensor, sources: Sequence[Target]) -> Tensor:
    """Sigmoid masks, not thresholded: (1, K, 256, T) -> (n_src, 256, T).

    An instrument's players are pooled like the frames of one: the maximum over all of them. The
    networks learn binary masks; on validation mixes their probabilities separate better (SDR) than
    decisions at 0.5 do, as an unsure network then errs by less.
    """
    pooled = [
        network.frame(torch.stack(list(source.players)).to(components.device)).amax(dim=0)
        for source in sources
    ]
    visual = torch.sigmoid(torch.stack(pooled))[None]  # (1, n_src, K)
    logits = network.synthesizer(visual, components)[0]
    return torch.sigmoid(logits)


def load_separator(folder: Path) -> Separator:
    """Rebuild an exported network from its description, and load its weights.

    Raises:
        UserError: ``folder`` holds no exported network, or its files don't fit.
    """
    try:
        description = yaml.safe_load((folder / DESCRIPTION).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder / DESCRIPTION} is missing: no network was trained here") from None
    kind = {"sop": SopRecipe, "mhunet": MhuRecipe}[description["network"]]
    recipe = kind.model_validate(description["recipe"])
    network = build_network(recipe)
    load_weights(folder, network)
    network.to(find_device(recipe.device), memory_format=torch.channels_last)
    return Separator(network.eval(), recipe)

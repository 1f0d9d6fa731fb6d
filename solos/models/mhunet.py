"""Multi-Head U-Net (the paper, section IV): one encoder, one decoder an instrument.

The layers are in the order of the authors' public code, whose checkpoints can be loaded.
"""

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from solos import INSTRUMENTS
from solos.config.recipes import MhuRecipe
from solos.errors import UserError
from solos.models.states import misfit, plain_state
from solos.signal.resize import double

PAPER_CHANNELS = (32, 64, 128, 256, 512, 512)
_OLDER = re.compile(r"^(encoder\.\d\.)(\d)\.")  # of their names for an encoder level's parts


class Encoder(nn.Module):
    """4×4 convolutions of stride 2, batch norm and LeakyReLU; the last is a convolution alone."""

    def __init__(self, channels: Sequence[int]):
        super().__init__()
        inputs = [1, *channels[:-1]]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False)
            for a, b in zip(inputs, channels, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in channels[:-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 1, F, T) -> the output of each level, (B, C_i, F / 2^i, T / 2^i) for i = 1, 2, …"""
        levels = []
        for conv, norm in zip(self.convs, self.norms, strict=False):
            x = functional.leaky_relu(norm(conv(x)), 0.2)
            levels.append(x)
        return [*levels, self.convs[-1](x)]


class DecoderLevel(nn.Module):
    """One level of all decoders at once: 3×3 convolution of [skip, own], batch norm, ReLU, dropout.

    A convolution of a concatenation is the sum of one of each part. The own part is a grouped
    convolution, a group a decoder; the skip, which all decoders share, is one dense convolution,
    not 13 of 13 copies. At the first level they share the own part too: it is the encoder's code.

    Args:
        skip, own, outputs: channels of one decoder.
        shared: whether all decoders have the same own part.
    """

    def __init__(self, skip: int, own: int, outputs: int, heads: int, dropout: float, shared: bool):
        super().__init__()
        self.skip, self.groups = skip, 1 if shared else heads
        self.weight = nn.Parameter(torch.empty(heads * outputs, skip + own, 3, 3))
        nn.init.kaiming_uniform_(self.weight, math.sqrt(5))  # as nn.Conv2d's
        self.norm = nn.BatchNorm2d(heads * outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, skip: Tensor, own: Tensor) -> Tensor:
        """(B, C, F, T), (B, heads·C' or C', F, T) -> (B, heads·C'', F, T)."""
        y = functional.conv2d(skip, self.weight[:, : self.skip], padding=1)
        y = y + functional.conv2d(own, self.weight[:, self.skip :], padding=1, groups=self.groups)
        return self.dropout(functional.relu(self.norm(y)))


class MultiHeadUNet(nn.Module):
    """Masks of all 13 instruments from the mixture alone.

    Args:
        channels: of the encoder's levels; the decoders mirror them, and end with one.
        dropout: in the decoders.
        heads: decoders; one an instrument.
    """

    UNUSED = ("output.", "classifier.", "film.")
    """Beginnings of names in the authors' checkpoints that are not in their forward pass."""

    def __init__(
        self,
        channels: Sequence[int] = PAPER_CHANNELS,
        dropout: float = 0.2,
        heads: int = len(INSTRUMENTS),
    ):
        super().__init__()
        self.heads = heads
        self.encoder = Encoder(channels)
        skips = [*channels[-2::-1], 1]  # the last is the input itself
        owns = [channels[-1], *skips[:-1]]
        self.decoder = nn.ModuleList(
            DecoderLevel(skip, own, skip, heads, dropout, shared=level == 0)
            for level, (skip, own) in enumerate(zip(skips, owns, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Masks: (B, 1, 256, T) in [-1, 1] -> (B, 13, 256, T), summing to 1 over instruments."""
        *skips, y = [x, *self.encoder(x)]
        for level, skip in zip(self.decoder, reversed(skips), strict=True):
            y = double(y)
            y = level(skip, y)
        return torch.softmax(y, dim=1)

    def published_state(self) -> dict[str, Tensor]:
        """The network's own tensors by the authors' names (each decoder's part is a view).

        Those of a decoder: ``decoder.<level>.<head>.0`` (convolution) and ``.1`` (batch norm).
        """
        state = {}
        *convs, last = self.encoder.convs
        for i, (conv, norm) in enumerate(zip(convs, self.encoder.norms, strict=True)):
            state[f"encoder.{i}.conv.weight"] = conv.weight.detach()
            state |= {f"encoder.{i}.bn.{key}": t for key, t in norm.state_dict().items()}
        state[f"encoder.{len(convs)}.weight"] = last.weight.detach()
        for i, level in enumerate(self.decoder):
            parts = {"0.weight": level.weight.detach()}
            parts |= {f"1.{key}": tensor for key, tensor in level.norm.state_dict().items()}
            for head in range(self.heads):
                state |= {
                    f"decoder.{i}.{head}.{key}": t.chunk(self.heads)[head] if t.ndim else t
                    for key, t in parts.items()
                }
        return state

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict with the authors' names, strictly.

        Parts that their class never uses (``output``, ``classifier``, ``film``) are passed over,
        their older names for the encoder's parts are known, and counts of batches may be missing.

        Raises:
            UserError: a tensor is missing, unknown, of another shape or not finite; nothing is
                loaded then.
        """
        found = _renamed(plain_state(state, "the state dict", MultiHeadUNet.UNUSED))
        own = self.published_state()
        wanted = {name for name, tensor in own.items() if tensor.ndim}
        fits = wanted <= found.keys() <= own.keys()
        if not (fits and all(own[name].shape == tensor.shape for name, tensor in found.items())):
            raise misfit(own, found)
        for name, tensor in found.items():
            own[name].copy_(tensor)

    @staticmethod
    def published_channels(state: Mapping[str, Tensor]) -> list[int]:
        """The encoder's channels in a state dict with the authors' names.

        Raises:
            UserError: it has no such encoder.
        """
        found = _renamed(plain_state(state, "the state dict", MultiHeadUNet.UNUSED))
        names = [f"encoder.{i}.conv.weight" for i in range(5)] + ["encoder.5.weight"]
        lacking = [name for name in names if name not in found or found[name].ndim != 4]
        if lacking:
            raise UserError(f"is no Multi-Head U-Net of its authors: {lacking[0]} is missing")
        return [len(found[name]) for name in names]


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Older names as the newer ones."""
    parts = {"0": "conv", "1": "bn"}
    return {
        _OLDER.sub(lambda m: f"{m[1]}{parts.get(m[2], m[2])}.", name): tensor
        for name, tensor in state.items()
    }


def build(recipe: MhuRecipe) -> MultiHeadUNet:
    """The network that a recipe describes."""
    return MultiHeadUNet(recipe.channels, recipe.dropout)

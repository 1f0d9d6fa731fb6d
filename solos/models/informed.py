"""A U-Net that is told which instruments may play: the row ``informed``, this project's own.

Told the instruments, as Slizovskaia et al. (2021) do, a network need not find out who plays. Its
blocks are residual convolutions, each with a mixing of all frequencies at a time (the TDF of Choi
et al., 2020), and scaled by what it was told (FiLM, Perez et al., 2018).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from solos import INSTRUMENTS
from solos.config.recipes import InformedRecipe
from solos.signal.warp import WARPED_BINS


class Block(nn.Module):
    """Two 3×3 convolutions with batch norm, what was told, and a mixing of all frequencies.

    Args:
        bins: height of what it sees.
        heads: length of what it is told.
    """

    def __init__(self, inputs: int, outputs: int, bins: int, heads: int):
        super().__init__()
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(3))
        self.told = nn.Linear(heads, 2 * outputs)
        narrow = max(8, bins // 8)
        self.gather = nn.Parameter(torch.randn(narrow, bins) / bins**0.5)
        self.spread = nn.Parameter(torch.randn(bins, narrow) / narrow**0.5)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """(B, C, F, T), (B, heads) -> (B, C', F, T)."""
        y = functional.relu(self.norms[0](self.first(x)))
        scale, shift = self.told(told)[..., None, None].chunk(2, dim=1)
        y = self.norms[1](self.second(y)) * (1 + scale) + shift
        y = functional.relu(y + self.shortcut(x))
        return y + self.norms[2](self.spread @ functional.relu(self.gather @ y))


class InformedUNet(nn.Module):
    """Masks of the instruments that may play, from the mixture and their names.

    Args:
        channels: of the levels; the first one is at half the input's resolution.
        heads: instruments that there are.
    """

    def __init__(self, channels: Sequence[int], heads: int = len(INSTRUMENTS)):
        super().__init__()
        self.start = nn.Conv2d(2, channels[0], 4, stride=2, padding=1, bias=False)
        sizes = list(pairwise(channels))
        bins = [WARPED_BINS >> (level + 1) for level in range(len(channels))]
        self.down = nn.ModuleList(
            [Block(channels[0], channels[0], bins[0], heads)]
            + [Block(a, b, n, heads) for (a, b), n in zip(sizes, bins[1:], strict=True)]
        )
        self.rise = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in sizes)
        self.up = nn.ModuleList(
            Block(2 * a, a, n, heads) for (a, _), n in zip(sizes, bins[:-1], strict=True)
        )
        self.end = nn.ConvTranspose2d(channels[0], heads, 4, stride=2, padding=1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Masks: (B, 1, 256, T) in [-1, 1] and (B, 13) of 0 and 1 -> (B, 13, 256, T).

        They sum to 1 over the instruments that may play; the others' are 0.
        """
        height = torch.linspace(-1, 1, x.shape[-2], device=x.device, dtype=x.dtype)
        y = self.start(torch.cat([x, height[:, None].expand_as(x)], dim=1))
        levels = []
        for level, block in enumerate(self.down):
            y = block(functional.avg_pool2d(y, 2) if level else y, told)
            levels.append(y)
        levels.pop()
        for rise, block in zip(reversed(self.rise), reversed(self.up), strict=True):
            y = block(torch.cat([rise(y), levels.pop()], dim=1), told)
        logits = self.end(y).float()
        absent = told[..., None, None] == 0
        return torch.softmax(logits.masked_fill(absent, -torch.inf), dim=1)


def build(recipe: InformedRecipe) -> InformedUNet:
    """The network that a recipe describes."""
    return InformedUNet(recipe.channels)

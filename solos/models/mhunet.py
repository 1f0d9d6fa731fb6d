"""Multi-Head U-Net (the paper, section IV): one encoder, one decoder an instrument."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from solos import INSTRUMENTS
from solos.config.recipes import MhuRecipe

PAPER_CHANNELS = (32, 64, 128, 256, 512, 512)


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
        """(B, 1, F, T) -> the output of each block, (B, C_i, F / 2^i, T / 2^i) for i = 1, 2, …"""
        levels = []
        for conv, norm in zip(self.convs, self.norms, strict=False):
            x = functional.leaky_relu(norm(conv(x)), 0.2)
            levels.append(x)
        return [*levels, self.convs[-1](x)]


class DecoderBlock(nn.Module):
    """One level of all decoders at once: 3×3 convolution, batch norm, ReLU, dropout, upsampling.

    A convolution over the concatenation [own features, skip] is the sum of one over each part. The
    own part is a grouped convolution, a group a decoder; the skip, which all decoders share, is one
    dense convolution, not 13 over 13 copies. The first block has no own part, as all decoders start
    from the same code; the last gives one channel a decoder and is a convolution alone.
    """

    def __init__(self, own: int, skip: int, outputs: int, heads: int, dropout: float, last: bool):
        super().__init__()
        width = heads * outputs
        self.own = (
            nn.Conv2d(heads * own, width, 3, padding=1, groups=heads, bias=False) if own else None
        )
        self.skip = nn.Conv2d(skip, width, 3, padding=1, bias=False)
        self.activate = (
            nn.Identity()
            if last
            else nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(dropout))
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, own: Tensor | None, skip: Tensor) -> Tensor:
        """(B, heads·C, F, T) or None, (B, C', F, T) -> (B, heads·C'', 2F, 2T)."""
        y = self.skip(skip)
        if self.own is not None:
            y = y + self.own(own)
        return self.upsample(self.activate(y))


class MultiHeadUNet(nn.Module):
    """Masks of all 13 instruments from the mixture alone.

    Args:
        channels: of the encoder's blocks; the decoders mirror them.
        dropout: in the decoders.
        heads: decoders; one an instrument.
    """

    def __init__(
        self,
        channels: Sequence[int] = PAPER_CHANNELS,
        dropout: float = 0.2,
        heads: int = len(INSTRUMENTS),
    ):
        super().__init__()
        self.encoder = Encoder(channels)
        outputs = [*channels[-2::-1], 1]  # of each decoder block, from the code up
        owns = [0, *outputs[:-1]]
        lasts = [False] * (len(channels) - 1) + [True]
        self.decoder = nn.ModuleList(
            DecoderBlock(own, skip, out, heads, dropout, last)
            for own, skip, out, last in zip(owns, channels[::-1], outputs, lasts, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Masks: (B, 1, 256, T) in [-1, 1] -> (B, 13, 256, T), summing to 1 over instruments."""
        y = None
        for block, skip in zip(self.decoder, reversed(self.encoder(x)), strict=True):
            y = block(y, skip)
        return torch.softmax(y, dim=1)


def build(recipe: MhuRecipe) -> MultiHeadUNet:
    """The network that a recipe describes."""
    return MultiHeadUNet(recipe.channels, recipe.dropout)

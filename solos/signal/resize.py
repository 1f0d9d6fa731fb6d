"""Twice the height and width, by bilinear interpolation with corners aligned."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional


def double(x: Tensor) -> Tensor:
    """(B, C, F, T) -> (B, C, 2F, 2T).

    On a GPU torch's own gradient of this is repeatable only at an eighth of the speed (Sound of
    Pixels' step on an H200: 3.5 a second, not 28): there it is a product of matrices.
    """
    if x.device.type == "cpu":
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    return by_products(x)


def by_products(x: Tensor) -> Tensor:
    """:func:`double` on a GPU."""
    rows, columns = (_weights(n, x.device) for n in x.shape[-2:])
    return rows @ x @ columns.mT


@cache
@torch.inference_mode(False)  # the first call may be a validation's, and training needs them too
def _weights(n: int, device: torch.device) -> Tensor:
    """What each of 2n points takes of n: (2n, n)."""
    points = torch.eye(n)[:, None]  # n signals, a point each
    doubled = functional.interpolate(points, scale_factor=2, mode="linear", align_corners=True)
    return doubled[:, 0].mT.to(device)


class Double(nn.Module):
    """:func:`double` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return double(x)

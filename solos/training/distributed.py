"""Data-parallel training: several processes, each with a share of every batch.

PyTorch's own (``torchrun`` and DistributedDataParallel) does what is needed here, so no framework
is added for it. A run of n processes takes the same steps as one: batches are split, not grown, and
batch norm sees the whole batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """Those that train together: how many, and which one this is."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that logs and writes."""
        return self.rank == 0

    def shares(self, n: int, size: int) -> list[list[int]]:
        """This process's share of each ``size`` of ``n`` samples: every ``count``-th of them."""
        return [
            list(range(start + self.rank, min(start + size, n), self.count))
            for start in range(0, n, size)
        ]

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum over all processes, the same on each."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def agree(self, value: object) -> bool:
        """Whether all processes came here with an equal ``value``."""
        values = [value]
        if self.count > 1:
            values = [None] * self.count
            distributed.all_gather_object(values, value)
        return all(other == value for other in values)

    def leave(self) -> None:
        """End the group, when this process has nothing more to tell the others."""
        if self.count > 1:
            distributed.destroy_process_group()

    def parallel(self, network: nn.Module) -> nn.Module:
        """``network``, its gradients averaged and its batch statistics taken over all processes."""
        if self.count == 1:
            return network
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.__class__ = GlobalBatchNorm
        return DistributedDataParallel(network, broadcast_buffers=False)  # they are equal anyway


ALONE = Processes()


class _Sum(torch.autograd.Function):
    """Sum over all processes; so is its gradient, as each of them made use of the sum."""

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batch of all processes (torch's SyncBatchNorm is for GPUs alone)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> the same; computed in float32."""
        if not self.training:
            return super().forward(x)
        kind, x = x.dtype, x.float()
        axes = (0, 2, 3)
        count = torch.full_like(x[0, :1, 0, 0], x.numel() / x.shape[1])
        totals = _Sum.apply(torch.cat([x.sum(axes), count]))
        count = totals[-1]
        mean = (totals[:-1] / count)[:, None, None]
        var = _Sum.apply((x - mean).square().sum(axes)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.flatten(), self.momentum)
            self.running_var.lerp_(var * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return ((x - mean) * scale[:, None, None] + self.bias[:, None, None]).to(kind)

"""What a training process computes: steps on the parts of a batch, and validation."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from solos.errors import UserError
from solos.training.distributed import Processes
from solos.training.state import Run
from solos.training.tasks import Task


@dataclass(frozen=True)
class Worker:
    """What this process trains with."""

    task: Task
    network: nn.Module
    """As it computes, compiled if the recipe says so."""
    joined: nn.Module
    """The same, whose gradients and batch statistics are those of all processes."""
    device: torch.device
    processes: Processes

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean loss of this process's share of a batch."""
        on_device = {key: value.to(self.device) for key, value in batch.items()}
        mixed = self.task.recipe.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            return self.task.loss(network, on_device)

    @property
    def part_size(self) -> int:
        """Mixes that are computed at a time, over which batch norm takes its statistics."""
        return self.task.recipe.norm_batch or self.task.recipe.batch_size

    def parts(self, mixes: Dataset, first: int = 0, last: int | None = None) -> DataLoader:
        """Shares of mixes [first, last), a part of a batch at a time, in their (random) order."""
        size = self.part_size
        shares = self.processes.shares(len(mixes) if last is None else last, size)[first // size :]
        shares = [share for share in shares if share]  # validation's last part may be too small
        return DataLoader(
            mixes,
            batch_sampler=shares,
            num_workers=self.task.recipe.workers,
            pin_memory=self.device.type == "cuda",
        )


def named_errors(batches: Iterable[dict]) -> Iterator[dict]:
    """The batches; a user's error from a loading process as it was there, without its traceback."""
    try:
        yield from batches
    except UserError as error:
        raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from None


def count_steps(worker: Worker, n_mixes: int) -> tuple[int, int]:
    """Steps of an epoch, and mixes of a step: whole batches, what is left is left out.

    Fewer mixes than a batch are one all the same: an epoch needs a step.

    Raises:
        UserError: there are more processes than mixes in a part of a batch.
    """
    size, count = min(worker.task.recipe.batch_size, n_mixes), worker.processes.count
    part = min(worker.part_size, size)
    if part < count:
        raise UserError(
            f"{count} processes can't share {part} mixes, over which batch norm is taken: start "
            "fewer processes, or choose another batch_size or norm_batch"
        )
    return n_mixes // size, size - size % part


def take_step(
    worker: Worker, run: Run, batch: Sequence[dict[str, Tensor]], epoch: int, size: int
) -> float:
    """One step of the optimizer on the parts of a batch; its mean loss, over all processes.

    Processes' gradients are averaged, so a share counts by its part of the batch's ``size`` mixes.
    """
    step, processes = len(run.losses), worker.processes
    where = f"epoch {epoch}, step {step}, mixes {step * size} to {(step + 1) * size - 1}"
    torch.manual_seed(_step_seed(worker.task.seed, epoch, step, processes.rank))  # of dropout
    worker.joined.train()
    run.optimizer.zero_grad()
    losses = []
    for part in batch:
        share = _size(part) * processes.count / size
        loss = worker.loss(worker.joined, part) * share
        loss.backward()
        losses.append(loss.detach())
    total = processes.sum(torch.stack(losses).sum()).item() / processes.count
    _finite(total, f"loss, {where}")
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    _finite(norm.item(), f"gradient's norm, {where}")
    run.optimizer.step()
    return total


def _size(batch: dict[str, Tensor]) -> int:
    """Mixes in a batch."""
    return len(next(iter(batch.values())))


def _step_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@torch.inference_mode()
def validate(worker: Worker, batches: Iterable, epoch: int) -> float:
    """Mean loss over the mixes, each counting the same."""
    worker.network.eval()
    totals = torch.zeros(2, dtype=torch.float64)  # sum of losses, mixes
    for batch in batches:
        size = _size(batch)
        totals += torch.tensor([worker.loss(worker.network, batch).item() * size, size])
    total, count = worker.processes.sum(totals.to(worker.device)).tolist()
    return _finite(total / count, f"validation loss, epoch {epoch}")


def _finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise UserError(f"{value} ({what}): lower the learning rate and run again")
    return value

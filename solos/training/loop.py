"""One training loop for both networks: resumable at any step, repeatable, exporting the best.

What is random is drawn anew for each step from (seed, epoch, step), as mixes are from (seed, epoch,
index): a checkpoint needs no generator's state, only how far the training has come.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset

from solos.config.recipes import MhuRecipe, Recipe, StepSchedule
from solos.errors import UserError
from solos.models.device import find_device
from solos.storage.files import fingerprint
from solos.training.distributed import ALONE, Processes
from solos.training.state import Checkpoint, CurriculumState, Run
from solos.training.tasks import Task

Progress = Callable[[Iterable, str], Iterable]
"""Wraps the batches of an epoch: ``progress(batches, description)``."""
Log = Callable[[dict], None]
"""Takes the record of an epoch: epoch, train_loss, val_loss, lr, max_src."""


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

    def batches(self, mixes: Dataset, skip: int = 0) -> DataLoader:
        """Shares of the batches from number ``skip`` on, in the mixes' order (a random one)."""
        recipe = self.task.recipe
        shares = self.processes.shares(len(mixes), recipe.batch_size)[skip:]
        shares = [share for share in shares if share]  # validation's last batch may be too small
        pinned = self.device.type == "cuda"
        return DataLoader(
            mixes, batch_sampler=shares, num_workers=recipe.workers, pin_memory=pinned
        )


def train(
    task: Task,
    network: nn.Module,
    epochs: int,
    checkpoint: Checkpoint,
    log: Log,
    progress: Progress,
    processes: Processes = ALONE,
) -> dict:
    """Train ``network`` in place, which ends with the weights of the lowest validation loss.

    Epoch 0 of the history is the network as given. If the checkpoint's file exists, its epochs are
    logged again and training goes on after its last step, with the same outcome as an uninterrupted
    run.

    Args:
        processes: those that train together; the first one writes the checkpoint.

    Returns:
        ``epoch`` and ``val_loss`` of the exported weights.

    Raises:
        UserError: a loss or gradient is no longer finite, or a batch has too few mixes to share.
    """
    recipe = task.recipe
    device = find_device(recipe.device, tf32=recipe.precision == "tf32")
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    network.to(device, memory_format=layout)
    run = _start(task, network)
    checkpoint.restore(run)
    _check_start(run, checkpoint, processes)  # also waits until all have read the file
    for record in run.history:
        log(record)
    computing = torch.compile(network) if recipe.compile else network
    worker = Worker(task, computing, processes.parallel(computing), device, processes)
    for epoch in range(len(run.history), epochs + 1):
        run.history.append(_epoch(worker, run, epoch, checkpoint, progress))
        if processes.first:
            checkpoint.write(run)
        log(run.history[-1])
    network.load_state_dict(run.best["weights"])
    return {key: run.best[key] for key in ("epoch", "val_loss")}


def _check_start(run: Run, checkpoint: Checkpoint, processes: Processes) -> None:
    """Processes that begin differently would wait for each other for ever.

    Raises:
        UserError: as they do where they don't share one file system, data set and version.
    """
    state = [len(run.history), len(run.losses), fingerprint(checkpoint.identity)]
    if not processes.agree(state):
        raise UserError(
            f"{checkpoint.path}: the processes differ in where they start, or in code and data: "
            "they need a file system in common"
        )


def _start(task: Task, network: nn.Module) -> Run:
    recipe = task.recipe
    optimizer = make_optimizer(recipe, task.parameter_groups(network))
    start = recipe.curriculum.start if isinstance(recipe, MhuRecipe) else recipe.n_src
    return Run(network, optimizer, make_schedule(recipe, optimizer), CurriculumState(start))


def make_optimizer(recipe: Recipe, groups: list[dict]) -> Optimizer:
    """SGD with momentum 0.9, or Adam, with the recipe's rate and weight decay."""
    settings = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, **settings)
    return torch.optim.Adam(groups, **settings)


def make_schedule(recipe: Recipe, optimizer: Optimizer) -> LRScheduler:
    """Steps at given epochs, or on plateaus of the validation loss."""
    schedule = recipe.schedule
    if isinstance(schedule, StepSchedule):
        return MultiStepLR(optimizer, schedule.milestones, schedule.gamma)
    patience = schedule.patience - 1  # torch's is the number of stagnant epochs that are let pass
    return ReduceLROnPlateau(optimizer, factor=schedule.factor, patience=patience, threshold=1e-4)


def _epoch(
    worker: Worker, run: Run, epoch: int, checkpoint: Checkpoint, progress: Progress
) -> dict:
    """One epoch of training and validation (epoch 0: validation only); its record."""
    task = worker.task
    record = {"epoch": epoch, "lr": run.optimizer.param_groups[0]["lr"]}
    record["max_src"] = run.curriculum.max_src
    if epoch > 0:
        mixes = task.train_mixes(epoch, run.curriculum.max_src)
        _check_shares(worker, len(mixes))
        batches = progress(worker.batches(mixes, skip=len(run.losses)), f"epoch {epoch}")
        for batch in _named_errors(batches):
            run.losses.append(_step(worker, run, batch, epoch, len(mixes)))
            if worker.processes.first:
                checkpoint.write_if_due(run)
        record["train_loss"] = float(np.mean(run.losses))
    mixes = task.val_mixes()
    batches = progress(worker.batches(mixes), f"epoch {epoch}, validation")
    record["val_loss"] = validate(worker, _named_errors(batches), epoch)
    _after(task, run, record)
    return record


def _named_errors(batches: Iterable[dict]) -> Iterator[dict]:
    """The batches; a user's error from a loading process as it was there, without its traceback."""
    try:
        yield from batches
    except UserError as error:
        raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from None


def _check_shares(worker: Worker, n_mixes: int) -> None:
    size, count = worker.task.recipe.batch_size, worker.processes.count
    smallest = n_mixes % size or size
    if smallest < count:
        raise UserError(
            f"{count} processes can't share a batch of {smallest}, the smallest of {n_mixes} mixes "
            f"in batches of {size}: start fewer processes, or choose another batch_size"
        )


def _step(worker: Worker, run: Run, batch: dict[str, Tensor], epoch: int, n_mixes: int) -> float:
    """One step of the optimizer; mean loss of the batch, over all processes.

    Processes' gradients are averaged, so a share counts by its part of the whole batch.
    """
    step, size, processes = len(run.losses), worker.task.recipe.batch_size, worker.processes
    first, last = step * size, min((step + 1) * size, n_mixes)
    where = f"epoch {epoch}, step {step}, mixes {first} to {last - 1}"
    torch.manual_seed(_step_seed(worker.task.seed, epoch, step, processes.rank))  # of dropout
    worker.joined.train()
    loss = worker.loss(worker.joined, batch)
    loss = loss * (len(batch["mix_mag"]) * processes.count / (last - first))
    run.optimizer.zero_grad()
    loss.backward()
    total = processes.sum(loss.detach()).item() / processes.count
    _finite(total, f"loss, {where}")
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    _finite(norm.item(), f"gradient's norm, {where}")
    run.optimizer.step()
    return total


def _step_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@torch.inference_mode()
def validate(worker: Worker, batches: Iterable, epoch: int) -> float:
    """Mean loss over the mixes, each counting the same."""
    worker.network.eval()
    totals = torch.zeros(2, dtype=torch.float64)  # sum of losses, mixes
    for batch in batches:
        size = len(batch["mix_mag"])
        totals += torch.tensor([worker.loss(worker.network, batch).item() * size, size])
    total, count = worker.processes.sum(totals.to(worker.device)).tolist()
    return _finite(total / count, f"validation loss, epoch {epoch}")


def _finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise UserError(f"{value} ({what}): lower the learning rate and run again")
    return value


def _after(task: Task, run: Run, record: dict) -> None:
    """Keep the best weights; move the schedule and the curriculum on."""
    val_loss, run.losses = record["val_loss"], []
    if not run.best or val_loss < run.best["val_loss"]:
        weights = {name: t.detach().cpu().clone() for name, t in run.network.state_dict().items()}
        run.best = {"epoch": record["epoch"], "val_loss": val_loss, "weights": weights}
    if record["epoch"] == 0:
        return
    if isinstance(run.schedule, ReduceLROnPlateau):
        run.schedule.step(val_loss)
    else:
        run.schedule.step()
    if isinstance(task.recipe, MhuRecipe):
        run.curriculum.update(val_loss, task.recipe.curriculum)

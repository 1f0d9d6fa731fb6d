"""One training loop for both networks: resumable at every epoch, repeatable, exporting the best."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset

from solos.checkpoint import load_state, save_state
from solos.device import find_device
from solos.distributed import ALONE, Processes, Shares
from solos.errors import UserError
from solos.recipes import Curriculum, MhuRecipe, Recipe, StepSchedule
from solos.tasks import Task

Progress = Callable[[Iterable, str], Iterable]
"""Wraps the batches of an epoch: ``progress(batches, description)``."""
Log = Callable[[dict], None]
"""Takes the record of an epoch: epoch, train_loss, val_loss, lr, max_src."""


@dataclass
class CurriculumState:
    """Largest number of sources in a mix, raised by one on each plateau of the validation loss."""

    max_src: int
    best: float = math.inf
    stagnant: int = 0
    """Epochs since the loss last improved, or since the last rise."""

    def update(self, val_loss: float, curriculum: Curriculum) -> None:
        """Count an epoch: after ``patience`` stagnant ones the maximum rises, up to ``stop``."""
        if val_loss < self.best - curriculum.min_delta:
            self.best, self.stagnant = val_loss, 0
            return
        self.stagnant += 1
        if self.stagnant >= curriculum.patience and self.max_src < curriculum.stop:
            self.max_src, self.stagnant = self.max_src + 1, 0


@dataclass
class Run:
    """All that changes during training."""

    network: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    curriculum: CurriculumState
    history: list[dict] = field(default_factory=list)
    best: dict = field(default_factory=dict)
    """Epoch, loss and weights of the lowest validation loss."""

    def state(self) -> dict:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "curriculum": vars(self.curriculum),
            "history": self.history,
            "best": self.best,
        }

    def restore(self, state: dict) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.curriculum = CurriculumState(**state["curriculum"])
        self.history, self.best = state["history"], state["best"]


@dataclass(frozen=True)
class Worker:
    """What this process trains with."""

    task: Task
    network: nn.Module
    """As it computes: compiled, and joined with the other processes' copies."""
    device: torch.device
    processes: Processes

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean loss of this process's share of a batch."""
        on_device = {key: value.to(self.device) for key, value in batch.items()}
        mixed = self.task.recipe.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            return self.task.loss(self.network, on_device)

    def batches(self, mixes: Dataset) -> DataLoader:
        """Shares of the batches in the order of the mixes, which is already random."""
        recipe = self.task.recipe
        shares = Shares(len(mixes), recipe.batch_size, self.processes)
        return DataLoader(mixes, batch_sampler=shares, num_workers=recipe.workers)


def train(
    task: Task,
    network: nn.Module,
    epochs: int,
    checkpoint: Path,
    log: Log,
    progress: Progress,
    processes: Processes = ALONE,
) -> dict:
    """Train ``network`` in place, which ends with the weights of the lowest validation loss.

    Epoch 0 of the history is the network as given. ``checkpoint`` is written after every epoch; if
    it exists, its epochs are logged again and training goes on after them, with the same outcome as
    an uninterrupted run.

    Args:
        processes: those that train together; the first one writes the checkpoint.

    Returns:
        ``epoch`` and ``val_loss`` of the exported weights.

    Raises:
        UserError: a loss or gradient is no longer finite.
    """
    recipe = task.recipe
    device = find_device(recipe.device)
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    network.to(device, memory_format=layout)
    run = _start(task, network)
    if checkpoint.exists():
        run.restore(load_state(checkpoint))
    processes.wait()  # until all have read what the first one is about to replace
    for record in run.history:
        log(record)
    computing = torch.compile(network) if recipe.compile else network
    worker = Worker(task, processes.parallel(computing), device, processes)
    for epoch in range(len(run.history), epochs + 1):
        run.history.append(_epoch(worker, run, epoch, progress))
        if processes.first:
            save_state(checkpoint, run.state())
        log(run.history[-1])
    network.load_state_dict(run.best["weights"])
    return {key: run.best[key] for key in ("epoch", "val_loss")}


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
    return ReduceLROnPlateau(optimizer, factor=schedule.factor, patience=schedule.patience)


def _epoch(worker: Worker, run: Run, epoch: int, progress: Progress) -> dict:
    """One epoch of training and validation (epoch 0: validation only); its record."""
    task = worker.task
    record = {"epoch": epoch, "lr": run.optimizer.param_groups[0]["lr"]}
    record["max_src"] = run.curriculum.max_src
    if epoch > 0:
        torch.manual_seed(_epoch_seed(task.seed, epoch))  # of dropout
        mixes = task.train_mixes(epoch, run.curriculum.max_src)
        batches = progress(worker.batches(mixes), f"epoch {epoch}")
        record["train_loss"] = _train(worker, run.optimizer, batches, len(mixes), epoch)
    mixes = task.val_mixes()
    record["val_loss"] = validate(
        worker, progress(worker.batches(mixes), f"epoch {epoch}, validation")
    )
    _after(task, run, record)
    return record


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _train(
    worker: Worker, optimizer: Optimizer, batches: Iterable, n_mixes: int, epoch: int
) -> float:
    """One pass over the batches; mean loss of a step.

    Processes' gradients are averaged, so a share counts by its part of the whole batch.
    """
    worker.network.train()
    size, count = worker.task.recipe.batch_size, worker.processes.count
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    losses = []
    for step, batch in enumerate(batches):
        first, last = step * size, min((step + 1) * size, n_mixes)
        where = f"epoch {epoch}, step {step}, mixes {first} to {last - 1}"
        loss = worker.loss(batch) * (len(batch["mix_mag"]) * count / (last - first))
        optimizer.zero_grad()
        loss.backward()
        losses.append(_finite(worker.processes.sum(loss.detach()).item() / count, f"loss, {where}"))
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        _finite(norm.item(), f"gradient's norm, {where}")
        optimizer.step()
    return float(np.mean(losses))


@torch.inference_mode()
def validate(worker: Worker, batches: Iterable) -> float:
    """Mean loss over the mixes, each counting the same."""
    worker.network.eval()
    totals = torch.zeros(2, dtype=torch.float64)  # sum of losses, mixes
    for batch in batches:
        size = len(batch["mix_mag"])
        totals += torch.tensor([worker.loss(batch).item() * size, size])
    total, count = worker.processes.sum(totals.to(worker.device)).tolist()
    return _finite(total / count, "validation loss")


def _finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise UserError(f"{value} ({what}): lower the learning rate and run again")
    return value


def _after(task: Task, run: Run, record: dict) -> None:
    """Keep the best weights; move the schedule and the curriculum on."""
    val_loss = record["val_loss"]
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

"""One training loop for all networks: resumable at any step, repeatable.

What is random is drawn anew for each step from (seed, epoch, step), as mixes are from (seed, epoch,
index): a checkpoint needs no generator's state, only how far the training has come.
"""

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
)

from solos.config.recipes import CosineSchedule, MhuRecipe, Recipe, StepSchedule
from solos.errors import UserError
from solos.models.device import find_device, lay_out
from solos.storage.files import fingerprint
from solos.training.distributed import ALONE, Processes
from solos.training.state import Checkpoint, CurriculumState, Run
from solos.training.tasks import Task
from solos.training.worker import Worker, count_steps, named_errors, take_step, validate

Progress = Callable[[Iterable, str], Iterable]
"""Wraps the batches of an epoch: ``progress(batches, description)``."""
Log = Callable[[dict], None]
"""Takes the record of an epoch: epoch, train_loss, val_loss, lr, max_src."""


def train(
    task: Task,
    network: nn.Module,
    epochs: int,
    checkpoint: Checkpoint,
    log: Log,
    progress: Progress,
    processes: Processes = ALONE,
) -> dict:
    """Train ``network`` in place, which ends with the weights that are to be exported.

    Those are of the lowest validation loss, or of the last epoch if the recipe says so. Epoch 0 of
    the history is the network as given, and exported only if there is no other. If the checkpoint's
    file exists, its epochs are logged again and training goes on after its last step, with the same
    outcome as an uninterrupted run.

    Args:
        processes: those that train together; the first one writes the checkpoint.

    Returns:
        ``epoch`` and ``val_loss`` of the exported weights.

    Raises:
        UserError: a loss or gradient is no longer finite, or there are too few mixes to share.
    """
    recipe = task.recipe
    device = find_device(recipe.device, tf32=recipe.precision == "tf32")
    lay_out(network, device, recipe.channels_last)
    run = _start(task, network, epochs)
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
    exported = run.history[-1]
    if run.best and getattr(recipe, "export", "best") == "best":
        exported = run.best
        network.load_state_dict(run.best["weights"])
    return {key: exported[key] for key in ("epoch", "val_loss")}


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


def _start(task: Task, network: nn.Module, epochs: int) -> Run:
    recipe = task.recipe
    optimizer = make_optimizer(recipe, task.parameter_groups(network))
    curriculum = CurriculumState(task.max_src)
    return Run(network, optimizer, make_schedule(recipe, optimizer, epochs), curriculum)


def make_optimizer(recipe: Recipe, groups: list[dict]) -> Optimizer:
    """SGD with momentum 0.9, or Adam, with the recipe's rate and weight decay."""
    settings = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, **settings)
    return torch.optim.Adam(groups, fused=True, **settings)


def make_schedule(recipe: Recipe, optimizer: Optimizer, epochs: int) -> LRScheduler:
    """Steps at given epochs, on plateaus of the validation loss, or to nothing over ``epochs``."""
    schedule = recipe.schedule
    if isinstance(schedule, StepSchedule):
        return MultiStepLR(optimizer, schedule.milestones, schedule.gamma)
    if isinstance(schedule, CosineSchedule):
        return CosineAnnealingLR(optimizer, epochs)
    plateau = {"factor": schedule.factor, "patience": schedule.patience}
    return ReduceLROnPlateau(optimizer, **plateau, threshold=1e-4)


def _epoch(
    worker: Worker, run: Run, epoch: int, checkpoint: Checkpoint, progress: Progress
) -> dict:
    """One epoch of training and validation (epoch 0: validation only); its record."""
    task = worker.task
    record = {"epoch": epoch, "lr": run.optimizer.param_groups[0]["lr"]}
    record["max_src"] = run.curriculum.max_src
    if epoch > 0:
        mixes = task.train_mixes(epoch, run.curriculum.max_src)
        steps, size = count_steps(worker, len(mixes))
        parts = worker.parts(mixes, len(run.losses) * size, steps * size)
        bar = named_errors(progress(parts, f"epoch {epoch}"))
        while batch := list(islice(bar, max(1, size // worker.part_size))):
            run.losses.append(take_step(worker, run, batch, epoch, size))
            if worker.processes.first:
                checkpoint.write_if_due(run)
        record["train_loss"] = float(np.mean(run.losses))
    mixes = task.val_mixes(epoch, run.curriculum.max_src)
    parts = progress(worker.parts(mixes), f"epoch {epoch}, validation")
    record["val_loss"] = validate(worker, named_errors(parts), epoch)
    run.losses = []
    if epoch > 0:
        _keep_best(task, run, record)
        _advance(task, run, record["val_loss"])
    return record


def _keep_best(task: Task, run: Run, record: dict) -> None:
    """Keep the weights of the lowest validation loss.

    Losses of fresh mixes of more sources are no longer comparable: there the best is sought anew.
    """
    best = run.best
    fresh = getattr(task.recipe, "validation", "last") == "current"
    harder = fresh and best and record["max_src"] > best["max_src"]
    if not best or harder or record["val_loss"] < best["val_loss"]:
        weights = {name: t.detach().cpu().clone() for name, t in run.network.state_dict().items()}
        kept = {key: record[key] for key in ("epoch", "val_loss", "max_src")}
        run.best = {**kept, "weights": weights}


def _advance(task: Task, run: Run, val_loss: float) -> None:
    """Move curriculum and schedule on; a plateau schedule waits for the curriculum's end."""
    counts = True
    if isinstance(task.recipe, MhuRecipe):
        counts = run.curriculum.update(val_loss, task.recipe.curriculum)
    if not isinstance(run.schedule, ReduceLROnPlateau):
        run.schedule.step()
    elif counts:
        run.schedule.step(val_loss)

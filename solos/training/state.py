"""What changes during training, and the file that keeps it."""

import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from solos.config.recipes import Curriculum
from solos.errors import UserError
from solos.models.weights import load_state, save_state

log = logging.getLogger(__name__)


@dataclass
class CurriculumState:
    """Largest number of sources in a mix, raised by one on each plateau of the validation loss."""

    max_src: int
    best: float = math.inf
    """Lowest validation loss since the last rise."""
    stagnant: int = 0
    """Epochs since the loss last improved, or since the last rise."""

    def update(self, val_loss: float, curriculum: Curriculum) -> bool:
        """Count an epoch: after more than ``patience`` stagnant ones the maximum rises.

        Returns:
            Whether it would rise but is ``stop`` already: so each epoch says until one improves.
        """
        if val_loss < self.best - curriculum.min_delta:
            self.best, self.stagnant = val_loss, 0
            return False
        self.stagnant += 1
        if self.stagnant <= curriculum.patience:
            return False
        if self.max_src < curriculum.stop:
            self.max_src, self.best, self.stagnant = self.max_src + 1, math.inf, 0
            return False
        return True


@dataclass
class Run:
    """All that changes during training."""

    network: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    curriculum: CurriculumState
    history: list[dict] = field(default_factory=list)
    best: dict = field(default_factory=dict)
    """Epoch, loss, number of sources and weights of the lowest validation loss."""
    losses: list[float] = field(default_factory=list)
    """Of the steps taken in the epoch that the history lacks."""

    def state(self) -> dict:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "curriculum": vars(self.curriculum),
            "history": self.history,
            "best": self.best,
            "losses": self.losses,
        }

    def restore(self, state: dict) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.curriculum = CurriculumState(**state["curriculum"])
        self.history, self.best = state["history"], state["best"]
        self.losses = state["losses"]


@dataclass
class Checkpoint:
    """The file that an unfinished training goes on from."""

    path: Path
    identity: dict = field(default_factory=dict)
    """Configuration, code and data of the training, as plain values: kept in the file."""
    every: float = 600.0
    """Seconds of an epoch after which it is written anew; it also is after each epoch."""
    _written: float = field(default_factory=time.monotonic)

    def restore(self, run: Run) -> None:
        """Put ``run`` where the file's was, if there is one.

        Raises:
            UserError: the file is of another training, or damaged.
        """
        if not self.path.exists():
            return
        state = load_state(self.path)
        if state["identity"] != self.identity:
            raise UserError(f"{self.path} is of another training: remove it and run again")
        run.restore(state)
        log.info("going on after epoch %d, step %d", len(run.history) - 1, len(run.losses))

    def write(self, run: Run) -> None:
        save_state(self.path, run.state() | {"identity": self.identity})
        self._written = time.monotonic()

    def write_if_due(self, run: Run) -> None:
        if time.monotonic() - self._written >= self.every:
            self.write(run)

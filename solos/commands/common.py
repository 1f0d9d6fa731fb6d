"""What the commands share: a user's mistakes on the command line, the workspace, progress bars."""

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from solos import SAMPLE_RATE
from solos.config.params import Params, load_params
from solos.errors import UserError


class UsageError(UserError):
    """The command line asks for what can't be: exit code 2."""


@dataclass(frozen=True)
class Workspace:
    """A folder in which the pipeline runs, or any other one."""

    folder: Path

    @cached_property
    def params(self) -> Params | None:
        """Its ``params.yaml``; None where there is none.

        Raises:
            ConfigError: it holds problems.
        """
        path = self.folder / "params.yaml"
        return load_params(path) if path.exists() else None

    def model(self, row: str) -> Path:
        """Where a trained row of Table II is exported to."""
        return self.folder / "data" / "models" / row

    @property
    def rows(self) -> list[str]:
        """The rows that are there to be trained, or that have been."""
        folder = self.folder / "data" / "models"
        exported = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        listed = list(self.params.model) if self.params else []
        return listed + [name for name in exported if name not in listed]


def one_line(error: Exception | str) -> str:
    """A message without line breaks."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def progress_bar(description: str, samples: int, quiet: bool) -> tqdm:
    """A bar of samples at 11,025 Hz, shown as seconds; none where ``quiet``."""
    return tqdm(
        desc=description,
        total=samples,
        disable=quiet,
        unit=" s of audio",
        unit_scale=1 / SAMPLE_RATE,
        mininterval=0.1 if sys.stderr.isatty() else 10,
    )

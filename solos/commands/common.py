"""What the commands share: a user's mistakes on the command line, the workspace, progress bars."""

import json
import math
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from solos import SAMPLE_RATE
from solos.config.params import Params, load_params
from solos.errors import UserError
from solos.media.errors import MediaError


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
        listed = list(self.params.model) if self.params else []
        return listed + [name for name in self.exported if name not in listed]

    @property
    def exported(self) -> list[str]:
        """The rows that have been trained, whatever ``params.yaml`` says."""
        folder = self.folder / "data" / "models"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def explain(error: Exception) -> str | None:
    """A user's mistake, or what the system refuses, in one line; None for a fault of this program.

    Anything that the system says is told with the file: a full disk, permissions, a wrong path.
    """
    if isinstance(error, UserError | MediaError):
        return one_line(error)
    if isinstance(error, OSError) and error.errno:
        return one_line(f"{error.filename}: {error.strerror}")
    if isinstance(error, MemoryError | BrokenProcessPool):
        return f"out of memory, or a worker was killed ({type(error).__name__})"
    return None


def of_the_output(error: Exception) -> bool:
    """Whether it is standard output that can't be written to: files' errors have their names."""
    return isinstance(error, OSError) and error.filename is None


def to_json(value: object) -> str:
    """JSON in UTF-8; of a file's name that isn't, its odd bytes as Python's escapes of them."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _finite(value: object) -> object:
    """``value`` without numbers that JSON has not: they are None."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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

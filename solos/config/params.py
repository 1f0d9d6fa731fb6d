"""All of ``params.yaml``, read and checked.

``params.yaml`` is composed from ``conf/`` (see README). Every stage loads the whole of it, so an
unknown key, a wrong type or an impossible value anywhere is reported before any work starts, all
problems in one message.
"""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from solos.config.data import Dataset, Download, Extract, Index, Spectrograms, Synthesize, Urmp
from solos.config.recipes import Train
from solos.config.rows import Evaluate, Pretrained, Row, Statistics
from solos.config.section import Count, Section
from solos.errors import UserError


class ConfigError(UserError):
    """``params.yaml`` is missing or holds something that can't be run."""


class Parallel(Section):
    """How the items of a stage (recordings, pieces) are spread: joblib's backend and workers."""

    backend: Literal["loky", "threading"]
    jobs: Count | Literal[-1]
    """Workers; -1 for one a core."""


class Params(Section):
    """All of ``params.yaml``."""

    profile: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    launcher: str
    """What training stages are started by: ``python``, or ``torchrun`` with its options."""
    parallel: Parallel
    synthesize: Synthesize
    index: dict[Literal["music"], Index]
    dataset: dict[Literal["solos", "music"], Dataset]
    download: Download
    extract: Extract
    spectrograms: Spectrograms
    urmp: Urmp
    pretrained: Pretrained
    model: Annotated[dict[str, Row], Field(min_length=1)]
    train: Train
    evaluate: Evaluate
    statistics: Statistics

    @model_validator(mode="after")
    def _trained_on(self):
        if "solos" not in self.dataset:
            raise ValueError("dataset.solos is missing: what the rows are trained on")
        return self

    @model_validator(mode="after")
    def _rows_have_recipes(self):
        for name, row in self.model.items():
            if not hasattr(self.train, row.network):
                raise ValueError(f"model.{name}: network {row.network}, but no train.{row.network}")
        return self


def _line(error: dict) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "(top level)"
    found = "" if error["type"] == "missing" else f" (found {str(error['input'])[:60]!r})"
    return f"  {where}: {error['msg']}{found}"


def load_params(path: Path) -> Params:
    """Read and check ``params.yaml``.

    Raises:
        ConfigError: the file is missing, not YAML, or has problems, all of which are listed.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: run `make params`") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    try:
        return Params.model_validate(content)
    except ValidationError as errors:
        lines = [_line(error) for error in errors.errors()]
        raise ConfigError(f"{path}: {len(lines)} problem(s)\n" + "\n".join(lines)) from None

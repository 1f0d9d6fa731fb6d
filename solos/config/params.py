"""All of ``params.yaml``, read and checked.

``params.yaml`` is composed from ``conf/`` (see README). Every stage loads the whole of it, so an
unknown key, a wrong type or an impossible value anywhere is reported before any work starts, all
problems in one message.
"""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from solos.config.data import (
    Dataset,
    Download,
    Extract,
    Index,
    Notes,
    Play,
    Spectrograms,
    Synthesize,
    Urmp,
)
from solos.config.recipes import SopRecipe, Train
from solos.config.rows import Evaluate, Pretrained, Row, Statistics
from solos.config.section import Count, Section
from solos.errors import UserError


class ConfigError(UserError):
    """``params.yaml`` is missing or holds something that can't be run."""


class Parallel(Section):
    """By what the items of a stage (recordings, pieces) are spread over workers, and how many."""

    backend: Literal["loky", "threading", "dask", "ray"]
    jobs: Count | Literal[-1]
    """Workers; -1 for one a core. A cluster that is named has as many as it has."""
    address: str | None = None
    """A cluster's, of Dask or Ray; None for what their own configuration names, or a new one."""

    @model_validator(mode="after")
    def _address_of_a_cluster(self):
        if self.address is not None and self.backend not in ("dask", "ray"):
            raise ValueError(
                f"address is a cluster's: with backend dask or ray, not {self.backend}"
            )
        return self


class Params(Section):
    """All of ``params.yaml``."""

    profile: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    launcher: str
    """What training stages are started by: ``python``, or ``torchrun`` with its options."""
    parallel: Parallel
    synthesize: Synthesize
    notes: Notes
    play: dict[Literal["solos"], Play]
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
    def _rows_have_what_they_need(self):
        for name, row in self.model.items():
            recipe = getattr(self.train, row.network, None)
            if recipe is None:
                raise ValueError(f"model.{name}: network {row.network}, but no train.{row.network}")
            if row.init == "music" and not self.pretrained.weights:
                raise ValueError(f"model.{name}: init music, but pretrained.weights is empty")
            if row.epochs and isinstance(recipe, SopRecipe) and not self.dataset["solos"].pictures:
                raise ValueError(
                    f"model.{name}: {row.network} learns from pictures, which this data set lacks "
                    "(dataset.solos.pictures: false); leave the row out, as by model=mhunet"
                )
        return self

    @model_validator(mode="after")
    def _pretrained_by_a_recipe(self):
        if self.pretrained.weights and not self.train.music:
            raise ValueError("train.music is missing: the recipe of pretrained.weights: [music]")
        return self

    @model_validator(mode="after")
    def _played_from_notes(self):
        if self.play and not self.notes.path:
            raise ValueError("play needs notes.path, where recorded notes are")
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
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # some of YAML's dates
        raise ConfigError(f"{path} is not YAML: {error}") from None
    try:
        return Params.model_validate(content)
    except ValidationError as errors:
        lines = [_line(error) for error in errors.errors()]
        raise ConfigError(f"{path}: {len(lines)} problem(s)\n" + "\n".join(lines)) from None

"""The sections of ``params.yaml`` about the rows of Table II: their start, their scoring."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from solos.config.section import Count, Fraction, Section


class Pretrained(Section):
    """Where Sound of Pixels' MUSIC weights come from."""

    weights: Annotated[list[Literal["music"]], Field(max_length=1)]
    """``[music]``; empty where no row begins with them."""
    source: Literal["train", "files", "url"]
    path: str | None
    """Folder with the three files, for ``files``."""
    url: str | None
    """Address of the folder with the three files, for ``url``."""
    needs: Annotated[list[str], Field(min_length=2, max_length=2)]
    """What the stage depends on: for ``train``, MUSIC's spectrograms and pictures."""

    @model_validator(mode="after")
    def _place(self):
        needed = {"files": "path", "url": "url"}.get(self.source)
        if needed and not getattr(self, needed):
            raise ValueError(f"source: {self.source} needs pretrained.{needed}")
        return self


class Row(Section):
    """One trained row of Table II."""

    network: str
    """A module of ``solos/models``, and its recipe's section in ``train``."""
    init: Literal["scratch", "music", "published"]
    """Random weights, those of Sound of Pixels on MUSIC, or a checkpoint of MHU-Net's authors."""
    epochs: Annotated[int, Field(ge=0)]
    path: str | None = None
    """The checkpoint, for ``published``."""

    @model_validator(mode="after")
    def _possible(self):
        if self.init == "music" and self.network != "sop":
            raise ValueError("init: music is Sound of Pixels' only (network: sop)")
        if self.init == "published" and self.network != "mhunet":
            raise ValueError("init: published is the Multi-Head U-Net's only (network: mhunet)")
        if (self.init == "published") != bool(self.path):
            raise ValueError("init: published needs path, a file; no other init has one")
        if self.epochs == 0 and self.init == "scratch":
            raise ValueError("epochs: 0 from scratch would score random weights")
        return self


class Protocol(Section):
    """How estimates are scored; by default as the authors did."""

    segment: Annotated[int, Field(ge=1024)] = 65535
    """Samples (at 11,025 Hz) of a segment; the pieces are cut from their starts."""
    tail: Literal["drop", "keep"] = "drop"
    """What becomes of the samples that fill no segment: ``keep`` scores them as a shorter one."""
    silence: Annotated[float, Field(ge=0)] = 1e-5
    """Σ|x| up to which a reference or estimate is silent, and its segment skipped."""
    repeats: Literal["merge", "each"] = "merge"
    """Whether the parts of one instrument are summed into one reference, or scored each. A network
    without sight then has one estimate for all players of an instrument."""
    mixture: Literal["file", "sum"] = "file"
    """What is separated: URMP's own AuMix, or the sum of the parts."""
    drift: Annotated[int, Field(ge=0)] = 0
    """Samples by which each segment's estimates begin later than the segment before's did, beside
    its references: 1 in the authors' script, which cuts estimates 65,536 samples apart."""
    backend: Literal["torch", "mir_eval"] = "torch"
    """What computes SDR, SIR and SAR: this project, or mir_eval (slow; the same figures)."""


class Evaluate(Protocol):
    """How the rows are separated and scored."""

    batch_size: Count
    """Segments separated at a time, which bounds the memory."""
    masks: Literal["soft", "binary"]
    """Whether Sound of Pixels' masks are probabilities, or decided at 0.5 as published."""


class Statistics(Section):
    """Intervals of the tables beside Table II, by bootstrap over the titles of pieces."""

    resamples: Count
    confidence: Fraction

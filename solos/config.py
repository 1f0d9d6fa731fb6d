"""The sections of ``params.yaml``, typed and checked.

``params.yaml`` is composed from ``conf/`` (see README). Every stage loads the whole of it, so an
unknown key, a wrong type or an impossible value anywhere is reported before any work starts, all
problems in one message.
"""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, JsonValue, ValidationError, model_validator

from solos.errors import UserError
from solos.recipes import Train
from solos.section import Count, Fraction, Positive, Section

HOW_TO_GET_URMP = (
    "URMP is free: get Dataset.tar.gz (12 GB) from Dryad, doi:10.5061/dryad.ng3r749, and name it, "
    "or the folder that it was extracted to: `dvc exp run -S urmp.path=.../Dataset.tar.gz`"
)


class ConfigError(UserError):
    """``params.yaml`` is missing or holds something that can't be run."""


class Parallel(Section):
    """How the items of a stage (recordings, pieces) are spread: joblib's backend and workers."""

    backend: Literal["loky", "threading"]
    jobs: Count | Literal[-1]
    """Workers; -1 for one a core."""


class SynthesizeSolos(Section):
    """Rendered solo recordings, in the layout of a downloaded Solos or MUSIC."""

    recordings: Count
    """Recordings of each instrument."""
    seconds: Annotated[float, Field(ge=10)]
    """Shortest music in a recording, without the silent lead-in and tail."""
    height: Annotated[int, Field(ge=64, multiple_of=2)]
    """Height of the picture in pixels (4:3)."""


class SynthesizeUrmp(Section):
    """Rendered ensemble pieces, in the layout of URMP."""

    pieces: Count
    seconds: Annotated[float, Field(ge=6)]
    """Longest excerpt of a piece."""
    height: Annotated[int, Field(ge=64, multiple_of=2)]


class Synthesize(Section):
    """What to render; empty where the data is real."""

    solos: SynthesizeSolos | None = None
    music: SynthesizeSolos | None = None
    urmp: SynthesizeUrmp | None = None


class Index(Section):
    """A published list of recordings that is made into an index."""

    source: str
    """Address or path of MUSIC's JSON. A file's changes go unnoticed: name another one."""


class Dataset(Section):
    """A training set, or a part of it."""

    folder: str
    """Where its ``index.csv`` lies (id, instrument, url, spans), and what relative URLs name."""
    instruments: Annotated[list[str], Field(min_length=1)] | None
    """Those to use; null for all."""
    per_instrument: Count | None
    """How many recordings of each to use, the index's first ones; null for all."""


class YtDlp(Section):
    """What is handed on to yt-dlp as it is, if it is given."""

    cookiefile: str | None = None
    cookiesfrombrowser: list[str] | None = None
    """Browser, and optionally its profile."""
    extractor_args: dict[str, dict[str, list[str]]] | None = None
    """Such as ``{youtube: {player_client: [tv]}}``."""
    js_runtimes: dict[str, dict[str, JsonValue]] | None = None
    """Such as ``{deno: {path: PATH}}``."""
    proxy: str | None = None


class Download(Section):
    """How recordings are fetched by yt-dlp."""

    format: str
    jobs: Count
    """Downloads at a time."""
    retries: Annotated[int, Field(ge=0)]
    """Further attempts at a recording within a run, with growing pauses."""
    retry_dead: bool
    """Whether to ask again for what an earlier run found private, removed, blocked here, ..."""
    timeout: Positive
    """Seconds without an answer after which a connection is given up."""
    min_rate: Annotated[float, Field(ge=0)]
    """Bytes a second, on average; a slower recording is given up after ``timeout``."""
    sleep_interval: Annotated[float, Field(ge=0)]
    """Shortest pause before a download, seconds."""
    max_sleep_interval: Annotated[float, Field(ge=0)]
    sleep_interval_requests: Annotated[float, Field(ge=0)]
    refusals: Count
    """Rate-limit refusals in a row after which the rest is left pending."""
    min_coverage: Annotated[float, Field(ge=0, le=1)]
    """Share of the index that must be there for the stage to succeed."""
    min_instrument_coverage: Annotated[float, Field(ge=0, le=1)]
    """The same for each instrument."""
    options: YtDlp

    @model_validator(mode="after")
    def _sleeps(self):
        if self.max_sleep_interval < self.sleep_interval:
            raise ValueError("max_sleep_interval must not be below sleep_interval")
        return self


class Extract(Section):
    """How frames are kept."""

    short_side: Annotated[int, Field(ge=32, multiple_of=2)]
    """Pixels of a frame's shorter side."""
    jpeg_quality: Annotated[int, Field(ge=2, le=31)]
    """ffmpeg's -q:v: 2 is the best."""


class Spectrograms(Section):
    """How recordings are split and when a data set is too small."""

    val_fraction: Fraction
    """Share of an instrument's recordings held out for validation."""
    min_recordings: Annotated[int, Field(ge=2)]
    """Usable recordings that each instrument must have."""


class Urmp(Section):
    """The test set."""

    path: str
    """Folder that holds one folder a piece, or the archive (``Dataset.tar.gz``) of one."""
    sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None
    """Checksum that the archive must have; null for any, and for a folder."""
    crops: str
    """Table of the players (piece, part, x, y, width, height) not cut out at equal widths."""


class Pretrained(Section):
    """Where Sound of Pixels' MUSIC weights come from."""

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
    init: Literal["scratch", "music"]
    epochs: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _possible(self):
        if self.init == "music" and self.network != "sop":
            raise ValueError("init: music is Sound of Pixels' only (network: sop)")
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
    backend: Literal["torch", "mir_eval"] = "torch"
    """What computes SDR, SIR and SAR: this project, or mir_eval (slow; the same figures)."""


class Evaluate(Protocol):
    """How the rows are separated and scored."""

    batch_size: Count
    """Segments separated at a time, which bounds the memory."""
    masks: Literal["soft", "binary"]
    """Whether Sound of Pixels' masks are applied as probabilities, or decided at 0.5."""


class Statistics(Section):
    """Intervals of the tables beside Table II, by bootstrap over the titles of pieces."""

    resamples: Count
    confidence: Fraction


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

"""The sections of ``params.yaml`` about data: what is rendered, listed, fetched and prepared."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from solos.config.section import Count, Fraction, Positive, Section

HOW_TO_GET_URMP = (
    "URMP is free: get Dataset.tar.gz (12 GB) from Dryad, doi:10.5061/dryad.ng3r749, and name it, "
    "or the folder that it was extracted to: `dvc exp run -S urmp.path=.../Dataset.tar.gz`"
)
HOW_TO_GET_NOTES = (
    "Recorded notes of the 13 instruments are free, for music of any kind but not to be sold or "
    "passed on as samples: get all-samples.zip (250 MB) of the Philharmonia Orchestra from "
    "philharmonia.co.uk/resources/sound-samples and name it, or the folder that it was extracted "
    "to: `dvc exp run -S data=notes -S notes.path=.../all-samples.zip`"
)


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


class Notes(Section):
    """Recorded notes; empty where nothing is played from them."""

    path: str | None = None
    """Folder that holds them in any order, or the archive (``all-samples.zip``) of them."""


class Play(Section):
    """Soloists put together from recorded notes: a training set without pictures."""

    recordings: Annotated[int, Field(ge=2)]
    """Recordings of each instrument."""
    seconds: Annotated[float, Field(ge=10)]
    """Shortest music in a recording, without the silent lead-in and tail."""
    ensembles: Annotated[int, Field(ge=0)]
    """Scores played by several together, each part a recording."""


class Index(Section):
    """A published list of recordings that is made into an index."""

    source: str
    """Address or path of MUSIC's JSON. A file's changes go unnoticed: name another one."""


Aspect = Literal["keep", "squash"]
"""Whether pictures keep their shape, or are pressed into squares."""


class Dataset(Section):
    """A training set, or a part of it."""

    folder: str
    """Where its ``index.csv`` lies (id, instrument, url, spans), and what relative URLs name."""
    instruments: Annotated[list[str], Field(min_length=1)] | None
    """Those to use; null for all."""
    per_instrument: Count | None
    """How many recordings of each to use, the index's first ones; null for all."""
    aspect: Aspect
    pictures: bool = True
    """Whether pictures are extracted; without them a recording needs no video, and only networks
    that don't look can be trained."""


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
    max_duration: Positive
    """Seconds of the longest recording that is wanted; a longer one is ``too_long``."""
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
    """Share of an instrument's recordings held out for validation: the last by their ids."""
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
    aspect: Aspect
    """Of each player's pictures."""

"""The page itself: everything in one file that opens from disk and asks for nothing else."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from solos import SAMPLE_RATE
from solos.errors import UserError
from solos.evaluation.rows import NOTES, name_of
from solos.report.examples import Example
from solos.report.figures import POINTS
from solos.report.tables import Row, Table
from solos.signal.fourier import BINS
from solos.signal.warp import log_warp

LIMIT = 25_000_000
"""Bytes that the page must stay under."""
_FOLDER = Path(__file__).parent
_TICKS = (250, 500, 1000, 2000, 4000)


@dataclass(frozen=True)
class Content:
    """What the page shows. SVG comes as :func:`solos.report.style.svg` made it."""

    profile: str
    confidence: float
    """Of the intervals."""
    rows: Sequence[Row]
    examples: Sequence[Example]
    no_examples: str
    """Why there are none, or fewer than wanted; empty if there are all."""
    scores: Mapping[tuple[str, str, int, str], str]
    """SDR by row, piece, segment and part, as text."""
    eyes: str
    """The row whose localisation maps are shown."""
    overview: str
    breakdowns: Sequence[tuple[str, Table]]
    """Box plots, and the means they show."""
    agreement: tuple[str, Table]
    curves: Sequence[tuple[str, str]]
    """Heading and SVG."""
    tables: Sequence[Table]
    """Foldable, beside Table II."""
    data: Sequence[Table]
    provenance: Mapping[str, object]


def render(content: Content, limit: int = LIMIT) -> str:
    """The page as HTML. Examples are left out, the last first, until it is under ``limit`` bytes.

    Raises:
        UserError: it is too large without any example.
    """
    wanted, html = content.examples, _fill(content)
    for kept in reversed(range(len(wanted))):
        if len(html.encode()) < limit:
            return html
        left = ", ".join(example.choice.kind for example in wanted[kept:])
        note = f"Left out, as the page would not be under {limit / 1e6:.0f} MB: {left}."
        html = _fill(replace(content, examples=wanted[:kept], no_examples=note))
    if len(html.encode()) >= limit:
        raise UserError(
            f"the report's page has {len(html.encode())} bytes without any example, and must stay "
            f"under {limit}: leave out rows of params.yaml's model"
        )
    return html


def _fill(content: Content) -> str:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        page=content,
        svg=Markup,
        style=Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        ticks=frequency_ticks(),
        name_of=name_of,
        notes=NOTES,
        points=POINTS,
    )


def frequency_ticks() -> dict[str, float]:
    """Labels of a spectrogram's frequency axis, and how high they are: 0 bottom to 100 top."""
    bins = torch.linspace(0, SAMPLE_RATE / 2, BINS)[:, None]
    warped = log_warp(bins)[:, 0].numpy()
    places = np.interp(_TICKS, warped, np.linspace(0, 100, warped.size))
    labels = [f"{tick} Hz" if tick < 1000 else f"{tick // 1000} kHz" for tick in _TICKS]
    return dict(zip(labels, places.round(1).tolist(), strict=True))

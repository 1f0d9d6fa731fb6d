"""One look for the page's figures: SVG that takes its colours from the page's style sheet."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO

import matplotlib
from matplotlib.figure import Figure

WIDTH = 4.7
"""Inches: of a column of the page, and about what a phone shows."""

INK, GRID, PAPER = "#010203", "#020304", "#030405"
"""Stand in a figure for the style sheet's colours of text, of lines and of the background."""
_VARIABLES = {INK: "var(--ink)", GRID: "var(--line)", PAPER: "var(--card)"}
_ROW = "#0{number:x}0a0b"
COLOURS = 9
"""Colours of rows in the style sheet, ``--row-0`` to ``--row-8``."""
MARKERS = "osD^vPX*p"
"""A row's marker, so that colour is not all that tells them apart."""

_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a row may be called anything
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def colour(row: str, rows: Sequence[str]) -> str:
    """What stands in a figure for the style sheet's colour of a row."""
    return _ROW.format(number=list(rows).index(row) % COLOURS)


def marker(row: str, rows: Sequence[str]) -> str:
    """The marker of a row."""
    return MARKERS[list(rows).index(row) % len(MARKERS)]


@contextmanager
def look(name: str) -> Iterator[None]:
    """Draw within the common look; ``name`` seeds the figure's internal names."""
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}):
        yield


def svg(figure: Figure, name: str, title: str) -> str:
    """A figure as an SVG element to be put into HTML, labelled for screen readers.

    Args:
        name: of letters; makes the element's ids unique within the page.
        title: what the figure shows, in a sentence or two.
    """
    stream = StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, variable)
    text = re.sub(r"#0([0-8])0a0b", r"var(--row-\1)", text)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(title)}">{rest}'

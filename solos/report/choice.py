"""Which segments of the test set the page lets one hear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

KINDS = ("best", "median", "worst", "quintet")
_SEGMENT = ["piece", "segment"]
_MOST = 5  # sources of the last choice, where the test set has such a segment


@dataclass(frozen=True)
class Choice:
    """A segment of the test set, and why it was chosen."""

    kind: str
    """One of :data:`KINDS`."""
    piece: str
    number: int
    n_src: int
    improvement: float
    """dB: SDR less the mixture's, mean over the segment's sources and the trained rows."""


def improvements(tables: Mapping[str, pd.DataFrame], trained: Sequence[str]) -> pd.DataFrame:
    """Segments that all ``trained`` rows with any scores scored, from least to most improved.

    Args:
        tables: lines of each row, ``mixture`` among them, as ``data/evaluation`` has them.

    Returns:
        Columns piece, segment, n_sources, improvement (see :class:`Choice`).
    """
    means = {row: _means(tables[row]) for row in ["mixture", *trained] if row in tables}
    scored = [row for row in trained if not means.get(row, pd.Series()).empty]
    if "mixture" not in means or not scored:
        return pd.DataFrame(columns=[*_SEGMENT, "n_sources", "improvement"])
    gains = [means[row] - means["mixture"] for row in scored]
    gain = pd.concat(gains, axis=1, join="inner").mean(axis=1, skipna=False).dropna()
    table = gain.rename("improvement").reset_index()
    return table.sort_values(["improvement", *_SEGMENT], ignore_index=True)


def _means(lines: pd.DataFrame) -> pd.Series:
    scored = lines[lines["skipped"] == ""]
    return scored.groupby([*_SEGMENT, "n_sources"])["SDR"].mean()


def choose(ordered: pd.DataFrame, seed: int) -> list[Choice]:
    """The best, the median and the worst segment, and a drawn one of five sources (or the most).

    All are distinct; where there are too few segments, there are fewer choices.

    Args:
        ordered: as :func:`improvements` gives them.
    """
    size = len(ordered)
    places = dict(zip(("best", "worst", "median"), (size - 1, 0, size // 2), strict=True))
    taken: dict[str, int] = {}
    for kind, place in places.items():
        if 0 <= place < size and place not in taken.values():
            taken[kind] = place
    rest = ordered.drop(index=list(taken.values()))
    if not rest.empty:
        n_src = min(_MOST, rest["n_sources"].max())
        candidates = rest.index[rest["n_sources"] == n_src]
        if candidates.empty:
            candidates = rest.index[rest["n_sources"] == rest["n_sources"].max()]
        drawn = np.random.default_rng(seed).choice(sorted(candidates))
        taken["quintet"] = int(drawn)
    return [_choice(kind, ordered.loc[taken[kind]]) for kind in KINDS if kind in taken]


def _choice(kind: str, line: pd.Series) -> Choice:
    return Choice(
        kind=kind,
        piece=line["piece"],
        number=int(line["segment"]),
        n_src=int(line["n_sources"]),
        improvement=float(line["improvement"]),
    )

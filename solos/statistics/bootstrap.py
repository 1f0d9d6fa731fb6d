"""Intervals of means, by resampling what the values come in: the titles of pieces.

Segments of a piece are alike, and pieces of one title share music and even takes (URMP's 24_Pirates
and 25_Pirates), so whole titles are drawn with replacement: the percentile bootstrap over clusters
(Davison and Hinkley, "Bootstrap methods and their application", 1997). A table's titles are drawn
once for all of its lines; one that has values in some of the titles only (an instrument) uses the
draws in which there are any. Few titles make an interval too narrow, and with fewer than two there
is none (NaN).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FIGURES = ("n", "titles", "mean", "std", "median", "low", "high")
"""What :func:`describe` gives; ``low`` and ``high`` bound the mean."""


@dataclass(frozen=True)
class Draws:
    """Titles drawn with replacement, as many as there are, again and again."""

    titles: pd.Index
    counts: NDArray[np.float64]
    """(resamples, n_titles): how often a title is in a resample."""
    confidence: float

    def interval(self, values: pd.Series, titles: pd.Series) -> tuple[float, float]:
        """Bounds of the mean of ``values`` (n,), whose pieces' titles are ``titles`` (n,).

        Percentiles of the resamples' means, of those with any of the values. NaN with fewer than
        two titles.
        """
        codes, size = self.titles.get_indexer(titles), len(self.titles)
        sums, sizes = np.bincount(codes, values, size), np.bincount(codes, minlength=size)
        totals, drawn = self.counts @ sums, self.counts @ sizes
        if np.count_nonzero(sizes) < 2 or not drawn.any():
            return np.nan, np.nan
        means = totals[drawn > 0] / drawn[drawn > 0]
        low, high = np.quantile(means, [(1 - self.confidence) / 2, (1 + self.confidence) / 2])
        return low, high


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are found; equal titles are drawn alike by equal settings."""

    resamples: int
    confidence: float
    """Share of the resamples' means that the interval holds."""
    seed: int

    def draw(self, titles: Iterable[str]) -> Draws:
        """Draw from the distinct ones among ``titles``."""
        index = pd.Index(sorted(set(titles)))
        rng = np.random.default_rng(self.seed)
        drawn = rng.integers(max(len(index), 1), size=(self.resamples, len(index)))
        counts = (drawn[:, :, np.newaxis] == np.arange(len(index))).sum(axis=1)
        return Draws(index, counts.astype(np.float64), self.confidence)


def describe(values: pd.Series, titles: pd.Series, draws: Draws) -> dict[str, float]:
    """:data:`FIGURES` of finite ``values`` (n,), whose pieces' titles are ``titles`` (n,)."""
    low, high = draws.interval(values, titles)
    return {
        "n": len(values),
        "titles": titles.nunique(),
        "mean": values.mean(),
        "std": values.std(ddof=0),
        "median": values.median(),
        "low": low,
        "high": high,
    }


def describe_groups(values: pd.DataFrame, by: Sequence[str], bootstrap: Bootstrap) -> pd.DataFrame:
    """:func:`describe` each group of ``values`` (columns value, title, ``by``): a line each."""
    draws = bootstrap.draw(values["title"])
    lines = [
        dict(zip(by, key, strict=True)) | describe(group["value"], group["title"], draws)
        for key, group in values.groupby(list(by), observed=True)
    ]
    return pd.DataFrame(lines, columns=[*by, *FIGURES])

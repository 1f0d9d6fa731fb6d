"""Intervals against plain resampling, and where the truth is known."""

import numpy as np
import pandas as pd
import pytest

from solos.statistics.bootstrap import Bootstrap, describe


def takes(rng, n_titles=20, size=10):
    """Scores with a title's own part of N(0, 2²) and N(0, 1) on top; their true mean is 0."""
    titles = pd.Series(np.repeat([f"t{k:02d}" for k in range(n_titles)], size))
    own = np.repeat(rng.normal(0, 2, n_titles), size)
    return pd.Series(own + rng.normal(0, 1, n_titles * size)), titles


@pytest.mark.parametrize("present", [12, 2])
def test_the_interval_is_that_of_plain_resampling(present):
    """Of a group that has few or no values in some of the titles drawn."""
    rng = np.random.default_rng(0)
    names = [f"t{k:02d}" for k in range(12)]
    draws = Bootstrap(resamples=400, confidence=0.9, seed=3).draw(names)
    titles = pd.Series(rng.choice(names[:present], 60))
    values = pd.Series(rng.normal(size=60))
    means = []
    for counts in draws.counts:
        resample = [
            value
            for name, count in zip(draws.titles, counts, strict=True)
            for value in values[titles == name].tolist() * int(count)
        ]
        means += [sum(resample) / len(resample)] if resample else []
    assert (len(means) < 400) == (present == 2)
    assert draws.interval(values, titles) == pytest.approx(np.percentile(means, [5, 95]))


def test_titles_are_drawn_with_replacement_as_many_as_there_are():
    draws = Bootstrap(resamples=4000, confidence=0.95, seed=1).draw(["b", "a", "b", "c", "d"])
    assert list(draws.titles) == ["a", "b", "c", "d"]
    assert (draws.counts.sum(axis=1) == 4).all()
    np.testing.assert_allclose(draws.counts.mean(axis=0), 1, atol=0.05)
    np.testing.assert_allclose(draws.counts.var(axis=0), 3 / 4, atol=0.05)  # binomial(4, 1/4)


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    """Titles are the unit: taken source by source, the interval would be far too narrow."""
    rng = np.random.default_rng(8)
    samples = [takes(rng) for _ in range(300)]
    single = pd.Series([f"s{k:03d}" for k in range(200)])

    def coverage(units):
        draws = Bootstrap(resamples=400, confidence=0.95, seed=2).draw(units(samples[0][1]))
        bounds = [draws.interval(values, units(titles)) for values, titles in samples]
        return np.mean([low <= 0 <= high for low, high in bounds])

    assert 0.88 < coverage(lambda titles: titles) < 0.98
    assert coverage(lambda _: single) < 0.65


def test_repeated_takes_of_a_title_narrow_nothing():
    values, titles = takes(np.random.default_rng(4), size=1)
    draws = Bootstrap(resamples=1000, confidence=0.95, seed=5).draw(titles)
    once = describe(values, titles, draws)
    many = describe(
        *(pd.concat([series] * 30, ignore_index=True) for series in (values, titles)), draws
    )
    assert (once["n"], many["n"]) == (20, 600)
    assert (many["low"], many["high"]) == pytest.approx((once["low"], once["high"]))
    wide = 2 * 1.96 * values.std(ddof=0) / np.sqrt(20)
    assert once["high"] - once["low"] == pytest.approx(wide, rel=0.1)


def test_the_confidence_is_the_share_inside():
    values, titles = takes(np.random.default_rng(6))
    draws = [Bootstrap(3000, share, 0).draw(titles) for share in (0.5, 0.95)]
    inner, outer = np.diff([draw.interval(values, titles) for draw in draws])[:, 0]
    assert inner / outer == pytest.approx(0.6745 / 1.96, rel=0.1)  # a normal's quantiles


def test_draws_are_the_seeds():
    first, same, other = (Bootstrap(50, 0.95, seed).draw("abcdef").counts for seed in (1, 1, 2))
    assert (first == same).all()
    assert (first != other).any()

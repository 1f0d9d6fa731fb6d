"""What stands behind the means of Table II: intervals, gains, breakdowns, paired differences.

The unit is a source of a segment, as in Table II; intervals are of the mean, over titles of pieces
(:mod:`solos.statistics.bootstrap`). Infinite values (the SIR of an estimate without interference,
the PES of a silent one) have no mean and no differences: all figures are of the finite ones, and
``n`` says how many those are. A row or group without any has no line.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from solos.datasets.urmp import CODES
from solos.errors import UserError
from solos.evaluation.scores import METRICS
from solos.statistics.bootstrap import Bootstrap, describe_groups
from solos.storage.files import atomic
from solos.storage.frames import read_frame

MIXTURE = "mixture"
"""The row that the others' improvements are over."""
IMPROVED = ("SDR", "SIR", "SI-SDR")
"""Not SAR: the mixture has no artifacts."""
SILENCE = "PES"
"""Predicted energy at silence, dB."""
_SOURCE = ("piece", "segment", "part")


def title(piece: str) -> str:
    """Title of a piece of URMP: ``24_Pirates_vn_vn_va_vc`` -> ``Pirates``.

    Its name without the number before it and the instruments' codes behind it; at least a word
    remains.
    """
    words = re.sub(r"^\d+_", "", piece).split("_")
    while len(words) > 1 and words[-1] in CODES:
        words.pop()
    return "_".join(words)


def read_scores(folder: Path, rows: Sequence[str]) -> pd.DataFrame:
    """The lines of ``<folder>/<row>.csv``, with ``row`` (ordered as ``rows``) and ``title``.

    Rows without a file are left out.

    Raises:
        UserError: no row has a file, or a file lacks columns.
    """
    paths = {row: folder / f"{row}.csv" for row in rows}
    tables = {row: _read_lines(path) for row, path in paths.items() if path.exists()}
    if not tables:
        raise UserError(f"{folder} has none of {', '.join(rows)}: run the stage evaluate first")
    scores = pd.concat(tables, names=["row"]).reset_index("row").reset_index(drop=True)
    scores["row"] = pd.Categorical(scores["row"], list(tables), ordered=True)
    return scores.assign(title=scores["piece"].map(title))


def _read_lines(path: Path) -> pd.DataFrame:
    empty = dict.fromkeys((*METRICS, SILENCE), "")
    needed = [*_SOURCE, "instrument", "n_sources", *METRICS, SILENCE, "skipped"]
    options = {"dtype": {"part": str}, "keep_default_na": False, "na_values": empty}
    return read_frame(path, "that scores it", needed, **options)


def finite_values(lines: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """A line for each finite score: ``metric`` (ordered as ``metrics``) and ``value``."""
    keys = ["row", *_SOURCE, "title", "instrument", "n_sources"]
    values = lines.melt(keys, list(metrics), "metric", "value")
    values["metric"] = pd.Categorical(values["metric"], list(metrics), ordered=True)
    return values[np.isfinite(values["value"])]


def differences(values: pd.DataFrame) -> pd.DataFrame:
    """``other`` minus ``row`` in ``value``, for each two rows in order that score the same thing.

    Args:
        values: of :func:`finite_values`.
    """
    keys = [*_SOURCE, "title", "metric"]
    values = values[["row", *keys, "value"]]
    pairs = values.merge(values.rename(columns={"row": "other", "value": "minuend"}), on=keys)
    pairs = pairs[pairs["row"].cat.codes < pairs["other"].cat.codes]
    return pairs.assign(value=pairs["minuend"] - pairs["value"])


def improvements(paired: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """SDRi, SIRi and SI-SDRi: score less that of the mixture for the same source and segment.

    Args:
        paired: of :func:`differences`.
    """
    over = paired[(paired["row"] == MIXTURE) & paired["metric"].isin(IMPROVED)]
    over = over.drop(columns="row").rename(columns={"other": "row"})
    over["metric"] = over["metric"].cat.rename_categories(lambda metric: f"{metric}i")
    return describe_groups(over, ["row", "metric"], bootstrap)


def comparisons(paired: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """``other`` minus ``row`` for each two rows; ``wins`` is the share in which it is above 0.

    Args:
        paired: of :func:`differences`.
    """
    by = ["row", "other", "metric"]
    better = (paired["value"] > 0).groupby([paired[key] for key in by], observed=True).mean()
    table = describe_groups(paired, by, bootstrap).drop(columns="std")
    return table.assign(wins=better.to_numpy())


def silence(lines: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """Predicted energy at silence by row, of skipped segments too: rests are why they are."""
    table = describe_groups(finite_values(lines, [SILENCE]), ["row"], bootstrap)
    return table.drop(columns="std")


def agreement(scored: pd.DataFrame) -> pd.DataFrame:
    """How SDR and SI-SDR (both finite) go together in each row: correlations and difference.

    Pearson's and Spearman's coefficients are NaN where they are undefined: one line, or one value
    throughout. The difference is SDR - SI-SDR, dB.
    """
    scored = scored[np.isfinite(scored[["SDR", "SI-SDR"]]).all(axis=1)]
    lines = []
    for row, group in scored.groupby("row", observed=True):
        both, difference = group[["SDR", "SI-SDR"]], group["SDR"] - group["SI-SDR"]
        line = {"row": row, "n": len(group)}
        # Unlike SciPy's, DataFrame's are NaN without a warning where they are undefined.
        line |= {method: both.corr(method).iloc[0, 1] for method in ("pearson", "spearman")}
        lines.append(line | _mean_std(difference))
    columns = ["row", "n", "pearson", "spearman", "mean_difference", "std_difference"]
    return pd.DataFrame(lines, columns=columns)


def _mean_std(difference: pd.Series) -> dict[str, float]:
    return {"mean_difference": difference.mean(), "std_difference": difference.std(ddof=0)}


def all_tables(lines: pd.DataFrame, bootstrap: Bootstrap) -> dict[str, pd.DataFrame]:
    """Every table by its name.

    Args:
        lines: of :func:`read_scores`.
    """
    scored = lines[lines["skipped"] == ""]
    values = finite_values(scored, METRICS)
    paired = differences(values)
    return {
        "rows": describe_groups(values, ["row", "metric"], bootstrap),
        "improvement": improvements(paired, bootstrap),
        "by_instrument": describe_groups(values, ["row", "instrument", "metric"], bootstrap),
        "by_n_sources": describe_groups(values, ["row", "n_sources", "metric"], bootstrap),
        "paired": comparisons(paired, bootstrap),
        "silence": silence(lines, bootstrap),
        "agreement": agreement(scored),
    }


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write it as CSV, figures with 4 decimals and empty where they are NaN."""
    figures = table.select_dtypes("float").round(4) + 0.0  # no "-0.0000"
    with atomic(path) as temporary:
        rounded = table.assign(**figures)
        rounded.to_csv(temporary, index=False, float_format="%.4f", lineterminator="\n")

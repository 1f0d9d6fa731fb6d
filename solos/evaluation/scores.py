"""The paper's evaluation on URMP: scores of segments, and a row of Table II.

A segment in which any reference or estimate is silent is skipped, and says so. A row of the table
is the mean and the population standard deviation over all scored sources of all segments.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from solos.config.rows import Protocol
from solos.errors import UserError
from solos.evaluation.metrics import BACKENDS, pes, si_sdr
from solos.evaluation.segments import Segment
from solos.storage.files import atomic

METRICS = ("SDR", "SIR", "SAR", "SI-SDR")
COLUMNS = ("piece", "segment", "part", "instrument", "n_sources", *METRICS, "PES", "skipped")
"""Of ``data/evaluation/<row>.csv``: a line a source of a segment; ``skipped`` holds the reason."""
_SHORTEST = 1024
"""Samples of a segment: with fewer, filters of 512 taps explain anything."""


def score_segment(segment: Segment, estimates: NDArray, protocol: Protocol) -> list[dict]:
    """Score one system's estimates (n_src, n_samples): a line (:data:`COLUMNS`) a source.

    Raises:
        ValueError: the estimates' shape is not the references'.
    """
    return score_rows(segment, {"": estimates}, protocol)[""]


def score_rows(
    segment: Segment, estimates: Mapping[str, NDArray], protocol: Protocol
) -> dict[str, list[dict]]:
    """Score several rows' estimates (n_src, n_samples) of a segment; BSS Eval's factor is shared.

    Raises:
        ValueError: as :func:`score_segment`.
    """
    for row, waves in estimates.items():
        if waves.shape != segment.references.shape:
            raise ValueError(f"estimates {row}: {waves.shape}, not {segment.references.shape}")
    reasons = {row: _skip_reason(segment, waves, protocol) for row, waves in estimates.items()}
    scored = [row for row, reason in reasons.items() if not reason]
    values = _scores(segment, [estimates[row] for row in scored], protocol)
    scores = dict(zip(scored, values, strict=True))
    return {
        row: _lines(segment, scores.get(row), _pes(segment, waves), reasons[row])
        for row, waves in estimates.items()
    }


def skip_segment(segment: Segment, reason: str) -> list[dict]:
    """The lines of a segment that has no estimates."""
    return _lines(segment, None, None, reason)


def _scores(segment: Segment, rows: list[NDArray], protocol: Protocol) -> NDArray:
    """(rows, n_src, 4), in the order of :data:`METRICS`."""
    if not rows:
        return np.empty((0, len(segment.references), len(METRICS)))
    waves = {"references": segment.references, "estimates": np.stack(rows)}
    return np.stack([*BACKENDS[protocol.backend](**waves), si_sdr(**waves)], axis=-1)


def _pes(segment: Segment, estimates: NDArray) -> NDArray | None:
    """(n_src,), of skipped segments too: where a reference is silent, only this can be said."""
    waves = (segment.mix, segment.references, estimates)
    if segment.mix.size < _SHORTEST or len(segment.references) < 2:
        return None
    if not all(np.isfinite(wave).all() for wave in waves):
        return None
    return pes(references=segment.references, estimates=estimates, mix=segment.mix)


def _lines(
    segment: Segment, scores: NDArray | None, at_silence: NDArray | None, reason: str
) -> list[dict]:
    sources = segment.piece.sources
    values = np.full((len(sources), len(METRICS) + 1), np.nan)
    if scores is not None:
        values[:, :-1] = scores
    if at_silence is not None:
        values[:, -1] = at_silence
    return [
        {
            "piece": segment.piece.name,
            "segment": segment.number,
            "part": source.label,
            "instrument": source.instrument,
            "n_sources": len(sources),
            **dict(zip((*METRICS, "PES"), line, strict=True)),
            "skipped": reason,
        }
        for source, line in zip(sources, values.tolist(), strict=True)
    ]


def _skip_reason(segment: Segment, estimates: NDArray, protocol: Protocol) -> str:
    if len(segment.references) < 2:
        return "one instrument: nothing to separate"
    shortest = protocol.segment if protocol.tail == "drop" else _SHORTEST
    if segment.mix.size < shortest:
        return f"too short: {segment.mix.size} samples of {shortest}"
    reasons = []
    for kind, waves in (("reference", segment.references), ("estimate", estimates)):
        for source, level in zip(segment.piece.sources, np.abs(waves).sum(axis=-1), strict=True):
            if not np.isfinite(level):
                reasons.append(f"{kind} of {source.instrument} not finite")
            elif level <= protocol.silence:
                reasons.append(f"silent {kind} of {source.instrument}")
    return "; ".join(reasons)


def summarize(table: pd.DataFrame) -> dict:
    """Mean and population std of each metric over all scored sources, rounded to 4 decimals.

    Of finite scores only: an estimate orthogonal to its reference has an SI-SDR of -inf.

    Returns:
        ``{"SDR": {"mean", "std"}, ..., "segments", "skipped"}``; the counts are of segments. If
        there are scores that are not finite, also how many of which metric (``not_finite``).

    Raises:
        UserError: nothing was scored; the message lists the reasons.
    """
    scored = table[table["skipped"] == ""]
    if scored.empty:
        reasons = "; ".join(sorted(set(table["skipped"]))) or "no segments"
        raise UserError(f"all {_count_segments(table)} segment(s) were skipped: {reasons}")
    finite = scored[list(METRICS)].where(np.isfinite(scored[list(METRICS)]))
    mean, std, missing = finite.mean(), finite.std(ddof=0), finite.isna().sum()
    summary: dict = {
        metric: {"mean": _rounded(mean[metric]), "std": _rounded(std[metric])} for metric in METRICS
    }
    left_out = {metric: int(count) for metric, count in missing.items() if count}
    return summary | _counts(table) | ({"not_finite": left_out} if left_out else {})


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _counts(table: pd.DataFrame) -> dict[str, int]:
    skipped = _count_segments(table[table["skipped"] != ""])
    return {"segments": _count_segments(table) - skipped, "skipped": skipped}


def _count_segments(table: pd.DataFrame) -> int:
    return len(table[["piece", "segment"]].drop_duplicates())


def write_row(row: str, lines: Iterable[dict], evaluation_dir: Path, metrics_dir: Path) -> dict:
    """Write ``<evaluation_dir>/<row>.csv`` and ``<metrics_dir>/<row>.json``; return the latter.

    Raises:
        UserError: nothing was scored (the CSV, which says why, is written first).
    """
    table = _write_table(row, lines, evaluation_dir)
    try:
        summary = summarize(table)
    except UserError as error:
        raise UserError(f"{row}: {error}; see {evaluation_dir / row}.csv") from None
    _write_summary(summary, metrics_dir / f"{row}.json")
    return summary


EACH = "repeats: each"
"""Name, among a row's variants, of its figures on the pieces that repeat an instrument, each part a
source: no other choice of the table's sources, but another table."""


def write_variants(lines: Mapping[str, Iterable[dict]], folder: Path, row: str) -> None:
    """Write what a row's figures are by other choices: their names -> as :func:`summarize`."""
    found = {}
    for name, some in lines.items():
        try:
            table = to_table(some)
            if table.empty and name == EACH:
                raise UserError("no piece repeats an instrument")
            found[name] = summarize(table)
        except UserError as error:
            found[name] = {"reason": str(error)}
    _write_summary(found, folder / f"{row}.json")


def write_absent_row(
    row: str, segments: Iterable[Segment], reason: str, evaluation_dir: Path, metrics_dir: Path
) -> dict:
    """The files of a row that this test set can't have: the reason in place of figures."""
    lines = [line for segment in segments for line in skip_segment(segment, reason)]
    table = _write_table(row, lines, evaluation_dir)
    summary: dict = {metric: {"mean": None, "std": None} for metric in METRICS}
    summary |= _counts(table) | {"reason": reason}
    _write_summary(summary, metrics_dir / f"{row}.json")
    return summary


def to_table(lines: Iterable[dict]) -> pd.DataFrame:
    """Lines of a row as a table of :data:`COLUMNS`."""
    return pd.DataFrame(list(lines), columns=list(COLUMNS))


def _write_table(row: str, lines: Iterable[dict], folder: Path) -> pd.DataFrame:
    table = to_table(lines)
    with atomic(folder / f"{row}.csv") as temporary:
        form = {"float_format": "%.6f", "lineterminator": "\n", "errors": "backslashreplace"}
        table.to_csv(temporary, index=False, **form)
    return table


def _write_summary(summary: dict, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")

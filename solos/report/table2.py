"""Table II, measured and published figures side by side, and what it rests on."""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from solos.evaluation.rows import NOTES, ROWS, name_of
from solos.evaluation.scores import EACH, METRICS
from solos.report.data import COVERAGE, PIECES, coverage, pieces
from solos.storage.files import intact
from solos.storage.frames import read_frame

_FIGURES = Path(__file__).parents[2] / "docs" / "published.csv"


def read_published(path: Path) -> dict[str, dict[str, tuple[float, float]]]:
    """The figures of each row of Table II that others published: mean and standard deviation, dB.

    Args:
        path: a table of systems with a column ``row``; those that are no row here have none.
    """
    if not path.exists():  # installed without its repository
        return {}
    lines = read_frame(path, "that it came with").dropna(subset=["row"])
    names = ("SDR", "SIR", "SAR")
    return {
        line["row"]: {name: (float(line[name]), float(line[f"{name}_std"])) for name in names}
        for _, line in lines.iterrows()
    }


PUBLISHED = read_published(_FIGURES)
"""Mean and standard deviation, dB: Table II of Montesinos et al. (arXiv 2006.07931), on URMP."""


_NOTE = """\
Mean ± standard deviation in dB over all sources of all scored segments (5.944 s each). SDR, SIR and
SAR are BSS Eval v3's. "Paper": Table II of Montesinos, Slizovskaia and Haro, *Solos: A Dataset for
Audio-Visual Music Analysis* (IEEE MMSP 2020, arXiv 2006.07931), measured on the 44 pieces of URMP
with networks trained on the real recordings: only a run of the profile `solos` measures the same
thing. Skipped segments have a silent reference or estimate, or a single instrument; the reason is
in each line of `data/evaluation/<row>.csv`.
"""


VARIANTS_NOTE = """\
Means, dB, of the same networks if `evaluate` said otherwise, beside those of the table. `masks` are
Sound of Pixels': decided at 0.5 (binary) or probabilities (soft). `instruments: untold`: a network
that is told which instruments play is told that all may. With `drift: 1` the estimates of
segment i begin i samples early beside their references, as in the authors' script: part of the
published SAR.
"""


def read_metrics(folder: Path, rows: Iterable[str]) -> dict[str, dict]:
    """``<folder>/<row>.json`` of those ``rows`` that have one (files of other runs are ignored)."""
    paths = {row: folder / f"{row}.json" for row in rows}
    return {row: _read(path) for row, path in paths.items() if path.exists()}


def _read(path: Path) -> dict:
    with intact(path, "evaluate"):
        return json.loads(path.read_text(encoding="utf-8"))


def table2(metrics: Mapping[str, dict]) -> str:
    """The table in Markdown; rows without ``metrics`` are named below it with the reason."""
    measured = [metric for metric in METRICS if metric != "SI-SDR"]
    header = ["row", "", *(f"{name}{of}" for name in measured for of in ("", ", paper")), "SI-SDR"]
    rows = list(dict.fromkeys([*ROWS, *metrics]))
    lines = [
        [name_of(row), f"`{row}`", *_cells(row, metrics.get(row, {}), measured)] for row in rows
    ]
    absent = {row: absence(metrics.get(row)) for row in rows}
    notes = [f"- `{row}`: {reason}" for row, reason in absent.items() if reason]
    missing = "\n".join(["", "Rows without figures:", "", *notes, ""]) if notes else ""
    said = "".join(f"\n`{row}`: {NOTES[row]}.\n" for row in rows if row in NOTES)
    return _markdown([*header, "segments", "skipped"], lines) + missing + said


def scores_table(metrics: Mapping[str, dict]) -> str:
    """Measured scores alone, in Markdown: a line for each of the rows that ``metrics`` has."""
    counts = ("segments", "skipped")
    lines = [
        [row, *(_figure(m.get(name)) for name in METRICS), *(str(m[count]) for count in counts)]
        for row, m in metrics.items()
    ]
    return _markdown(["row", *METRICS, *counts], lines)


def _cells(row: str, metrics: Mapping[str, dict], measured: Sequence[str]) -> list[str]:
    published = PUBLISHED.get(row, {})
    pairs = [
        cell
        for name in measured
        for cell in (_figure(metrics.get(name)), mean_std(published.get(name)))
    ]
    counts = [str(metrics.get(count, "")) for count in ("segments", "skipped")]
    return [*pairs, _figure(metrics.get("SI-SDR")), *counts]


def _figure(summary: Mapping[str, float | None] | None) -> str:
    if summary is None or summary["mean"] is None:
        return ""
    return mean_std((summary["mean"], summary["std"]))


def mean_std(figure: tuple[float, float] | None) -> str:
    """A mean and a standard deviation as text; empty for None."""
    return "" if figure is None else f"{figure[0]:.2f} ± {figure[1]:.2f}".replace("-", "−")


def absence(metrics: Mapping | None) -> str:
    """Why a row has no figures; empty if it has."""
    if metrics is None:
        return (
            "not part of this run (`model` in `params.yaml`; networks that look at players need "
            "training recordings with pictures)"
        )
    return metrics.get("reason", "")


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table, its columns padded so that it also reads in a terminal."""
    table = [header, *lines]
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    rows = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in table
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([rows[0], rule, *rows[1:], ""])


VARIANTS = ("row", "with", "SDR", "SIR", "SAR", "segments")


def variants(metrics: Mapping[str, dict], others: Mapping[str, dict]) -> list[list[str]]:
    """What other choices would give, beside the table's ("0.12, not 0.34"): :data:`VARIANTS`.

    Args:
        others: of each row, as :func:`solos.evaluation.scores.write_variants` wrote them.
    """
    lines = []
    for row, found in others.items():
        for choice, summary in found.items():
            if choice == EACH:
                continue
            if "reason" in summary:
                lines.append([row, choice, summary["reason"], "", "", ""])
                continue
            own = metrics[row]
            cells = [f"{_mean(summary[name])}, not {_mean(own[name])}" for name in VARIANTS[2:-1]]
            lines.append([row, choice, *cells, str(summary["segments"])])
    return lines


PLAYERS = ("row", "SDR", "SIR", "SAR", "segments", "players of one instrument")
PLAYERS_NOTE = """\
Of the pieces that repeat an instrument, with each player a source (in Table II, an instrument's
players are one). Mean ± standard deviation, dB. Sound of Pixels tells players apart by sight; a
network that goes by sound alone has one estimate for all players of an instrument, which is scored
beside each of them.
"""


def same_instrument(others: Mapping[str, dict], by_sight: Container[str]) -> list[list[str]]:
    """What rows make of several players of one instrument: :data:`PLAYERS`.

    Args:
        others: as for :func:`variants`.
        by_sight: rows that tell players apart by their pictures.
    """
    lines = []
    for row, found in others.items():
        summary = found.get(EACH, {"reason": "no video of the players"})
        if "reason" in summary:
            lines.append([row, summary["reason"], "", "", "", ""])
            continue
        how = "told apart by sight" if row in by_sight else "one estimate for all"
        how = {"mixture": "", "oracle_binary": "ideal", "oracle_ratio": "ideal"}.get(row, how)
        cells = [_figure(summary[name]) for name in PLAYERS[1:4]]
        lines.append([row, *cells, str(summary["segments"]), how])
    return lines


def _mean(summary: Mapping[str, float | None]) -> str:
    mean = summary["mean"]
    return "none" if mean is None else f"{mean:.2f}".replace("-", "−")


def render(
    metrics: Mapping[str, dict],
    tables: Mapping[str, Path],
    test_set: Path,
    others: Mapping[str, dict],
    by_sight: Container[str],
    provenance: Mapping[str, object],
) -> str:
    """The whole report in Markdown.

    Args:
        metrics: of each row of the run, as :func:`solos.evaluation.scores.write_row` wrote them.
        tables: as for :func:`coverage`.
        test_set: as for :func:`pieces`.
        others: as for :func:`variants`.
        by_sight: as for :func:`same_instrument`.
        provenance: what the run was: name -> value.
    """
    run = _markdown(["run", ""], [[name, str(value)] for name, value in provenance.items()])
    parts = ["# Table II", table2(metrics), _NOTE]
    parts += ["## Other choices", VARIANTS_NOTE, _markdown(VARIANTS, variants(metrics, others))]
    parts += ["## Several players of one instrument", PLAYERS_NOTE]
    parts += [_markdown(PLAYERS, same_instrument(others, by_sight))]
    parts += ["## Training data", _markdown(COVERAGE, coverage(tables))]
    parts += ["## Test set", _markdown(PIECES, pieces(test_set)), "## Run", run]
    return "\n".join(f"{part.rstrip()}\n" for part in parts)

"""Write the report: ``report/table2.md``, and the page ``report/index.html``, with sounds."""

import logging
from pathlib import Path

from pipeline.common import run_stage
from pipeline.provenance import provenance, sizes
from solos.config.params import Params
from solos.evaluation.oracles import BASELINES
from solos.evaluation.segments import prepared_pieces, read_segments
from solos.report.choice import Choice
from solos.report.examples import Example
from solos.report.gather import Run, choose_segments, find_eyes, gather, make_examples, read_lines
from solos.report.render import render as render_page
from solos.report.table2 import read_metrics, render, table2
from solos.separation.separator import load_separator
from solos.storage.files import atomic

DATA = Path("data")
METRICS = Path("metrics")
REPORT = Path("report")
log = logging.getLogger(__name__)


def main(params: Params) -> None:
    """Write the report and print its table."""
    run = describe(params)
    tables = {name: DATA / "coverage" / f"{name}.csv" for name in run.sets}
    with atomic(REPORT / "table2.md") as temporary:
        pieces = DATA / "urmp" / "pieces.csv"
        text = render(run.metrics, tables, pieces, run.others, run.by_sight, run.provenance)
        temporary.write_text(text, encoding="utf-8")
    lines = read_lines(run)
    examples = separate(choose_segments(lines, run), run)
    page = render_page(gather(run, lines, examples))
    with atomic(REPORT / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    log.info("%s: %.1f MB", REPORT / "index.html", len(page.encode()) / 1e6)
    print(table2(run.metrics))


def describe(params: Params) -> Run:
    """What is known of the run beside its files."""
    networks = {row: settings.network for row, settings in params.model.items()}
    return Run(
        data=DATA,
        metrics=read_metrics(METRICS, [*BASELINES, *params.model]),
        others=read_metrics(DATA / "variants", [*BASELINES, *params.model]),
        networks=networks,
        recipes={row: getattr(params.train, network).recipe for row, network in networks.items()},
        sets=list(params.dataset),
        protocol=params.evaluate,
        profile=params.profile,
        seed=params.seed,
        confidence=params.statistics.confidence,
        provenance={
            "profile": params.profile,
            "seed": params.seed,
            **sizes(params, DATA / "models"),
            **provenance(),
        },
    )


def separate(choices: list[Choice], run: Run) -> list[Example]:
    """The chosen segments with each row's estimates."""
    if not choices:
        return []
    protocol = run.protocol
    names = {choice.piece for choice in choices}
    pieces = prepared_pieces(DATA / "urmp", protocol.repeats)
    segments = read_segments([piece for piece in pieces if piece.name in names], protocol)
    folders = {row: DATA / "models" / row for row in run.networks}
    separators = {row: load_separator(path, protocol.masks) for row, path in folders.items()}
    return make_examples(choices, segments, separators, find_eyes(run))


if __name__ == "__main__":
    run_stage(main)

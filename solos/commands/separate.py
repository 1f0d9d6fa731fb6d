"""Separate the instruments of recordings of any length with a trained network."""

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from solos.commands.common import UsageError, Workspace, explain, of_the_output, one_line, to_json
from solos.commands.sources import box, instrument_names
from solos.config.exported import DESCRIPTION
from solos.errors import UserError

BITS = (16, 32)
MOST = 9999
"""Players, or segments at a time: more can't be meant, and would be listed before that is seen."""
log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``solos separate``."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="FILE", help="video or audio, as ffmpeg reads"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    network = parser.add_argument_group("network")
    network.add_argument(
        "--model",
        metavar="ROW",
        help="a row trained in the workspace: mhunet, … (default: this project's own network)",
    )
    network.add_argument("--weights", type=Path, metavar="PATH", help="an exported network instead")
    network.add_argument("--masks", choices=("soft", "binary"), help="Sound of Pixels' masks")
    network.add_argument("--overlap", type=_overlap, default=0.0, help="0 (default) to 0.5 segment")
    network.add_argument(
        "--batch-size",
        type=_count,
        default=1,
        metavar="N",
        help="segments at a time, which bounds memory (default: 1)",
    )
    network.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    sources = parser.add_argument_group("sources")
    sources.add_argument(
        "--instruments",
        type=instrument_names,
        metavar="A,B",
        help="all that play; players' from left to right",
    )
    sources.add_argument("--players", type=_count, metavar="N", help="side by side, equally wide")
    sources.add_argument("--boxes", nargs="+", type=box, metavar="X,Y,W,H", help="each player's")
    sources.add_argument("--audio", type=Path, metavar="FILE", help="the sound, if not the input's")
    results = parser.add_argument_group("results")
    results.add_argument(
        "--rate",
        choices=("model", "original"),
        default="model",
        help="11025 Hz, or the recording's (48000 Hz for an odd one such as 44056 Hz)",
    )
    results.add_argument("--bits", type=int, choices=BITS, default=32)
    results.add_argument("--video", action="store_true", help="a film a source")
    results.add_argument("--map", action="store_true", help="Sound of Pixels' map of the sound")
    results.add_argument("--overwrite", action="store_true", help="replace files that are there")


OWN = Path(__file__).parents[1] / "weights" / "informed"
"""The network that comes with the project; ``CARD.md`` there says what it can do."""


def _count(text: str) -> int:
    if not (text.isdecimal() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is no number from 1 to {MOST}")
    return int(text)


def _overlap(text: str) -> float:
    try:
        overlap = float(text)
    except ValueError:
        overlap = math.nan
    if not 0 <= overlap <= 0.5:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 0.5")
    return overlap


def run(options: argparse.Namespace) -> int:
    """Separate each input; what fails is said, and the others go on."""
    folders = output_folders(options.inputs, options.out)
    if options.audio and len(folders) > 1:
        raise UsageError("--audio is the sound of one input")
    if options.model and options.weights:
        raise UsageError("--model and --weights both name a network: give one")
    workspace = Workspace(options.workspace)
    network = find_network(options.model, options.weights, workspace)

    from solos.commands.network import prepare  # noqa: PLC0415 (torch, which takes seconds)
    from solos.commands.recording import separate_file  # noqa: PLC0415

    job = prepare(options, network, workspace.params if options.model else None)
    reports, failed = [], 0
    for path, folder in zip(options.inputs, folders, strict=True):
        try:
            reports.append(separate_file(path, folder, job))
        except Exception as error:  # whatever it is, it must not cost the other inputs
            if of_the_output(error):
                raise
            failed += 1
            reports.append({"input": {"file": str(path)}, "error": _said(path, folder, error)})
            print(f"{options.prog}: {_said(path, folder, error)}", file=sys.stderr)
            log.debug("%s", path, exc_info=error)
    if options.json:
        print(to_json(reports))
    return 1 if failed else 0


def _said(path: Path, folder: Path, error: Exception) -> str:
    fault = f"{path}: {type(error).__name__}: {error} (a fault of this program: please report it)"
    said = explain(error) or one_line(fault)
    named = any(one_line(str(place)) in said for place in (path, folder))
    return said if named else one_line(f"{path}: {said}")


def output_folders(inputs: Sequence[Path], out: Path) -> list[Path]:
    """``out`` for a single input; a folder in it, named after the file, for each of several.

    Raises:
        UsageError: two inputs would share one.
    """
    if len(inputs) == 1:
        return [out]
    names = [path.stem.strip(".") or "input" for path in inputs]  # "...mp4" must not lead upwards
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"several inputs are named {twice[0]}: separate them one by one")
    return [out / name for name in names]


def find_network(row: str | None, weights: Path | None, workspace: Workspace) -> Path:
    """The folder of the network that the options name; of the project's own if they name none.

    Raises:
        UsageError: no such row.
        UserError: it is not there; the message says what to run.
    """
    if weights:
        folder = weights.parent if weights.is_file() else weights
        if not (folder / DESCRIPTION).is_file():
            raise UserError(
                f"--weights: {folder / DESCRIPTION} is missing: name a folder like data/models/sop "
                "(for Sound of Pixels' released files: dvc exp run -S pretrained=files)"
            )
        return folder
    if not row:
        return OWN
    if not workspace.rows:
        raise UserError(
            f"--model: {workspace.folder.absolute()} has neither params.yaml nor data/models: name "
            "the pipeline's folder with --workspace, or an exported network with --weights"
        )
    if row not in workspace.rows:
        raise UsageError(f"--model: no row {row!r} but {', '.join(workspace.rows)}")
    folder = workspace.model(row)
    if not (folder / DESCRIPTION).is_file():
        raise UserError(
            f"{row} is not trained here ({folder / DESCRIPTION} is missing): run `dvc repro "
            f"train@{row}`, or name an exported network with --weights"
        )
    return folder

"""Score folders of separated WAVs in URMP's layout by the protocol of Table II."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from solos.commands.common import UsageError, one_line, to_json
from solos.config.rows import Protocol
from solos.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes; the protocol's choices are those of ``evaluate`` in params."""
    parser.add_argument("--references", type=Path, required=True, metavar="DIR")
    parser.add_argument("--estimates", type=Path, required=True, nargs="+", metavar="DIR")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write <system>.csv and .json")
    for name, field in Protocol.model_fields.items():
        choices = get_args(field.annotation) or None
        parser.add_argument(
            f"--{name}",
            type=str if choices else field.annotation,
            choices=choices,
            default=field.default,
            help=f"default: {field.default}, as the authors'",
        )


def run(arguments: argparse.Namespace) -> int:
    """Print the table (JSON where asked for), and why what was skipped was.

    Raises:
        UserError: no references, no estimates, or nothing that can be scored.
        UsageError: a choice that the protocol does not have.
    """
    protocol = _protocol(arguments)
    systems = _systems(arguments.estimates)

    from solos.commands.scoring import score_folders  # noqa: PLC0415 (torch, which takes seconds)
    from solos.evaluation.scores import summarize, to_table, write_row  # noqa: PLC0415
    from solos.report.table2 import scores_table  # noqa: PLC0415

    lines = score_folders(arguments.references, systems, protocol, arguments.quiet)
    tables = {row: to_table(lines[row]) for row in systems}
    summaries, failed = {}, {}
    for row, table in tables.items():  # what can't be scored of one system costs no other's figures
        try:
            if arguments.out:
                write_row(row, lines[row], arguments.out, arguments.out)
            summaries[row] = summarize(table)
        except UserError as error:
            failed[row] = one_line(error)
    for row, why in failed.items():
        print(f"{arguments.prog}: {why if row in why else f'{row}: {why}'}", file=sys.stderr)
    if arguments.json:
        print(to_json(summaries | {row: {"error": why} for row, why in failed.items()}))
        return 1 if failed else 0
    if summaries:
        print(scores_table(summaries), end="")
    for row, table in tables.items():
        skipped = table[table["skipped"] != ""].drop_duplicates(["piece", "segment"])
        for reason, count in sorted(Counter(skipped["skipped"]).items()):
            print(f"{row}: {count} segment(s) skipped: {reason}")
    return 1 if failed else 0


def _protocol(arguments: argparse.Namespace) -> Protocol:
    try:
        return Protocol(**{name: getattr(arguments, name) for name in Protocol.model_fields})
    except ValidationError as errors:
        problems = [f"--{error['loc'][0]}: {error['msg']}" for error in errors.errors()]
        raise UsageError("; ".join(problems)) from None


def _systems(folders: Sequence[Path]) -> dict[str, Path]:
    """Names of the folders of estimates: their own, or with as many parents' as tell them apart.

    Raises:
        UserError: one is not there, or named twice.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--estimates: {folder} is no folder")
    paths = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths)):
        names = ["-".join(path.parts[1:][-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return dict(zip(names, folders, strict=True))
    raise UsageError("--estimates: the same folder is named twice")

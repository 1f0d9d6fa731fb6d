"""The command ``solos``: see ``solos --help``."""

import argparse
import errno
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from solos.commands import info, score, separate
from solos.commands.common import UsageError, one_line
from solos.errors import REFUSED, UserError
from solos.media.errors import MediaError

COMMANDS = {"separate": separate, "score": score, "info": info}
"""Modules with ``add_arguments(parser)`` and ``run(arguments) -> exit code``."""
_USERS = (
    *REFUSED,
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
)
"""What the system refuses that its user can put right: a full disk, permissions, a wrong path."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 1 for a failure, 2 for a command line that can't be."""
    arguments = _parser().parse_args(argv)
    level = logging.ERROR if arguments.quiet else logging.INFO
    logging.basicConfig(level=level, format="%(message)s")
    try:
        return arguments.run(arguments)
    except UsageError as error:
        return _fail(arguments, error, 2)
    except (UserError, MediaError) as error:
        return _fail(arguments, error, 1)
    except OSError as error:
        if error.errno not in _USERS:
            raise
        return _fail(arguments, f"{error.filename}: {error.strerror}", 1)
    except KeyboardInterrupt:
        return _fail(arguments, "interrupted", 1)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="solos", description="Audio-visual music separation, after Solos (2020).")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        about = module.__doc__.splitlines()[0]
        command = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        module.add_arguments(command)
        command.add_argument(
            "--workspace",
            type=Path,
            default=Path(),
            metavar="DIR",
            help="folder in which the pipeline runs (default: this one)",
        )
        command.add_argument("--json", action="store_true", help="print JSON on standard output")
        command.add_argument("--quiet", action="store_true", help="print errors only")
        command.set_defaults(run=module.run, prog=command.prog)
    return parser


def _fail(arguments: argparse.Namespace, error: Exception | str, code: int) -> int:
    print(f"{arguments.prog}: {one_line(error)}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"error": one_line(error)}))
    return code

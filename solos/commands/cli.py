"""The command ``solos``: see ``solos --help``."""

import argparse
import codecs
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import NoReturn

from solos.commands import info, score, separate
from solos.commands.common import UsageError, explain, of_the_output, one_line, to_json

COMMANDS = {"separate": separate, "score": score, "info": info}
"""Modules with ``add_arguments(parser)`` and ``run(arguments) -> exit code``.

They import what takes seconds (torch) when they run, so that help and mistakes come at once.
"""
_STOPS = ("SIGTERM", "SIGHUP", "SIGINT")
_AGAIN = 0.05
"""Seconds after which a stop is repeated that was dropped."""


class _CommandLineError(UsageError):
    def __init__(self, message: str, prog: str):
        super().__init__(f"{message} (see {prog} --help)")
        self.prog = prog


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise _CommandLineError(message, self.prog)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 1 for a failure, 2 for a command line that can't be."""
    words = sys.argv[1:] if argv is None else list(argv)
    _have_streams()
    try:
        with _any_file_name_can_be_printed():
            try:
                return _run(words)
            finally:
                sys.stdout.flush()
    except OSError as error:  # of standard output: nobody reads on (| head), or the disk is full
        _forget_output()
        silent = isinstance(error, BrokenPipeError)
        return 1 if silent else _fail("solos", f"standard output: {error.strerror}", 1, False)


def _have_streams() -> None:
    """Those that were closed lead nowhere: the next file opened would get what libraries print."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _run(words: Sequence[str]) -> int:
    try:
        arguments = _parser().parse_args(words)
    except _CommandLineError as error:
        return _fail(error.prog, error, 2, "--json" in words)
    level = logging.ERROR if arguments.quiet else logging.INFO
    logging.basicConfig(level=level, format="%(message)s")
    try:
        with _ending_tidily():
            return arguments.run(arguments)
    except KeyboardInterrupt:
        return _fail(arguments.prog, "interrupted", 1, arguments.json)
    except Exception as error:
        line = None if of_the_output(error) else explain(error)
        if line is None:
            raise
        code = 2 if isinstance(error, UsageError) else 1
        return _fail(arguments.prog, line, code, arguments.json)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="solos", description="Audio-visual music separation, after Solos (2020).")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        about = module.__doc__.splitlines()[0]
        command = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        module.add_arguments(command)
        if name != "score":  # which has to do with no run
            command.add_argument(
                "--workspace",
                type=Path,
                default=Path(),
                metavar="DIR",
                help="folder in which the pipeline runs (default: this one)",
            )
        command.add_argument("--json", action="store_true", help="print JSON on standard output")
        command.add_argument(
            "--quiet", action="store_true", help="no progress and no remarks: results and errors"
        )
        command.set_defaults(run=module.run, prog=command.prog)
    return parser


def _fail(prog: str, error: Exception | str, code: int, as_json: bool) -> int:
    print(f"{prog}: {one_line(error)}", file=sys.stderr)
    if as_json:
        print(to_json({"error": one_line(error)}))
    return code


@contextmanager
def _any_file_name_can_be_printed() -> Iterator[None]:
    """Names that are no UTF-8 go out as the bytes that they are, in messages escaped."""
    codecs.register_error("solos", _as_it_is)
    streams = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="solos" if stream is sys.__stdout__ else "backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            with suppress(OSError):  # it can't be flushed: that has been said
                stream.reconfigure(errors=errors)


def _as_it_is(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler; what a terminal's encoding lacks is escaped."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


@contextmanager
def _ending_tidily() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: what is half made is removed.

    A library may drop an exception that a signal brings: PyAV does, wherever it raises one itself.
    So it is raised again until it is dealt with, which is when some ``except`` or ``finally`` runs.
    """
    numbers = [getattr(signal, name) for name in _STOPS if hasattr(signal, name)]
    unhandled = (signal.SIG_DFL, signal.default_int_handler)
    ours = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) in unhandled}
    if current_thread() is not main_thread():
        ours = {}

    def stop(number: int, _: FrameType | None) -> NoReturn:
        for other in ours:  # once is enough: the removing is not to be stopped
            signal.signal(other, signal.SIG_IGN)
            ours[other] = signal.SIG_DFL  # then the process ends, and no traceback if it is hurried
        error = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        if hasattr(signal, "setitimer"):
            ours[signal.SIGALRM] = signal.signal(signal.SIGALRM, partial(_again, error))
            signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        raise error

    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in ours.items():
            signal.signal(number, handler)


def _again(error: BaseException, _: int, __: FrameType | None) -> None:
    """Raise what was dropped; not where it, or what came of it, is dealt with."""
    known = sys.exception()
    while known not in (None, error):
        known = known.__context__
    if known is None:
        raise error


def _forget_output() -> None:
    """Let nothing more be written there: Python would try to at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):  # a stream that is none of the system's
        os.dup2(nowhere, sys.stdout.fileno())

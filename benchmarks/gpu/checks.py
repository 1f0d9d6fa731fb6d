"""The checks, and one of them run in a process of its own.

``python -m benchmarks.gpu.checks NAME SETTING OUTPUT`` is that process.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.gpu.rows import ROOT, Row, Setting, append, read, reason


@dataclass(frozen=True)
class Check:
    """Where a check is, and how long it may take.

    Args:
        function: in ``benchmarks.gpu``: ``<module>.<function>``, from a setting to lines.
        seconds: at most.
        timed: whether it measures time, so that nothing may run beside it.
    """

    function: str
    seconds: float
    timed: bool = True

    def find(self) -> Callable[[Setting], Iterator[Row]]:
        module, _, name = self.function.partition(".")
        return getattr(import_module(f"benchmarks.gpu.{module}"), name)


CHECKS = {
    "golden": Check("golden.golden", 90, timed=False),
    "nccl": Check("nccl.nccl", 90, timed=False),
    "repeat": Check("repeat.repeat", 170, timed=False),
    "steps-sop": Check("steps.sound_of_pixels", 115),
    "steps-mhunet": Check("steps.multi_head_unet", 115),
    "data": Check("data.data", 110),
    "bss": Check("bss.bss", 60),
}


RUNNING: set[subprocess.Popen] = set()
"""Processes of checks, ended or not."""


def run(name: str, setting: Setting, left: float = 1e6) -> list[Row]:
    """The lines of a check; one says so if its process failed, or was stopped after its time.

    Args:
        left: seconds there are for it, if fewer than its own.
    """
    output = setting.folder / f"{name}.lines"
    seconds = min(CHECKS[name].seconds if not setting.quick else 1e6, left)
    if seconds < 5:
        return [Row(name, "all", {}, "no time left")]
    command = [sys.executable, "-m", "benchmarks.gpu.checks", name, setting.dump(), str(output)]
    said = output.with_suffix(".err")
    with said.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(setting.folder / "compiled")},
            stderr=errors,
            start_new_session=True,
        )
        RUNNING.add(process)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            kill(process)
            process.wait()
            return [*read(output), Row(name, "the rest", {}, f"stopped after {seconds:.0f} s")]
    rows = read(output)
    if process.returncode or not rows:
        text = " ".join(said.read_text(errors="replace").split())[-300:]
        rows.append(Row(name, "the rest", {}, f"exit code {process.returncode}: {text}"))
    return rows


def kill(process: subprocess.Popen) -> None:
    """With the processes that it started; the terminal's interruption does not reach them."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def main(name: str, setting: Setting, output: Path) -> None:
    start = time.perf_counter()
    try:
        for row in CHECKS[name].find()(setting):
            append(output, row)
            print(f"{time.perf_counter() - start:6.1f} s  {' | '.join(row.cells())}", flush=True)
    except Exception as error:  # as in `attempt`: what comes before the first case
        append(output, Row(name, "the rest", {}, reason(error)))
        raise


if __name__ == "__main__":
    main(sys.argv[1], Setting.load(sys.argv[2]), Path(sys.argv[3]))

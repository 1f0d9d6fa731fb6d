"""``python -m benchmarks.gpu``: every check, one table, and ``gpu.json``."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.gpu import recordings
from benchmarks.gpu.checks import CHECKS, RUNNING, kill, run
from benchmarks.gpu.rows import Row, Setting

LIMIT = 460.0
"""Seconds of the whole run: a check that has none left is a failed line."""
HEADER = ["check", "case", "result", "figures"]


def main() -> int:
    """Exit code: 0 if all is well or there is no GPU, 1 if a check failed."""
    arguments = parse()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing was checked")
        return 0
    began = time.perf_counter()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        setting = Setting(arguments.device, arguments.quick, Path(folder))
        recordings.make(setting.folder)
        about = machine(arguments.device)
        print(", ".join(f"{name}: {value}" for name, value in about.items()), flush=True)
        rows = run_all(arguments.only or list(CHECKS), setting, began + LIMIT)
    about["seconds"] = round(time.perf_counter() - began)
    found = {**about, "rows": [asdict(row) for row in rows]}
    Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    failed = sum(bool(row.failure) for row in rows)
    print("\n".join(["", *table(rows), ""]))
    print(f"{len(rows) - failed} ok, {failed} failed, {about['seconds']} s; {arguments.json}")
    return int(failed > 0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    only = {"nargs": "+", "choices": list(CHECKS), "metavar": "NAME"}
    parser.add_argument("--only", **only, help=f"of: {', '.join(CHECKS)}")
    parser.add_argument("--quick", action="store_true", help="small networks: tries the checks")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--json", default="gpu.json", metavar="FILE", help="default: gpu.json")
    given = parser.parse_args()
    if not Path(given.json).absolute().parent.is_dir():  # now, not after eight minutes
        parser.error(f"--json: there is no folder for {given.json}")
    return given


def run_all(names: Iterable[str], setting: Setting, deadline: float) -> list[Row]:
    """Those that measure no time together, then the others one after another."""

    def one(name: str) -> list[Row]:
        start = time.perf_counter()
        rows = run(name, setting, deadline - start)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        return rows

    together = [name for name in names if not CHECKS[name].timed]
    workers = 1 if setting.device == "cpu" else len(together) or 1
    with ThreadPoolExecutor(workers) as pool:
        try:
            found = list(pool.map(one, together))
            found += [one(name) for name in names if CHECKS[name].timed]
        except BaseException:
            for process in RUNNING:
                kill(process)
            raise
    return [row for rows in found for row in rows]


def machine(device: str) -> dict:
    """What the figures are of."""
    about = {"device": "cpu", "torch": torch.__version__, "python": platform.python_version()}
    about |= {"cores": os.cpu_count()}
    if device == "cuda":
        found = torch.cuda.get_device_properties(0)
        memory = {"memory GB": round(found.total_memory / 1e9, 1)}
        about |= {"device": found.name} | memory | {"cuDNN": torch.backends.cudnn.version()}
    return about


def table(rows: Iterable[Row]) -> list[str]:
    """A Markdown table."""
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in rows)]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


if __name__ == "__main__":
    sys.exit(main())

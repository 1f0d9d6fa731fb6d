"""Write ``report/table2.md``: the table, the data it rests on, and what the run was."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from pipeline.common import run_stage
from solos.config import Params
from solos.files import atomic
from solos.oracles import BASELINES
from solos.report import read_metrics, render, table2

DATA = Path("data")
METRICS = Path("metrics")
REPORT = Path("report/table2.md")
SOURCES = ("solos", "pipeline", "params.yaml", "dvc.yaml", "requirements.lock")
"""What decides the figures: the run is of a commit if these are as committed."""
PACKAGES = ("torch", "torchaudio", "torchvision", "numpy", "scipy", "dvc")


def git(*arguments: str) -> str | None:
    """Output of a git command; None without git or outside a repository."""
    try:
        run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def commit() -> str:
    """The commit checked out, and whether anything that decides the figures differs from it."""
    head = git("rev-parse", "HEAD")
    if head is None:
        return "unknown (no git repository, or no commit)"
    present = [path for path in SOURCES if Path(path).exists()]
    return head + (", modified" if git("status", "--porcelain", "--", *present) else "")


def main(params: Params) -> None:
    """Write the report and print its table."""
    metrics = read_metrics(METRICS, [*BASELINES, *params.model])
    provenance = {
        "profile": params.profile,
        "seed": params.seed,
        "commit": commit(),
        "Python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
    tables = {name: DATA / "coverage" / f"{name}.csv" for name in params.dataset}
    with atomic(REPORT) as temporary:
        text = render(metrics, tables, DATA / "urmp" / "pieces.csv", provenance)
        temporary.write_text(text, encoding="utf-8")
    print(table2(metrics))


if __name__ == "__main__":
    run_stage(main)

"""What a run was made with: the commit, the packages that decide its figures, its networks."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from solos.config.params import Params
from solos.separation.separator import load_separator

SOURCES = ("solos", "pipeline", "params.yaml", "dvc.yaml", "requirements.lock")
"""What decides the figures: the run is of a commit if these are as committed."""
PACKAGES = ("torch", "torchaudio", "torchvision", "numpy", "scipy", "dvc")


def provenance() -> dict[str, str]:
    """Commit, version of Python and of each package."""
    return {
        "commit": commit(),
        "Python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


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


def sizes(params: Params, models: Path) -> dict[str, str]:
    """Of each trained row, how large its network is and how long it was trained."""
    found = {}
    for row, settings in params.model.items():
        network = load_separator(models / row).network
        count = sum(parameter.numel() for parameter in network.parameters())
        found[row] = f"{count:,} parameters, {settings.epochs} epoch(s) of this row's own training"
    return found

"""What is here: versions, devices, the profile, what is trained, the data, and what is stale."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from solos.commands.common import Workspace, one_line, to_json
from solos.commands.versions import versions
from solos.config.exported import DESCRIPTION, read_description
from solos.errors import UserError
from solos.media.process import ffmpeg_path
from solos.storage.files import intact
from solos.storage.tables import count_statuses, read_table

_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))  # NVIDIA's, AMD's, WSL's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``solos info`` has no arguments of its own."""


def run(options: argparse.Namespace) -> int:
    """Print what is found."""
    found = inspect(Workspace(options.workspace))
    print(to_json(found) if options.json else "\n".join(_lines(found)))
    return 0


def inspect(workspace: Workspace) -> dict:
    """What there is, as JSON; what can't be found out is a text that says why.

    (A row, or a coverage, of which that is so is ``{"error": text}``.)
    """
    folder = workspace.folder
    params = _or_why(lambda: workspace.params)
    problem = params["error"] if isinstance(params, dict) else None
    known = None if problem else params
    return {
        "workspace": str(folder.absolute()),
        "versions": versions(),
        "devices": _devices(),
        "ffmpeg": _ffmpeg(),
        "profile": problem or (known.profile if known else None),
        "seed": known.seed if known else None,
        "rows": {row: _or_why(_trained, workspace.model(row)) for row in _rows(workspace, problem)},
        "downloads": {
            path.parent.name: _download(path)
            for path in sorted(folder.glob("data/raw/*/status.csv"))
        },
        "coverage": {
            path.stem: _or_why(_coverage, path)
            for path in sorted(folder.glob("data/coverage/*.csv"))
        },
        "stale": _stale(folder),
    }


def _or_why(look: Callable, *arguments: object) -> object:
    """What ``look`` finds; of a damaged file ``{"error": why}``, so that it costs no other."""
    try:
        return look(*arguments)
    except UserError as error:
        return {"error": one_line(error)}
    except OSError as error:
        return {"error": one_line(f"{error.filename}: {error.strerror}")}
    except (ValueError, KeyError, TypeError) as error:
        named = " ".join(str(argument) for argument in arguments)
        return {"error": one_line(f"{named} is damaged: {type(error).__name__}: {error}")}


def _rows(workspace: Workspace, problem: str | None) -> list[str]:
    return workspace.exported if problem else workspace.rows


def _devices() -> list[str]:
    """The processor and the GPUs that torch can use; torch is asked only where there may be any."""
    here = [f"cpu ({os.cpu_count()} cores)"]
    if not (shutil.which("nvidia-smi") or any(path.exists() for path in _DRIVERS)):
        return here
    import torch  # noqa: PLC0415 (it takes seconds)

    cards = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return [*here, *(f"cuda:{k} ({card})" for k, card in enumerate(cards))]


def _ffmpeg() -> str | None:
    try:
        return ffmpeg_path()
    except UserError:
        return None


def _trained(folder: Path) -> dict | None:
    """Network, best epoch and its validation loss; None without an exported network."""
    if not (folder / DESCRIPTION).exists():
        return None
    description, _ = read_description(folder)
    return {key: description.get(key) for key in ("network", "epoch", "val_loss")}


def _download(path: Path) -> str:
    made_by = f"download@{path.parent.name}"
    found = _or_why(lambda table: count_statuses(_table(table, made_by, ("status",))), path)
    return found["error"] if isinstance(found, dict) else found


def _table(path: Path, made_by: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table that has some, with these columns.

    Raises:
        UserError: it has not, and so is damaged.
    """
    rows = read_table(path, made_by)
    with intact(path, made_by):
        if not rows:
            raise ValueError(f"{path.stat().st_size} bytes without a row")
        lacking = [column for column in columns if column not in rows[0]]
        if lacking:
            raise ValueError(f"its header is {','.join(rows[0])}, without {', '.join(lacking)}")
    return rows


def _coverage(path: Path) -> dict:
    """Sums over the instruments: recordings listed and usable, and minutes of the latter."""
    rows = _table(path, f"spectrograms@{path.stem}", ("listed", "usable", "minutes"))
    counts = {key: sum(int(row[key]) for row in rows) for key in ("listed", "usable")}
    return counts | {"minutes": round(sum(float(row["minutes"]) for row in rows), 1)}


def _stale(folder: Path) -> list[str] | str:
    """Stages that `dvc repro` would run; or why that can't be said."""
    if not any(
        (parent / ".dvc").is_dir() for parent in (folder.absolute(), *folder.resolve().parents)
    ):
        return "dvc status: you are not inside of a DVC repository"
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    quiet = os.environ | {"DVC_NO_ANALYTICS": "true"}
    done = subprocess.run(
        command, cwd=folder, env=quiet, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")]
        return f"dvc status: {(errors or said or ['failed'])[0].removeprefix('ERROR: ')}"
    return sorted(json.loads(done.stdout))


def _lines(found: dict) -> list[str]:
    packages = [f"{name} {version or '-'}" for name, version in found["versions"].items()]
    stale = found["stale"]
    said = stale if isinstance(stale, str) else ", ".join(stale) or "nothing"
    profile = found["profile"] or "no params.yaml here"
    profile += "" if found["seed"] is None else f" (seed {found['seed']})"
    lines = [
        f"workspace  {found['workspace']}",
        f"versions   {', '.join(packages)}",
        f"devices    {', '.join(found['devices'])}",
        f"ffmpeg     {found['ffmpeg'] or 'none'}",
        f"profile    {profile}",
    ]
    lines += [f"row        {row}: {_said(about)}" for row, about in found["rows"].items()]
    lines += [f"download   {name}: {counts}" for name, counts in found["downloads"].items()]
    lines += [f"coverage   {name}: {_covered(about)}" for name, about in found["coverage"].items()]
    return [*lines, f"stale      {said}"]


def _covered(about: dict) -> str:
    if "error" in about:
        return about["error"]
    recordings = f"{about['usable']} of {about['listed']} recordings"
    return f"{recordings}, {about['minutes']:.1f} minutes"


def _said(about: dict | None) -> str:
    if about is None:
        return "not trained"
    if "error" in about:
        return about["error"]
    loss = about["val_loss"]
    ending = f", validation loss {loss:.5f}" if isinstance(loss, float) else ""
    return f"{about['network']}, best epoch {about['epoch']}{ending}"

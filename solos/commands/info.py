"""What is here: versions, devices, the profile, what is trained, the data, and what is stale."""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from solos.commands.common import Workspace
from solos.commands.versions import versions
from solos.errors import UserError
from solos.media.process import ffmpeg_path
from solos.models.weights import DESCRIPTION, read_description
from solos.storage.tables import count_statuses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``solos info`` has no arguments of its own."""


def run(options: argparse.Namespace) -> int:
    """Print what is found."""
    found = inspect(Workspace(options.workspace))
    if options.json:
        print(json.dumps(found, indent=2))
    elif not options.quiet:
        print("\n".join(_lines(found)))
    return 0


def inspect(workspace: Workspace) -> dict:
    """What there is, as JSON; what can't be found out is a text that says why."""
    params, folder = workspace.params, workspace.folder
    return {
        "workspace": str(folder.absolute()),
        "versions": versions(),
        "devices": _devices(),
        "ffmpeg": _ffmpeg(),
        "profile": params.profile if params else None,
        "seed": params.seed if params else None,
        "rows": {row: _trained(workspace.model(row)) for row in workspace.rows},
        "downloads": {
            path.parent.name: count_statuses(_table(path))
            for path in sorted(folder.glob("data/raw/*/status.csv"))
        },
        "coverage": {
            path.stem: _coverage(path) for path in sorted(folder.glob("data/coverage/*.csv"))
        },
        "stale": _stale(folder),
    }


def _devices() -> list[str]:
    cards = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return [f"cpu ({os.cpu_count()} cores)", *(f"cuda:{k} ({c})" for k, c in enumerate(cards))]


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


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _coverage(path: Path) -> dict:
    """Sums over the instruments: recordings listed and usable, and minutes of the latter."""
    rows = _table(path)
    counts = {key: sum(int(row[key]) for row in rows) for key in ("listed", "usable")}
    return counts | {"minutes": round(sum(float(row["minutes"]) for row in rows), 1)}


def _stale(folder: Path) -> list[str] | str:
    """Stages that `dvc repro` would run; or why that can't be said."""
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    quiet = os.environ | {"DVC_NO_ANALYTICS": "true"}
    done = subprocess.run(
        command, cwd=folder, env=quiet, capture_output=True, text=True, check=False
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return f"dvc status: {(errors or ['failed'])[0].removeprefix('ERROR: ')}"
    return sorted(json.loads(done.stdout))


def _lines(found: dict) -> list[str]:
    packages = [f"{name} {version or '-'}" for name, version in found["versions"].items()]
    stale = found["stale"]
    said = stale if isinstance(stale, str) else ", ".join(stale) or "nothing"
    profile = f"{found['profile']} (seed {found['seed']})"
    profile = profile if found["profile"] else "no params.yaml here"
    lines = [
        f"workspace  {found['workspace']}",
        f"versions   {', '.join(packages)}",
        f"devices    {', '.join(found['devices'])}",
        f"ffmpeg     {found['ffmpeg'] or 'none'}",
        f"profile    {profile}",
    ]
    lines += [f"row        {row}: {_said(about)}" for row, about in found["rows"].items()]
    lines += [f"download   {name}: {counts}" for name, counts in found["downloads"].items()]
    lines += [
        f"coverage   {name}: {c['usable']} of {c['listed']} recordings, {c['minutes']:.1f} minutes"
        for name, c in found["coverage"].items()
    ]
    return [*lines, f"stale      {said}"]


def _said(about: dict | None) -> str:
    if about is None:
        return "not trained"
    loss = about["val_loss"]
    ending = "" if loss is None else f", validation loss {loss:.5f}"
    return f"{about['network']}, best epoch {about['epoch']}{ending}"

"""The network of ``solos separate``, and what its options mean for it."""

import argparse
from pathlib import Path

from solos.commands.common import UsageError
from solos.commands.recording import Job
from solos.commands.sources import wanted_sources
from solos.config.data import Extract
from solos.config.exported import read_description
from solos.config.params import Params
from solos.separation.separator import load_separator
from solos.storage.files import file_hash

_PAPERS = Extract(short_side=256, jpeg_quality=3)  # pictures where no params.yaml says otherwise


def prepare(options: argparse.Namespace, folder: Path, params: Params | None) -> Job:
    """Load the network exported to ``folder`` and check the options against it.

    Raises:
        UsageError, UserError: they don't go together; it can't be loaded.
    """
    masks = options.masks or (params.evaluate.masks if params else "binary")
    separator = load_separator(folder, masks, options.device)
    n_players = len(options.boxes) if options.boxes else options.players
    if options.players not in (None, n_players):
        raise UsageError(f"--players {options.players}, but {n_players} box(es)")
    if options.map and not separator.needs_frames:
        raise UsageError("--map: this network goes by sound alone, and has none")
    if options.masks and not separator.needs_frames:
        raise UsageError("--masks: this network's are ratios, and are not decided")
    if separator.needs_names and options.instruments and len(set(options.instruments)) < 2:
        raise UsageError("--instruments: name all that play: this network shares out what it hears")
    sources = wanted_sources(options.instruments, n_players, separator.needs_frames)
    about = _about_network(folder, options.model, masks if separator.needs_frames else None)
    if separator.needs_names:
        about["told"] = options.instruments and [source.name for source in sources]
    return Job(options, separator, about, sources, params.extract if params else _PAPERS)


def _about_network(folder: Path, row: str | None, masks: str | None) -> dict:
    description, _ = read_description(folder)
    hashes = {path.name: file_hash(path) for path in sorted(folder.glob("*.pth"))}
    about = {key: description.get(key) for key in ("network", "epoch", "val_loss")}
    return {"row": row, **about, "masks": masks, "weights": str(folder), "sha256": hashes}

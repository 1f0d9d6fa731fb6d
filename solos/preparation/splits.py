"""Which recordings are for training and which for validation, and whether there are enough."""

import zlib
from collections.abc import Sequence

import numpy as np

from solos import HOP_LENGTH, SAMPLE_RATE
from solos.datasets.index import load_spans
from solos.storage.tables import count_statuses


def assign(rows: Sequence[dict], val_fraction: float, seed: int) -> None:
    """Fill in the column ``split`` of the table's usable rows, instrument by instrument."""
    usable = [row for row in rows if row["status"] == "ok"]
    for instrument in sorted({row["instrument"] for row in usable}):
        members = [row for row in usable if row["instrument"] == instrument]
        parts = split([row["id"] for row in members], instrument, val_fraction, seed)
        for row in members:
            row["split"] = parts[row["id"]]


def split(ids: Sequence[str], instrument: str, val_fraction: float, seed: int) -> dict[str, str]:
    """Which recordings of an instrument are for training and which for validation.

    The order in which they are drawn depends on the seed and the instrument alone. With two or more
    recordings each part has at least one; a single one is for training.

    Returns:
        ``train`` or ``val`` for each id.
    """
    drawn = np.random.default_rng([seed, zlib.crc32(instrument.encode())]).permutation(sorted(ids))
    n_val = min(max(1, round(val_fraction * len(ids))), len(ids) - 1)
    return {name: "val" if i < n_val else "train" for i, name in enumerate(drawn.tolist())}


def coverage(rows: Sequence[dict]) -> list[dict]:
    """What there is to train on of each instrument, and why not more.

    Returns:
        A line for each instrument: ``listed`` and ``usable`` recordings, ``minutes`` within the
        usable ones' spans, and ``not_usable``: how many for which reason.
    """
    lines = []
    for instrument in sorted({row["instrument"] for row in rows}):
        members = [row for row in rows if row["instrument"] == instrument]
        usable = [row for row in members if row["status"] == "ok"]
        lengths = [last - first for row in usable for first, last in load_spans(row["spans"])]
        line = {"instrument": instrument, "listed": len(members), "usable": len(usable)}
        line["minutes"] = round(sum(lengths) * HOP_LENGTH / SAMPLE_RATE / 60, 1)
        others = [row for row in members if row["status"] != "ok"]
        lines.append(line | {"not_usable": count_statuses(others) if others else ""})
    return lines


def too_few(rows: Sequence[dict], needed: int) -> list[str]:
    """A line for each instrument of the table with fewer than ``needed`` usable recordings."""
    usable = {row["instrument"]: [0, 0] for row in rows}
    for row in rows:
        usable[row["instrument"]][0] += row["status"] == "ok"
        usable[row["instrument"]][1] += 1
    return [
        f"  {name}: {found} usable of {listed}, {needed} needed"
        for name, (found, listed) in sorted(usable.items())
        if found < needed
    ]

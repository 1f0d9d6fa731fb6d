"""Which recordings are for training and which for validation, and whether there are enough."""

from collections.abc import Sequence

from solos import HOP_LENGTH, SAMPLE_RATE
from solos.datasets.index import load_spans
from solos.storage.tables import count_statuses


def assign(rows: Sequence[dict], val_fraction: float) -> None:
    """Fill in the column ``split`` of the table's usable rows, instrument by instrument.

    A split that the index gives stays.
    """
    usable = [row for row in rows if row["status"] == "ok" and not row["split"]]
    for instrument in sorted({row["instrument"] for row in usable}):
        members = [row for row in usable if row["instrument"] == instrument]
        parts = split([row["id"] for row in members], val_fraction)
        for row in members:
            row["split"] = parts[row["id"]]


def split(ids: Sequence[str], val_fraction: float) -> dict[str, str]:
    """Which recordings of an instrument are for training and which for validation.

    As the authors did: of n sorted ids the first int(0.8 n) are for training. With two or more
    recordings each part has at least one; a single one is for training.

    Returns:
        ``train`` or ``val`` for each id.
    """
    n_train = n_training(len(ids), val_fraction)
    return {name: "train" if i < n_train else "val" for i, name in enumerate(sorted(ids))}


def n_training(count: int, val_fraction: float) -> int:
    """How many of an instrument's recordings are for training."""
    n_train = max(1, int(round((1 - val_fraction) * count, 6)))  # 0.7 · 10 is 7, not 6.99…
    return min(n_train, max(1, count - 1))


def spread(count: int, val_fraction: float) -> list[str]:
    """``train`` or ``val`` for each of ``count`` things in order, either spread over all of them.

    >>> spread(5, 0.4)
    ['train', 'val', 'train', 'val', 'train']
    """
    n_val = count - n_training(count, val_fraction) if count else 0
    val = {int((number + 0.5) * count / n_val) for number in range(n_val)}
    return ["val" if place in val else "train" for place in range(count)]


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
    """A line for each instrument with fewer than ``needed`` usable ones, or all in one split."""
    usable = {row["instrument"]: [0, 0] for row in rows}
    for row in rows:
        usable[row["instrument"]][0] += row["status"] == "ok"
        usable[row["instrument"]][1] += 1
    short = [
        f"  {name}: {found} usable of {listed}, {needed} needed"
        for name, (found, listed) in sorted(usable.items())
        if found < needed
    ]
    splits: dict[str, set] = {}
    for row in rows:
        if row["status"] == "ok" and row.get("split"):
            splits.setdefault(row["instrument"], set()).add(row["split"])
    return short + [
        f"  {name}: all usable ones are in the split {', '.join(parts)}, by the index"
        for name, parts in sorted(splits.items())
        if len(parts) == 1 and usable[name][0] >= needed
    ]

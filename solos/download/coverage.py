"""Whether enough of an index is there."""

from solos.config.data import Download


def lacking(rows: list[dict], settings: Download) -> list[str]:
    """A line for the whole and for each instrument of which too little is there."""
    groups = {"all": rows}
    for row in rows:
        groups.setdefault(row["instrument"], []).append(row)
    lines = []
    for group, members in groups.items():
        name = "min_coverage" if group == "all" else "min_instrument_coverage"
        got = sum(row["status"] == "ok" for row in members)
        needed = getattr(settings, name)
        if got < needed * len(members):
            lines.append(f"  {group}: {got} of {len(members)}, below download.{name} ({needed:g})")
    return lines

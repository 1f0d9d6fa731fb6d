"""Which sources are asked for on the command line of ``solos separate``."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from solos import INSTRUMENTS
from solos.commands.common import UsageError
from solos.errors import UserError

if TYPE_CHECKING:
    from solos.media.crops import Box


@dataclass(frozen=True)
class Wanted:
    """A source to be separated."""

    name: str
    """Of its files: its instrument, or ``player1``."""
    instrument: str | None
    players: tuple[int, ...]
    """Places in the picture, from 1 on the left; empty where the network needs no picture."""


def instrument_names(text: str) -> list[str]:
    """``violin,double bass`` as names of ``solos.INSTRUMENTS``; an argument's type."""
    known = {name.lower(): name for name in INSTRUMENTS}
    plain = ["".join(filter(str.isalnum, name)).lower() for name in text.split(",")]
    unknown = [name for name, key in zip(text.split(","), plain, strict=True) if key not in known]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{', '.join(map(repr, unknown))}: none of {', '.join(INSTRUMENTS)}"
        )
    return [known[key] for key in plain]


def box(text: str) -> "Box":
    """``x,y,width,height`` in pixels; an argument's type."""
    try:
        x, y, width, height = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,WIDTH,HEIGHT") from None
    if min(x, y, width - 2, height - 2) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no region of a picture")
    return x, y, width, height


def wanted_sources(
    instruments: Sequence[str] | None, n_players: int | None, by_sight: bool
) -> list[Wanted]:
    """The sources; players of one instrument make one source, as in the evaluation.

    Args:
        instruments: as they are asked for; for a network that goes by sight, those of the players
            from left to right.
        by_sight: whether the network tells sources apart by their pictures.

    Raises:
        UsageError: the number of players is not said, not that of the instruments, or not needed.
    """
    if not by_sight:
        if n_players:
            raise UsageError("--players and --boxes: this network goes by sound alone")
        names = dict.fromkeys(instruments or INSTRUMENTS)
        return [Wanted(name, name, ()) for name in names]
    if not (instruments or n_players):
        raise UsageError("this network tells players apart by sight: --players N or --instruments")
    if not instruments:
        return [Wanted(f"player{k}", None, (k,)) for k in range(1, n_players + 1)]
    if n_players not in (None, len(instruments)):
        raise UsageError(f"--instruments: {len(instruments)} named, but {n_players} player(s)")
    players = {name: [] for name in instruments}
    for k, name in enumerate(instruments, 1):
        players[name].append(k)
    return [Wanted(name, name, tuple(places)) for name, places in players.items()]


def player_boxes(width: int, height: int, n: int, given: "Sequence[Box] | None") -> "list[Box]":
    """The region of each player in a picture, from left to right: those given, or equal widths.

    Raises:
        UserError: a box reaches out of the picture, or there is no room for all players.
    """
    from solos.media.crops import equal_boxes  # noqa: PLC0415 (what it imports takes a while)

    for x, y, box_width, box_height in given or ():
        if x + box_width > width or y + box_height > height:
            text = f"{x},{y},{box_width},{box_height}"
            raise UserError(f"--boxes: {text} reaches out of the picture, {width}x{height}")
    boxes = list(given or equal_boxes(width, height, n))
    if min(min(side) for _, _, *side in boxes) < 2:
        raise UserError(f"--players: {width}x{height} pixels have no room for {n} players")
    return boxes

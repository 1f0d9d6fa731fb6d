"""A row's estimates as the protocol asks for them, and by other choices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from numpy.typing import NDArray

from solos.config.rows import Evaluate
from solos.evaluation.segments import Piece, Segment, read_pairs
from solos.separation.segments import separable, separate_segments
from solos.separation.separator import Separator

ROW = ""
"""Name of the way that the row's own figures are of."""


@dataclass(frozen=True)
class Way:
    """How estimates are made."""

    separator: Separator
    protocol: Evaluate


def ways_of(separator: Separator, protocol: Evaluate) -> dict[str, Way]:
    """The row's own way, and others, named by the parameter in which they differ.

    Those are Sound of Pixels' masks decided or not, instruments that a network isn't told, and
    estimates that drift as the authors' or not.
    """
    ways = {ROW: Way(separator, protocol)}
    if separator.needs_frames:
        masks = "soft" if separator.masks == "binary" else "binary"
        ways[f"masks: {masks}"] = Way(replace(separator, masks=masks), protocol)
    if separator.needs_names:
        untold = replace(separator, told=not separator.told)
        ways["instruments: untold"] = Way(untold, protocol)
    drift = 0 if protocol.drift else 1
    ways[f"drift: {drift}"] = Way(separator, protocol.model_copy(update={"drift": drift}))
    return ways


def separate_pieces(
    ways: dict[str, Way], pieces: Sequence[Piece], batch_size: int
) -> Iterator[tuple[Segment, dict[str, NDArray]]]:
    """Each segment with every way's estimates (n_src, n_samples), some separated at a time.

    There are none of a segment that lacks what the network tells sources apart by.
    """
    streams = zip(*(read_pairs(pieces, way.protocol) for way in ways.values()), strict=True)
    separator = ways[ROW].separator
    while batch := list(islice(streams, batch_size)):
        possible = [pairs for pairs in batch if separable(separator, pairs[0][0])]
        made = [
            separate_segments(way.separator, [pairs[k][1] for pairs in possible])
            for k, way in enumerate(ways.values())
        ]
        for pairs in batch:
            able = separable(separator, pairs[0][0])
            yield pairs[0][0], dict(zip(ways, map(next, made), strict=True)) if able else {}

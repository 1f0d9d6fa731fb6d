"""Writing sounds by libsndfile, whose errors do not say why."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import soundfile

from solos.errors import UserError

HEADER = 4096
"""Bytes in which a WAV's chunks before its samples end."""


@contextmanager
def writing(
    paths: Sequence[Path], rate: int, channels: int, subtype: str, kind: str = "WAV"
) -> Iterator[list[soundfile.SoundFile]]:
    """New sounds, open for writing.

    Args:
        subtype, kind: libsndfile's names of the samples and the format.

    Raises:
        OSError: the disk is full, or refuses them otherwise.
        UserError: they can't be written for another reason.
    """
    about = (rate, channels, subtype, None, kind)
    try:
        with ExitStack() as stack:
            opened = (soundfile.SoundFile(os.fsencode(path), "w", *about) for path in paths)
            yield [stack.enter_context(sound) for sound in opened]
    except soundfile.LibsndfileError as error:
        for path in paths:
            _try_to_write(path)
        raise UserError(f"{paths[0].parent}: {error}") from None


def _try_to_write(path: Path) -> None:
    """Why libsndfile can't write any further: it only says "System error"."""
    with path.open("ab") as stream:
        stream.write(bytes(HEADER))

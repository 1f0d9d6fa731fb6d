"""Whose fault a failure is: the recording's, or that of the machine it was read on."""

import errno
import os

from solos.errors import REFUSED

MACHINES = {*REFUSED, errno.EMFILE, errno.ENFILE} - {errno.EPERM}
"""What the system answers for reasons of its own, and would for the next recording too."""
DOUBTFUL = {
    *(errno.ENOMEM, errno.ENOENT, errno.EPERM, errno.EAGAIN, errno.ESTALE, errno.ETIMEDOUT),
    *(errno.EIO, errno.ENODEV, errno.ENOTCONN),
}
"""What the system answers for reasons of its own, and decoders of a broken file as well."""
ENVIRONMENT = "environment"
"""Status of a failure whose reason may be the machine: said, but not kept as a verdict."""


class MediaError(Exception):
    """A recording can't be used: ``status`` is one word for tables, the text is the reason."""

    def __init__(self, status: str, reason: str):
        super().__init__(reason)
        self.status = status


def failure(status: str, number: int | None, reason: str) -> MediaError:
    """The error for a recording that failed with a system's error number, or with none.

    Raises:
        OSError: the number is one of :data:`MACHINES`.
    """
    if number in MACHINES:
        raise OSError(number, os.strerror(number), reason)
    return MediaError(ENVIRONMENT if number in DOUBTFUL else status, reason)


def number_said(complaint: str) -> int | None:
    """The system's error that a message names, if it is one of these."""
    said = (number for number in (*MACHINES, *DOUBTFUL) if os.strerror(number) in complaint)
    return next(said, None)

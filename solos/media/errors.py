"""Whose fault a failure is: the recording's, or that of the machine it was read on."""

import errno
import os

ENVIRONMENT = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT),
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ESTALE, errno.ETIMEDOUT),
)
"""What the system answers for reasons of its own: disk, permissions, memory, a vanished file."""


class MediaError(Exception):
    """A recording can't be used: ``status`` is one word for tables, the text is the reason."""

    def __init__(self, status: str, reason: str):
        super().__init__(reason)
        self.status = status


def raise_if_environment(number: int | None, what: str) -> None:
    """Raise an ``OSError`` for an error number that says nothing about the recording.

    Raises:
        OSError: ``number`` is one of :data:`ENVIRONMENT`.
    """
    if number in ENVIRONMENT:
        raise OSError(number, f"{what}: {os.strerror(number)}")

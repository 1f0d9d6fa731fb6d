"""What a user can put right."""

import errno

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system refuses that its user can put right: a full or read-only disk, permissions."""


class UserError(Exception):
    """Something in the user's hands is wrong: shown as one message, without a traceback.

    The message names the file or parameter, what was found, and what to do.
    """

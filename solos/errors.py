"""What a user can put right."""


class UserError(Exception):
    """Something in the user's hands is wrong: shown as one message, without a traceback.

    The message names the file or parameter, what was found, and what to do.
    """

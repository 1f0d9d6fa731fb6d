"""Tables as pandas has them, for stages that compute with their columns."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from solos.errors import UserError
from solos.storage.files import intact


def read_frame(
    path: Path, made_by: str, columns: Sequence[str] = (), **options: object
) -> pd.DataFrame:
    """A table that the stage ``made_by`` wrote.

    Args:
        columns: that it must have.
        options: of ``pandas.read_csv``.

    Raises:
        UserError: there is no such file, it is no table, or lacks columns.
    """
    with intact(path, made_by):
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("cut off")
        table = pd.read_csv(path, **options)
    lacking = [column for column in columns if column not in table]
    if lacking:
        raise UserError(f"{path} has no {', '.join(lacking)}: run the stage {made_by} again")
    return table

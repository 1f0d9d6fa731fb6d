"""Compose ``params.yaml`` from ``conf/`` as ``dvc exp run`` does; overrides as arguments."""

import sys
from pathlib import Path

from dvc.utils.hydra import compose_and_dump
from hydra.errors import HydraException
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from solos.config.params import load_params
from solos.errors import UserError
from solos.storage.files import atomic

OUTPUT = Path("params.yaml")


def compose(output: Path, overrides: list[str]) -> None:
    """Write the composition of ``conf/`` with Hydra overrides such as ``data=solos``.

    Raises:
        UserError: the composition holds problems; the old ``output`` is left as it was.
    """
    conf = str(Path("conf").resolve())
    with atomic(output) as temporary:
        try:
            compose_and_dump(temporary, conf, None, "config", "", overrides)
        except (HydraException, OmegaConfBaseException) as error:
            hint = ""
            if isinstance(error, InterpolationKeyError):  # as of train.sop.epochs
                hint = ": this data profile has not all that the rows (model=…) need"
            raise UserError(f"conf/ with {' '.join(overrides)}: {error}{hint}") from error
        try:
            load_params(temporary)
        except UserError as error:
            raise UserError(str(error).replace(str(temporary), "conf/")) from None


if __name__ == "__main__":
    try:
        compose(OUTPUT, sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")

"""The networks: the two of Table II, and any other module here that has a function ``build``.

Magnitudes and pictures come in, masks go out; beside them their weights on disk and their inputs'
scaling. May import ``config``, ``storage`` and ``signal``; a network's file imports no other's.
"""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

from torch import nn

from solos.config.recipes import Recipe
from solos.errors import UserError
from solos.models.mhunet import MultiHeadUNet
from solos.models.sop import SoundOfPixels

__all__ = ["MultiHeadUNet", "SoundOfPixels", "find_builder"]


def find_builder(name: str) -> Callable[[Recipe], nn.Module]:
    """``build`` of the module of that name: from a recipe to a network with random weights.

    Raises:
        UserError: there is no such module here, or it has no ``build``.
    """
    names = sorted(module.name for module in iter_modules(__path__))
    if name not in names:
        raise UserError(f"solos/models/{name}.py is missing: there are {', '.join(names)}")
    module = import_module(f"solos.models.{name}")
    if not hasattr(module, "build"):
        raise UserError(f"solos/models/{name}.py has no function build(recipe)")
    return module.build

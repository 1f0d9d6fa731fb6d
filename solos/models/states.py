"""State dicts that others saved: unwrapped, checked, compared with what a network expects."""

import logging
from collections.abc import Mapping

from torch import Tensor

from solos.errors import UserError

_PARALLEL = "module."
_COUNTER = "num_batches_tracked"

log = logging.getLogger(__name__)


def plain_state(state: object, source: str, unused: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors by the names that a network knows, all of them finite.

    A state dict within ``{"state_dict": ...}`` and names that begin with ``module.`` (saved from
    DataParallel) are recognised.

    Args:
        source: the file, for the message.
        unused: beginnings of names that are left out.

    Raises:
        UserError: it is none, or has NaN or infinity.
    """
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state:
        raise UserError(f"{source} holds no state dict, but {type(state).__name__}")
    unnamed = [name for name in state if not isinstance(name, str)]
    if unnamed:
        raise UserError(f"{source} holds no state dict: {unnamed[0]!r} is no name of a tensor")
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise UserError(f"{source} holds no state dict: {odd[0]!r} is no tensor")
    if all(name.startswith(_PARALLEL) for name in state):
        log.info("%s: names without their %s, as of DataParallel", source, _PARALLEL)
        state = {name.removeprefix(_PARALLEL): tensor for name, tensor in state.items()}
    state = {name: tensor for name, tensor in state.items() if not name.startswith(unused)}
    unfit = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if unfit:
        raise UserError(
            f"{source}: {unfit[0]} is not finite (in all, {len(unfit)} of {len(state)} tensors): "
            "the file is damaged, or its training diverged. Get or train it anew"
        )
    return state  # a plain dict, without the notes by which torch would insist on the counters


def misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> UserError:
    """The error that says in which tensors a state dict differs, the first three by name.

    Counters of batches may be missing: torch does without.
    """
    missing = [name for name in expected if name not in found]
    lines = [f"{name}: missing" for name in missing if not name.endswith(_COUNTER)]
    lines += [f"{name}: not in the network" for name in found if name not in expected]
    for name, tensor in expected.items():
        if name in found and found[name].shape != tensor.shape:
            shapes = f"{tuple(found[name].shape)}, {tuple(tensor.shape)} expected"
            lines.append(f"{name}: shape {shapes}")
    listed = "\n  ".join(lines[:3])
    return UserError(f"does not fit the network ({len(lines)} difference(s)):\n  {listed}")

"""Weights on disk: exported networks, and the state of an unfinished training."""

import io
import logging
import shutil
from pathlib import Path

import torch
import yaml
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from solos.config.recipes import AnyRecipe, Recipe
from solos.errors import UserError
from solos.models import SoundOfPixels, find_builder
from solos.storage.files import atomic, file_hash

DESCRIPTION = "network.yaml"
_PARALLEL = "module."
_COUNTER = "num_batches_tracked"

log = logging.getLogger(__name__)


def build_network(recipe: Recipe, name: str | None = None) -> nn.Module:
    """A network with random weights.

    Args:
        name: its module in ``solos/models``; by default the one whose recipe it is.

    Raises:
        UserError: there is no such module.
    """
    return find_builder(name or recipe.recipe)(recipe)


def network_name(network: nn.Module) -> str:
    """The module in ``solos/models`` that a network is of."""
    return type(network).__module__.rpartition(".")[2]


def weight_files(network: nn.Module) -> dict[str, nn.Module]:
    """File name of each part of a network; Sound of Pixels' are those of its release."""
    if isinstance(network, SoundOfPixels):
        return {
            "sound_best.pth": network.sound,
            "frame_best.pth": network.frame,
            "synthesizer_best.pth": network.synthesizer,
        }
    return {f"{network_name(network)}_best.pth": network}


def save_state(path: Path, state: dict) -> None:
    """Write tensors and plain values atomically; equal states give equal bytes."""
    buffer = io.BytesIO()  # a file's name would end up in its bytes
    torch.save(state, buffer)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_state(path: Path) -> dict:
    """Read what :func:`save_state` wrote, or any file of tensors; no code in it is run.

    Raises:
        UserError: the file is missing or no such file.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except Exception as error:  # torch raises many types, and advises to run what is unsafe
        raise UserError(f"{path} is damaged, or no file of tensors alone") from error


def save_network(folder: Path, network: nn.Module, description: dict) -> None:
    """Export a network's weights, and a description a person can read.

    Args:
        description: ``network`` (its module), ``recipe`` and whatever else is to be known.
    """
    for name, part in weight_files(network).items():
        save_state(folder / name, part.state_dict())
    with atomic(folder / DESCRIPTION) as temporary:
        temporary.write_text(yaml.safe_dump(description, sort_keys=False))


def read_description(folder: Path) -> tuple[dict, Recipe]:
    """What :func:`save_network` noted of an exported network, and its recipe.

    Raises:
        UserError: ``folder`` holds no exported network.
    """
    path = folder / DESCRIPTION
    try:
        description = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe = TypeAdapter(AnyRecipe).validate_python(description["recipe"])
        return description, recipe
    except FileNotFoundError:
        raise UserError(f"{path} is missing: no network was trained here") from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} describes no network of this version: {reason}") from None


def load_weights(folder: Path, network: nn.Module) -> None:
    """Load exported or released weights strictly.

    Raises:
        UserError: a file is missing, or a tensor's name or shape differs; the first few are named.
    """
    for name, part in weight_files(network).items():
        advice = "Make train.sop.channels and components those of the file's network"
        load_strictly(part, load_state(folder / name), folder / name, advice)


def copy_weights(folder: Path, network: nn.Module, output: Path) -> None:
    """Check that a folder's files fit the network, and copy them with their checksums.

    Raises:
        UserError: as :func:`load_weights`.
    """
    load_weights(folder, network)
    output.mkdir(parents=True, exist_ok=True)
    sums = {}
    for name in weight_files(network):
        shutil.copyfile(folder / name, output / name)
        sums[name] = file_hash(output / name)
        log.info("%s taken over, SHA-256 %s", folder / name, sums[name])
    lines = [f"{checksum}  {name}\n" for name, checksum in sums.items()]
    (output / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def load_strictly(part: nn.Module, state: object, path: Path, advice: str) -> None:
    """Load a state dict that torch's own strict loading takes, if its values are finite.

    That is the module's names and shapes, in any precision; batch norms' ``num_batches_tracked``
    may be missing, as in torchvision's published files. A state dict within ``{"state_dict": ...}``
    and names that begin with ``module.`` (saved from DataParallel) are recognised.

    Args:
        path, advice: where it is from and what to do, for the message.

    Raises:
        UserError: it is none, differs (the first few tensors are named), or has NaN or infinity.
    """
    state = _plain(state, path)
    unfit = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if unfit:
        raise UserError(
            f"{path}: {unfit[0]} is not finite (in all, {len(unfit)} of {len(state)} tensors): the "
            "file is damaged, or its training diverged. Get or train it anew"
        )
    try:
        part.load_state_dict(state)
    except RuntimeError:
        problems = _differences(part.state_dict(), state)
        listed = "\n  ".join(problems[:3])
        raise UserError(
            f"{path} does not fit the network ({len(problems)} difference(s)):\n"
            f"  {listed}\n{advice}"
        ) from None


def _plain(state: object, path: Path) -> dict[str, Tensor]:
    """The tensors by the names that the network knows."""
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path} holds no state dict, but {type(state).__name__}")
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise UserError(f"{path} holds no state dict: {odd[0]!r} is no tensor")
    if all(name.startswith(_PARALLEL) for name in state):
        log.info("%s: names without their %s, as of DataParallel", path, _PARALLEL)
        return {name.removeprefix(_PARALLEL): tensor for name, tensor in state.items()}
    return dict(state)  # without the version notes by which torch would insist on the counters


def _differences(expected: dict, found: dict) -> list[str]:
    lines = [f"{name}: missing" for name in expected if name not in found]
    lines.sort(key=lambda line: _COUNTER in line)  # torch may not miss these: not the first named
    lines += [f"{name}: not in the network" for name in found if name not in expected]
    for name, tensor in expected.items():
        if name in found and found[name].shape != tensor.shape:
            shapes = f"{tuple(found[name].shape)}, {tuple(tensor.shape)} expected"
            lines.append(f"{name}: shape {shapes}")
    return lines

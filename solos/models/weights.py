"""Weights on disk: exported networks, and the state of an unfinished training."""

import io
import logging
import shutil
from pathlib import Path

import torch
import yaml
from torch import nn

from solos.config.exported import DESCRIPTION
from solos.config.recipes import MhuRecipe, Recipe
from solos.errors import UserError
from solos.models import MultiHeadUNet, SoundOfPixels, find_builder
from solos.models.states import misfit, plain_state
from solos.storage.files import atomic, file_hash

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


def load_weights(folder: Path, network: nn.Module) -> None:
    """Load exported or released weights strictly.

    Raises:
        UserError: a file is missing, or a tensor's name or shape differs; the first few are named.
    """
    sizes = "channels and components" if isinstance(network, SoundOfPixels) else "channels"
    advice = f"Make train.{network_name(network)}.{sizes} those of the file's network"
    for name, part in weight_files(network).items():
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
    may be missing, as in torchvision's published files. See :func:`plain_state` for what else is
    recognised.

    Args:
        path, advice: where it is from and what to do, for the message.

    Raises:
        UserError: it is none, differs (the first few tensors are named), or has NaN or infinity.
    """
    state = plain_state(state, str(path))
    try:
        part.load_state_dict(state)
    except RuntimeError:
        raise UserError(f"{path} {misfit(part.state_dict(), state)}\n{advice}") from None


def load_published(recipe: MhuRecipe, path: Path) -> tuple[MultiHeadUNet, MhuRecipe]:
    """The Multi-Head U-Net of a checkpoint of its authors, and the recipe with its channels.

    Raises:
        UserError: the file is missing, or no such checkpoint.
    """
    state = plain_state(load_state(path), str(path), MultiHeadUNet.UNUSED)
    try:
        sized = recipe.model_copy(update={"channels": MultiHeadUNet.published_channels(state)})
        network = MultiHeadUNet(sized.channels, sized.dropout)
        network.load_published(state)
    except UserError as error:
        raise UserError(f"{path} {error}") from None
    return network, sized

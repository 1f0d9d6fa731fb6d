"""What the networks' trainings do not share: data, loss and learning rates, as published."""

import logging
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import ResNet18_Weights, resnet18

from solos import INSTRUMENTS
from solos.config.recipes import InformedRecipe, MhuRecipe, Recipe, SopRecipe
from solos.errors import UserError
from solos.models import SoundOfPixels
from solos.models.inputs import log_input, scaled_log_input
from solos.models.sop import sop_loss
from solos.models.weights import load_state, load_strictly
from solos.signal.fourier import stft
from solos.signal.warp import log_unwarp, log_warp
from solos.training.mixes import FEWEST, TRAIN, VAL, MhuMixes, SopMixes
from solos.training.samples import SampleMixes
from solos.training.store import SpectrogramStore

log = logging.getLogger(__name__)
TRUNK_FILE = "resnet18-f37072fd.pth"
"""Name of torchvision's ImageNet weights of ResNet-18."""


class SopTask:
    """Sound of Pixels: mixes of two, binary masks, weighted cross-entropy."""

    def __init__(self, recipe: SopRecipe, seed: int, train: SpectrogramStore, val):
        self.recipe, self.seed, self.train, self.val = recipe, seed, train, val
        self.max_src = recipe.n_src

    def train_mixes(self, epoch: int, max_src: int) -> SopMixes:
        return SopMixes(self.train, self.recipe, self.seed, epoch)

    def val_mixes(self, epoch: int, max_src: int) -> SopMixes:
        return SopMixes(self.val, self.recipe, self.seed, None)

    def parameter_groups(self, network: SoundOfPixels) -> list[dict]:
        """The ResNet's trunk learns at its own, lower rate."""
        rest = [network.sound, network.synthesizer, network.frame.fc]
        return [
            {"params": [p for part in rest for p in part.parameters()]},
            {"params": list(network.frame.features.parameters()), "lr": self.recipe.lr_trunk},
        ]

    def loss(self, network: SoundOfPixels, batch: dict[str, Tensor]) -> Tensor:
        logits = network(log_input(batch["mix_mag"]), batch["frames"])
        return sop_loss(logits, batch["masks"], batch["mix_mag"])


class MhuTask:
    """Multi-Head U-Net: mixes of 2 to 7 different instruments, ratio masks, squared error.

    With ``mixing``, mixes of samples and their SDR (:class:`InformedTask`'s) instead.
    """

    def __init__(self, recipe: MhuRecipe, seed: int, train: SpectrogramStore, val):
        self.recipe, self.seed, self.train, self.val = recipe, seed, train, val
        self.max_src = recipe.curriculum.start
        unheard = set(INSTRUMENTS) - {recording.instrument for recording in train.recordings}
        if unheard:
            names = ", ".join(sorted(unheard))
            log.warning("no recordings to train on of %s: masks of these stay meaningless", names)

    def train_mixes(self, epoch: int, max_src: int) -> MhuMixes | SampleMixes:
        if self.recipe.mixing:
            seed, length = (self.seed, TRAIN, epoch), self.recipe.train_mixes
            return SampleMixes(self.train, self.recipe.mixing, (FEWEST, max_src), length, seed)
        return MhuMixes(self.train, self.recipe, self.seed, epoch, max_src)

    def val_mixes(self, epoch: int, max_src: int) -> MhuMixes | SampleMixes:
        if self.recipe.validation == "last":
            epoch, max_src = 0, self.recipe.curriculum.stop
        if self.recipe.mixing:
            seed, length = (self.seed, VAL, epoch), self.recipe.val_mixes
            return SampleMixes(self.val, self.recipe.mixing, (FEWEST, max_src), length, seed)
        return MhuMixes(self.val, self.recipe, self.seed, epoch, max_src, validation=True)

    def parameter_groups(self, network: nn.Module) -> list[dict]:
        return [{"params": list(network.parameters())}]

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        if self.recipe.mixing:
            mix, sources = _spectra(batch)
            return _mean_distortion(network(_seen(mix)), mix, sources, batch)
        return functional.mse_loss(network(scaled_log_input(batch["mix_mag"])), batch["masks"])


class InformedTask:
    """A network that is told who may play: mixes of 2 or more instruments, their SDR."""

    def __init__(self, recipe: InformedRecipe, seed: int, train: SpectrogramStore, val):
        self.recipe, self.seed, self.train, self.val = recipe, seed, train, val
        self.max_src = recipe.n_src[1]

    def train_mixes(self, epoch: int, max_src: int) -> SampleMixes:
        return self._mixes(self.train, self.recipe.train_mixes, TRAIN, epoch)

    def val_mixes(self, epoch: int, max_src: int) -> SampleMixes:
        return self._mixes(self.val, self.recipe.val_mixes, VAL, 0)

    def _mixes(self, store: SpectrogramStore, length: int, *stream: int) -> SampleMixes:
        recipe, seed = self.recipe, (self.seed, *stream)
        return SampleMixes(store, recipe, recipe.n_src, length, seed, recipe.untold)

    def parameter_groups(self, network: nn.Module) -> list[dict]:
        return [{"params": list(network.parameters())}]

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        mix, sources = _spectra(batch)
        return _mean_distortion(network(_seen(mix), batch["told"]), mix, sources, batch)


def _spectra(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mixture (B, 1, 512, 256) and sources (B, n, 512, 256) of a batch of samples, complex."""
    sources = stft(batch["waves"]) * batch["colour"][..., None]
    return sources.sum(dim=1, keepdim=True), sources


def _seen(mix: Tensor) -> Tensor:
    return scaled_log_input(log_warp(mix.abs()))


def _mean_distortion(masks: Tensor, mix: Tensor, sources: Tensor, batch: dict) -> Tensor:
    """Negative SDR in dB (:func:`distortion`): mixes' mean of their sources' mean."""
    # Products of matrices, as the gradients of indexing are slow where they are repeatable.
    chosen = functional.one_hot(batch["places"], masks.shape[1]).to(masks.dtype)
    unwarp = log_unwarp(torch.eye(masks.shape[2], device=masks.device))
    estimates = mix * (unwarp @ torch.einsum("bnh,bhft->bnft", chosen, masks)).float()
    there = (batch["waves"].abs().amax(dim=-1) > 0).float()  # (B, n)
    found = distortion(estimates, sources) * there
    return (found.sum(dim=1) / there.sum(dim=1)).mean()


def distortion(estimates: Tensor, sources: Tensor) -> Tensor:
    """Energy of the error over that of the source, in dB: the negative SDR of spectra.

    What is better than 30 dB brings no more (the bound of Wisdom et al., 2020), or quiet errors of
    easy sources would weigh as much as loud ones.

    Shape: (..., F, T) complex, twice -> (...).
    """
    error = torch.view_as_real(estimates - sources).square().sum(dim=(-3, -2, -1))
    energy = torch.view_as_real(sources).square().sum(dim=(-3, -2, -1)).clamp_min(1e-8)
    return 10 * torch.log10(error / energy + 1e-3)


Task = SopTask | MhuTask | InformedTask
TASKS = {SopRecipe: SopTask, MhuRecipe: MhuTask, InformedRecipe: InformedTask}
"""The task of each kind of recipe."""


def make_task(recipe: Recipe, seed: int, spectrograms: Path, extracted: Path) -> Task:
    """The task of a recipe on the data set in two stages' folders."""
    stores = [SpectrogramStore(spectrograms, extracted, split) for split in ("train", "val")]
    return TASKS[type(recipe)](recipe, seed, *stores)


def start_trunk(network: SoundOfPixels, recipe: SopRecipe, folder: Path) -> None:
    """Give the ResNet its ImageNet weights, if the recipe says so, from a file or torchvision.

    Raises:
        UserError: the file is not in ``folder`` and can't be fetched.
    """
    if recipe.trunk_weights == "random":
        log.info("ResNet-18 starts from random weights (train.sop.trunk_weights: random)")
        return
    trunk = resnet18()
    path = folder / TRUNK_FILE
    load_strictly(trunk, _imagenet_state(path), path, "Put torchvision's own file there")
    network.frame.features.load_state_dict(nn.Sequential(*list(trunk.children())[:-2]).state_dict())


def _imagenet_state(path: Path) -> dict:
    if path.exists():
        return load_state(path)
    weights = ResNet18_Weights.IMAGENET1K_V1
    try:
        return torch.hub.load_state_dict_from_url(weights.url, weights_only=True, check_hash=True)
    except (OSError, RuntimeError) as error:  # the latter of another hash
        raise UserError(
            f"ImageNet weights of ResNet-18: {path} is missing and {weights.url} can't be fetched "
            f"({error}); put that file there, or set train.sop.trunk_weights=random"
        ) from error

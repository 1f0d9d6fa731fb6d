"""Sound of Pixels (Zhao et al., ECCV 2018), weight-compatible with its released files.

Sub-module names follow the released state dicts, which are loaded strictly.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18

from solos.config.recipes import SopRecipe
from solos.signal.resize import Double

RELEASED_CHANNELS = (64, 128, 256, 512, 512, 512, 512)


class UNetBlock(nn.Module):
    """One level of the U-Net: down, the level below, up.

    The first activation of an inner block works in place, so the tensor that skips to the way up is
    the activated one: the released weights were trained so.
    """

    def __init__(self, outer: int, inner: int, below: nn.Module | None, inputs: int | None = None):
        super().__init__()
        outermost = inputs is not None
        self.skip = not outermost
        down = nn.Conv2d(inputs or outer, inner, 4, stride=2, padding=1, bias=False)
        up = [
            nn.ReLU(inplace=True),
            Double(),
            nn.Conv2d(inner if below is None else 2 * inner, outer, 3, padding=1, bias=outermost),
        ]
        if outermost:
            layers = [down, below, *up]
        else:
            head = [nn.LeakyReLU(0.2, inplace=True), down]
            middle = [] if below is None else [nn.BatchNorm2d(inner), below]
            layers = [*head, *middle, *up, nn.BatchNorm2d(outer)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y = self.model(x)
        return torch.cat([x, y], dim=1) if self.skip else y


class SoundNet(nn.Module):
    """Audio network: log magnitude (B, 1, 256, T) -> components (B, K, 256, T)."""

    def __init__(self, channels: Sequence[int], components: int):
        super().__init__()
        self.bn0 = nn.BatchNorm2d(1)
        block = UNetBlock(channels[-2], channels[-1], None)
        for outer, inner in zip(channels[-3::-1], channels[-2:0:-1], strict=True):
            block = UNetBlock(outer, inner, block)
        self.unet_block = UNetBlock(components, channels[0], block, inputs=1)

    def forward(self, log_mag: Tensor) -> Tensor:
        return self.unet_block(self.bn0(log_mag))


class FrameNet(nn.Module):
    """Video network: ResNet-18 with its last stage dilated (output stride 16)."""

    def __init__(self, components: int):
        super().__init__()
        trunk = resnet18(weights=None)
        _dilate(trunk.layer4)
        self.features = nn.Sequential(*list(trunk.children())[:-2])
        self.fc = nn.Conv2d(512, components, 3, padding=1)

    def feature_map(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, K, T, H/16, W/16), before any pooling."""
        batch, _, time, _, _ = frames.shape
        flat = frames.transpose(1, 2).flatten(0, 1)  # (B·T, 3, H, W)
        maps = self.fc(self.features(flat))
        return maps.unflatten(0, (batch, time)).transpose(1, 2)

    def forward(self, frames: Tensor) -> Tensor:
        """Max over space and time: (B, 3, T, H, W) -> (B, K), before the sigmoid."""
        return self.feature_map(frames).amax(dim=(2, 3, 4))


def _dilate(stage: nn.Module) -> None:
    """Replace a stage's stride by a dilation of 2 in all but its first convolution."""
    for module in stage.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if module.stride == (2, 2):
            module.stride = (1, 1)
        elif module.kernel_size == (3, 3):
            module.dilation = module.padding = (2, 2)


class Synthesizer(nn.Module):
    """Mask logits Σ_k α_k v_k S_k(t, f) + β from visual vectors v and components S."""

    def __init__(self, components: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(components))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, visual: Tensor, components: Tensor) -> Tensor:
        """(B, n_src, K), (B, K, F, T) -> (B, n_src, F, T)."""
        logits = (visual * self.scale) @ components.flatten(2)
        return logits.unflatten(2, components.shape[2:]) + self.bias


class SoundOfPixels(nn.Module):
    """Video network, audio network and synthesizer; with no arguments, the released sizes.

    Args:
        channels: of the U-Net's down blocks; their number is its depth.
        components: K, channels shared by the two networks.
        init_std: of the start weights of the audio network's convolutions.
    """

    PLAIN_ON_CPU = ("frame",)
    """Parts that are slower channels-last on a CPU (``solos.models.device.lay_out``)."""

    def __init__(
        self,
        channels: Sequence[int] = RELEASED_CHANNELS,
        components: int = 32,
        init_std: float = 0.001,
    ):
        super().__init__()
        self.sound = SoundNet(channels, components)
        self.frame = FrameNet(components)
        self.synthesizer = Synthesizer(components)
        for module in self.sound.modules():  # the video network's are torch's own
            _initialise(module, init_std)

    def visual(self, frames: Tensor) -> Tensor:
        """Visual vectors: (B, n_src, 3, T, H, W) -> (B, n_src, K), in (0, 1)."""
        batch, n_src = frames.shape[:2]
        return torch.sigmoid(self.frame(frames.flatten(0, 1))).unflatten(0, (batch, n_src))

    def forward(self, log_mag: Tensor, frames: Tensor) -> Tensor:
        """Mask logits: (B, 1, 256, T), (B, n_src, 3, T', H, W) -> (B, n_src, 256, T)."""
        return self.synthesizer(self.visual(frames), self.sound(log_mag))

    @torch.inference_mode()
    def localize(self, frames: Tensor, log_mag: Tensor) -> Tensor:
        """Where in the picture the mixture's sound is: energy of each place's separated sound.

        Without the pooling over space, each place of the picture has a visual vector and a mask of
        its own (Zhao et al., section 3.1); its value is Σ (mask · mixture magnitude)².

        Args:
            frames: (B, 3, T', H, W); places are pooled over time.
            log_mag: log mixture magnitude, (B, 1, 256, T).

        Returns:
            (B, H / 16, W / 16).

        Raises:
            ValueError: the network is in training mode, whose statistics a picture must not change.
        """
        if self.training:
            raise ValueError("localize: call eval() first")
        places = torch.sigmoid(self.frame.feature_map(frames).amax(dim=2))  # (B, K, h, w)
        maps = [self._energies(*sample) for sample in zip(places, log_mag, strict=True)]
        return torch.stack(maps)

    def _energies(self, places: Tensor, log_mag: Tensor) -> Tensor:
        """One sample's map; the masks of a row of the picture at a time."""
        components = self.sound(log_mag[None])  # (1, K, 256, T)
        power = log_mag.exp().square()
        rows = [
            torch.sigmoid(self.synthesizer(row.T[None], components)[0])
            .square()
            .mul(power)
            .sum((1, 2))
            for row in places.unbind(dim=1)  # (K, w)
        ]
        return torch.stack(rows)


def build(recipe: SopRecipe) -> SoundOfPixels:
    """The network that a recipe describes."""
    return SoundOfPixels(recipe.channels, recipe.components, recipe.init_std)


def _initialise(module: nn.Module, std: float) -> None:
    """Convolutions N(0, std), batch norms N(1, 0.02); the released training began with 0.001."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, std)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def sop_loss(logits: Tensor, targets: Tensor, mix_mag: Tensor) -> Tensor:
    """Binary cross-entropy weighted by clamp(log1p(mixture magnitude), 1e-3, 10).

    Shape: (B, n_src, F, T) logits and binary targets, (B, 1, F, T) warped mixture magnitude.
    """
    weight = torch.log1p(mix_mag).clamp(1e-3, 10)
    return functional.binary_cross_entropy_with_logits(
        logits, targets, weight=weight.expand_as(targets)
    )

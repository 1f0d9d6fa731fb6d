"""The golden values of ``tests/golden`` on the device, and gradients beside the CPU's."""

import json
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.gpu.loop import hold
from benchmarks.gpu.recordings import NETWORKS, paper_recipe, task_of
from benchmarks.gpu.rows import ROOT, Figures, Row, Setting, attempt, require
from solos.models import MultiHeadUNet, SoundOfPixels
from solos.models.device import find_device
from solos.models.weights import build_network
from solos.signal.fourier import istft, stft
from solos.signal.warp import log_unwarp, log_warp

FOLDER = ROOT / "tests/golden"
RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""What outputs of Sound of Pixels may differ by from its golden values; masks are probabilities."""
MASKS = 1e-5
GRADIENT = 5e-3
"""Of a gradient's norm: other algorithms for convolutions moved Sound of Pixels' by 0.0016."""


def read_golden(name: str) -> dict:
    """The golden file of a network, ``sop`` or ``mhunet``: what a reference gave."""
    return json.loads((FOLDER / f"{name}_forward.json").read_text(encoding="utf-8"))


def golden_tensor(name: str, tensor: Tensor, number: int) -> Tensor:
    """The golden forward pass' weights: a formula of a tensor's place, name and shape."""
    wave = torch.cos(0.7 * torch.arange(tensor.numel(), dtype=torch.float64) + number)
    if name.endswith("num_batches_tracked"):
        wave = wave * 0
    elif name.endswith("running_var"):
        wave = 1 + 0.5 * wave
    elif tensor.dim() > 1:
        wave = wave * math.sqrt(0.25 / tensor[0].numel())
    elif name.endswith(("running_mean", "bias")):
        wave = 0.1 * wave
    else:
        wave = 1 + 0.2 * wave
    return wave.reshape(tensor.shape).to(tensor.dtype)


def golden_sop() -> SoundOfPixels:
    """Sound of Pixels of the released sizes with those weights."""
    network = SoundOfPixels()
    for part in (network.sound, network.frame, network.synthesizer):
        items = enumerate(part.state_dict().items())
        part.load_state_dict({name: golden_tensor(name, t, i) for i, (name, t) in items})
    return network.eval()


def golden_mhunet() -> MultiHeadUNet:
    """The Multi-Head U-Net of the paper's sizes with those weights, under its authors' names."""
    network = MultiHeadUNet().eval()
    own = network.published_state()
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    network.load_published({n: golden_tensor(n, own[n], i) for i, n in enumerate(names)})
    return network


def wave(scale: float, step: float, *shape: int) -> Tensor:
    """The golden inputs: a sine along all elements."""
    ramp = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
    return (scale * torch.sin(step * ramp)).float()


def golden(setting: Setting) -> Iterator[Row]:
    """Forward passes against the golden values, the rest against the CPU."""
    networks = {"sop": golden_sop(), "mhunet": golden_mhunet()}
    outputs = {"sop": sop_outputs, "mhunet": mhunet_outputs}
    for (name, title), precision in (
        (item, p) for item in NETWORKS.items() for p in ("float32", "tf32", "bfloat16")
    ):
        case = f"{title}, forward, {precision}"
        forward = Forward(networks[name], setting.device, precision)
        yield attempt("golden", case, lambda f=forward, out=outputs[name]: f.compare(out))
    yield attempt("golden", "STFT, warp and back", lambda: transforms(setting))
    for name, title in NETWORKS.items():
        yield attempt("golden", f"{title}, gradients", lambda n=name: gradients(n, setting))


class Forward:
    """A network's forward pass in a precision, and how far it is from the golden values.

    In float32 it has to be them; what the others round off is for the reader to judge.
    """

    def __init__(self, network: nn.Module, device: str, precision: str):
        self.network, self.device, self.precision = network, device, precision

    @torch.inference_mode()
    def compare(self, outputs: Callable) -> Figures:
        """The largest difference of each output, and of its tolerance the most that was used."""
        device = find_device(self.device, tf32=self.precision == "tf32")
        network, golden = self.network.to(device), read_golden(_name(self.network))
        mixed = self.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            found = outputs(network, golden, device)
        figures, used = {}, 0.0
        for name, (value, expected, relative, absolute) in found.items():
            wanted = torch.as_tensor(expected).flatten()
            off = (value.float().cpu().flatten() - wanted).abs()
            figures[f"{name} off by"] = off.max().item()
            used = max(used, (off / (absolute + relative * wanted.abs())).max().item())
        figures["of tolerance"] = used
        fits = used <= 1 or self.precision != "float32"
        return require(fits, "beyond the tolerance of the tests", figures)


def _name(network: nn.Module) -> str:
    return "sop" if isinstance(network, SoundOfPixels) else "mhunet"


def sop_outputs(network: SoundOfPixels, golden: dict, device: torch.device) -> dict[str, tuple]:
    """Found, expected and tolerances of each output."""
    components = network.sound(wave(3, 0.013, 1, 1, 256, 256).to(device))
    visual = (0.5 + 0.5 * torch.cos(torch.arange(32.0)))[None, None].to(device)
    logits = network.synthesizer(visual, components)
    features = network.frame(wave(1, 0.0071, 1, 3, 3, 224, 224).to(device))
    found = {
        "sound": (components[0, ::8, ::64, ::64], golden["sound_samples"]),
        "mask": (logits[0, 0, ::32, ::32], golden["logits_samples"]),
        "video": (features, golden["frame_features"]),
    }
    return {name: (*pair, RELATIVE, ABSOLUTE) for name, pair in found.items()}


def mhunet_outputs(network: MultiHeadUNet, golden: dict, device: torch.device) -> dict[str, tuple]:
    """As :func:`sop_outputs`."""
    masks = network(wave(1, 0.013, 1, 1, 256, 256).to(device))
    mean = masks.float().mean(dim=(0, 2, 3))
    return {
        "mask": (masks[0, :, ::32, ::32], golden["samples"], 0.0, MASKS),
        "mean": (mean, golden["mean_over_tf"], 0.0, MASKS),
    }


def transforms(setting: Setting) -> Figures:
    """The STFT, its inverse and the warp, on the device and on the CPU."""
    sound = 0.3 * torch.randn(4, 65535, generator=torch.Generator().manual_seed(0))
    device = find_device(setting.device)

    def both(where: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        spec = stft(sound.to(where))
        warped = log_warp(spec.abs())
        back = istft(spec, sound.shape[-1])
        return spec.cpu(), log_unwarp(warped).cpu(), back.cpu()

    here, there = both(torch.device("cpu")), both(device)
    names = ("STFT", "warp", "waveform")
    figures = {
        f"{name} off by": ((a - b).abs().max() / a.abs().max()).item()
        for name, a, b in zip(names, here, there, strict=True)
    }
    return require(max(figures.values()) < 1e-5, "more than 1e-5 of the largest", figures)


def gradients(name: str, setting: Setting) -> Figures:
    """Loss and gradients of two mixes at the paper's sizes, on the device and on the CPU."""
    changes = {"batch_size": 2} | ({"dropout": 0.0} if name == "mhunet" else {})
    task = task_of(paper_recipe(name, setting, **changes), setting)
    batch = hold(task)
    torch.manual_seed(0)
    network = build_network(task.recipe).train()
    found = []
    for device in (torch.device("cpu"), find_device(setting.device)):
        network.zero_grad()
        loss = task.loss(network.to(device), {key: t.to(device) for key, t in batch.items()})
        loss.backward()
        flat = torch.cat([p.grad.flatten().cpu() for p in network.parameters()])
        found.append((loss.item(), flat))
    (loss, flat), (other_loss, other) = found
    figures = {
        "loss off by": abs(loss - other_loss) / abs(loss),
        "gradient off by": ((flat - other).norm() / flat.norm()).item(),
    }
    return require(max(figures.values()) < GRADIENT, f"more than {GRADIENT} of it", figures)

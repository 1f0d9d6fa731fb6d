"""Training steps and the data path, ours beside the plainest rendering of the same, in one run.

``python -m benchmarks.train [paper]``: samples a second of a step of each network at the sizes
of the miniature (with ``paper``, of the paper) against 13 decoders in a loop, sources in a loop and
torch's own settings; and of the data path against computing STFTs on the fly, of WAVs that are
decoded already and of films.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import ffmpeg
import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measuring import apart
from pipeline.params import compose
from solos import INSTRUMENTS, SAMPLE_RATE, SEGMENT
from solos.config.params import load_params
from solos.config.recipes import MhuRecipe, Recipe, SopRecipe
from solos.media.process import run_ffmpeg
from solos.models import MultiHeadUNet, SoundOfPixels
from solos.models.device import keep_memory, lay_out
from solos.models.mhunet import Encoder
from solos.models.sop import sop_loss
from solos.preparation import spectrograms
from solos.signal.fourier import stft
from solos.signal.warp import log_warp
from solos.training.loop import make_optimizer
from solos.training.mixes import mix_sources
from solos.training.store import Crop, SpectrogramStore, Stored


class PlainDecoder(nn.Sequential):
    """A decoder: 3×3 convolution, batch norm, ReLU and dropout at each level."""

    def __init__(self, skips: list[int], code: int, dropout: float):
        owns = [code, *skips[:-1]]
        super().__init__(
            *(
                nn.Sequential(
                    nn.Conv2d(skip + own, skip, 3, padding=1, bias=False),
                    nn.BatchNorm2d(skip),
                    nn.ReLU(),
                    nn.Dropout(dropout),
                )
                for skip, own in zip(skips, owns, strict=True)
            )
        )


class LoopedUNet(nn.Module):
    """The Multi-Head U-Net as its authors wrote it: 13 decoders one after another."""

    def __init__(self, recipe: MhuRecipe):
        super().__init__()
        self.encoder = Encoder(recipe.channels)
        skips = [*recipe.channels[-2::-1], 1]
        self.decoders = nn.ModuleList(
            PlainDecoder(skips, recipe.channels[-1], recipe.dropout) for _ in INSTRUMENTS
        )

    def forward(self, x: Tensor) -> Tensor:
        *skips, code = [x, *self.encoder(x)]
        masks = []
        for decoder in self.decoders:
            y = code
            for level, skip in zip(decoder, reversed(skips), strict=True):
                y = functional.interpolate(y, None, 2, mode="bilinear", align_corners=True)
                y = level(torch.cat([skip, y], dim=1))
            masks.append(y)
        return torch.softmax(torch.cat(masks, dim=1), dim=1)


def rate(step: Callable[[], object], samples: int, repeats: int) -> float:
    """Samples a second: the best of ``repeats`` steps, after one to warm up."""
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return samples / min(times)


def training_step(
    network: nn.Module, loss: Callable[[], Tensor], recipe: Recipe, plain: bool
) -> Callable[[], None]:
    """A step of the project's optimizer with what makes it quick, or of torch's as it comes."""
    if plain:
        optimizer = torch.optim.Adam(network.parameters())
    else:
        keep_memory()
        lay_out(network, torch.device("cpu"), channels_last=True)
        optimizer = make_optimizer(recipe, [{"params": list(network.parameters())}])

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def mhunet_rate(recipe: MhuRecipe, batch: int, repeats: int, plain: bool) -> float:
    x = torch.rand(batch, 1, 256, 256) * 2 - 1
    masks = torch.rand(batch, 13, 256, 256).softmax(1)
    network = LoopedUNet(recipe) if plain else MultiHeadUNet(recipe.channels, recipe.dropout)
    step = training_step(network, lambda: functional.mse_loss(network(x), masks), recipe, plain)
    return rate(step, batch, repeats)


def sop_rate(recipe: SopRecipe, batch: int, repeats: int, plain: bool) -> float:
    mags = torch.rand(batch, 1, 256, 256) * 10
    masks = (torch.rand(batch, recipe.n_src, 256, 256) > 0.5).float()
    size = (recipe.frames, recipe.image_size, recipe.image_size)
    frames = torch.randn(batch, recipe.n_src, 3, *size)
    network = SoundOfPixels(recipe.channels, recipe.components)

    def whole() -> Tensor:
        return sop_loss(network(mags.log(), frames), masks, mags)

    def by_source() -> Tensor:
        components = network.sound(mags.log())
        logits = [
            network.synthesizer(torch.sigmoid(network.frame(frames[:, n]))[:, None], components)
            for n in range(recipe.n_src)
        ]
        return sop_loss(torch.cat(logits, dim=1), masks, mags)

    step = training_step(network, by_source if plain else whole, recipe, plain)
    return rate(step, batch, repeats)


def compare_steps(what: str, of: Callable[..., float], *sizes: object, rounds: int = 2) -> None:
    """Ours and plain in turns, each in a process of its own: how memory is kept is a process's."""
    rates = {plain: [] for plain in (False, True)}
    for _ in range(rounds):
        for plain, found in rates.items():
            found.append(apart(of, *sizes, plain))
    show(what, [max(found) for found in rates.values()])


def compare_data_path(seconds: int = 300, n_src: int = 2) -> None:
    """A mix's spectrograms: slices of stored ones, or made anew of WAVs or of films."""
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(
            folder / "a.wav", 0.1 * rng.standard_normal(seconds * SAMPLE_RATE), SAMPLE_RATE
        )
        run_ffmpeg([_film(folder)])
        n_frames = spectrograms.store(folder / "a.wav", folder)
        (folder / "spec.npy").rename(folder / "a.npy")
        store = SpectrogramStore.__new__(SpectrogramStore)  # one recording: no table, no split
        store.spectrograms = store.extracted = folder
        recording = Stored("a", "Tuba", ((0, n_frames),))

        def stored() -> None:
            starts = [store.place(recording, rng)[0] for _ in range(n_src)]
            mix_sources(torch.stack([store.read(Crop(recording, at, 1.0)) for at in starts]))

        def transform(read: Callable[[Path, float], np.ndarray], path: Path) -> None:
            waves = [read(path, float(at)) for at in rng.uniform(0, seconds - 7, n_src)]
            sources = torch.from_numpy(np.stack(waves))
            log_warp(stft(torch.cat([sources.sum(0, keepdim=True), sources])).abs())

        ours = rate(stored, 1, 30)
        wav = rate(lambda: transform(_slice, folder / "a.wav"), 1, 30)
        film = rate(lambda: transform(_decode, folder / "a.mp4"), 1, 10)
        show("data path beside slices of decoded WAVs and their STFTs", [ours, wav])
        show("data path beside decoding films and their STFTs", [ours, film])


def _film(folder: Path) -> ffmpeg.Stream:
    picture = ffmpeg.input("testsrc2=s=640x480:r=25", f="lavfi")
    sound = ffmpeg.input(str(folder / "a.wav"))
    output = {"shortest": None, "preset": "ultrafast", "ar": 44100, "ac": 2}
    return ffmpeg.output(picture, sound, str(folder / "a.mp4"), **output)


def _slice(path: Path, at: float) -> np.ndarray:
    """A segment of a WAV that is at the networks' rate already."""
    wave, _ = soundfile.read(path, SEGMENT, int(at * SAMPLE_RATE), dtype="float32")
    return wave


def _decode(path: Path, at: float) -> np.ndarray:
    """A segment of a film's sound, by FFmpeg's libraries in this process."""
    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    held, length = [], 0
    with av.open(str(path)) as container:
        container.seek(int(at * av.time_base))
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                held.append(part.to_ndarray()[0])
                length += part.samples
            if length >= SEGMENT:
                break
    return np.concatenate(held)[:SEGMENT]


def show(what: str, rates: list[float]) -> None:
    ours, plain = rates
    print(f"{what}: {ours:.2f} samples a second, plain {plain:.2f}: {ours / plain:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train")
    parser.add_argument("sizes", nargs="?", choices=["paper"], help="default: the miniature's")
    paper = parser.parse_args().sizes == "paper"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        compose(path, ["data=solos" if paper else "data=mini"])
        recipes = load_params(path).train
    batch, repeats = (4, 2) if paper else (8, 5)
    sizes = "the paper's" if paper else "the miniature's"
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    print(f"{sizes} sizes, batches of {batch}, {threads} threads, load {load:.1f}")
    compare_steps("Multi-Head U-Net, step", mhunet_rate, recipes.mhunet, batch, repeats)
    compare_steps("Sound of Pixels, step", sop_rate, recipes.sop, batch, repeats)
    compare_data_path()


if __name__ == "__main__":
    main()

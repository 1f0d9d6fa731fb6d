"""Media drawn at random, made by ffmpeg: do clicks and flashes come out where they were put in?

``python tests/random_media.py 500 [SEED]`` tries as many, and prints what failed; a test tries a
few. Sizes are tiny: films of two seconds, in which at one instant the sound clicks and the
picture, whose right half is brighter than its left, flashes white.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from test_media import SETTINGS, ffmpeg

from solos.commands.cli import main as solos
from solos.config.params import load_params
from solos.media.errors import MediaError
from solos.media.sound import decode, read_audio
from solos.models.weights import build_network, save_network
from solos.preparation import recordings
from solos.storage.pictures import read_frames

SECONDS = 2.0
CLICK = 0.1
RATES = {
    "aac": (8000, 11025, 22050, 44100, 48000, 96000),
    "libmp3lame": (16000, 22050, 24000, 32000, 44100, 48000),
    "ac3": (32000, 44100, 48000),
    "mp2": (16000, 22050, 32000, 44100, 48000),
    "libopus": (48000,),
    "libvorbis": (16000, 22050, 44100, 48000),
    "flac": (8000, 16000, 44056, 44100, 47952, 96000),
    "alac": (16000, 44100, 48000),
    "pcm_s16le": (8000, 11025, 16000, 44056, 44100, 50000, 192000),
    "pcm_s24le": (11025, 44100, 48000),
    "pcm_f32le": (22050, 44056, 48000),
    "pcm_s16be": (11025, 44100, 48000),
    "pcm_u8": (8000, 22050),
}
CHANNELS = {
    "libmp3lame": (1, 2),
    "mp2": (1, 2),
    "aac": (1, 2, 6),
    "ac3": (1, 2, 6),
    "flac": (1, 2, 6, 8),
    "libopus": (1, 2, 6, 8),
    "libvorbis": (1, 2, 6, 8),
    "pcm_s16le": (1, 2, 8, 16),
}
FILMS = {
    "mp4": (("libx264", "mpeg4", "mjpeg"), ("aac", "libmp3lame", "ac3", "alac", "flac", "libopus")),
    "mov": (("libx264", "mjpeg", "mpeg4"), ("aac", "pcm_s16le", "pcm_f32le", "pcm_s16be", "alac")),
    "mkv": (("libx264", "mpeg4", "libvpx", "ffv1"), tuple(set(RATES) - {"pcm_s16be"})),
    "webm": (("libvpx",), ("libopus", "libvorbis")),
    "avi": (("mpeg4", "mjpeg"), ("libmp3lame", "pcm_s16le", "ac3")),
    "ts": (("libx264", "mpeg2video"), ("aac", "mp2", "ac3")),
    "flv": (("libx264", "flv1"), ("aac",)),
    "mpg": (("mpeg2video",), ("mp2", "ac3")),
}
"""Containers with pictures: codecs of these and of sound."""
SOUNDS = {
    "wav": ("pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_u8"),
    "w64": ("pcm_s16le", "pcm_f32le"),
    "aiff": ("pcm_s16be",),
    "flac": ("flac",),
    "mp3": ("libmp3lame",),
    "m4a": ("aac", "alac"),
    "aac": ("aac",),
    "ogg": ("libvorbis",),
    "opus": ("libopus",),
    "mka": ("flac", "pcm_s16le", "ac3"),
}
JOINABLE = ("ts", "mp3", "aac")
"""Formats whose files, one after another in one file, are a file: parameters change in it."""
TURNABLE = ("mp4", "mov")
LATE = ("mp4", "mov", "mkv", "ts")
UNTRUE = ("promised", "cut off", "cancel", "silent", "can't be read beyond")
"""What is said of none of these files, rightly."""
NAMES = ("{}", "-{}", "a: {}", "http:{}", "100% %03d {}")


@dataclass(frozen=True)
class Piece:
    """A stretch of a file with parameters of its own."""

    rate: int
    channels: int
    size: tuple[int, int]
    """Of the picture as it is shown."""


@dataclass(frozen=True)
class Combination:
    """What a file is made of."""

    name: str
    codecs: tuple[str, str]
    """Of pictures (empty without any) and sound."""
    pieces: tuple[Piece, ...]
    at: float
    """Second of each piece at which it clicks and flashes."""
    fps: str = "25"
    turn: int = 0
    late: tuple[float, float] = (0.0, 0.0)
    """Seconds by which pictures and sound begin later."""

    @property
    def container(self) -> str:
        return self.name.rsplit(".", 1)[1]


def draw(rng: np.random.Generator, number: int) -> Combination:
    """A combination, the ``number`` of which is in its name."""
    seen = rng.random() < 0.75
    container = str(rng.choice([*FILMS, *TURNABLE, *JOINABLE[:1]] if seen else list(SOUNDS)))
    pictures, sounds = FILMS[container] if seen else (("",), SOUNDS[container])
    codecs = str(rng.choice(pictures)), str(rng.choice(sorted(sounds)))
    joins = container in JOINABLE and rng.random() < 0.7
    pieces = tuple(_piece(rng, codecs[1]) for _ in range(rng.integers(2, 4) if joins else 1))
    fps = str(rng.choice(["24000/1001", "25", "30000/1001", "50"]))
    if codecs[0] in ("libx264", "libvpx", "ffv1") and container != "ts":
        fps = str(rng.choice(["5", "8", "12", fps]))
    turn = int(rng.choice([0, 90, 180, 270])) if container in TURNABLE else 0
    late = [0.0, 0.0]
    if seen and container in LATE and len(pieces) == 1 and rng.random() < 0.5:
        late[rng.integers(2)] = float(rng.choice([0.2, 0.5, 0.9]))
    name = str(rng.choice(NAMES)).format(f"{number}.{container}")
    at = round(float(rng.uniform(0.4, 1.5)), 3)
    return Combination(name, codecs, pieces, at, fps, turn, tuple(late))


def _piece(rng: np.random.Generator, codec: str) -> Piece:
    size = rng.choice([(96, 64), (64, 96), (64, 64), (128, 48)])
    channels = int(rng.choice(CHANNELS.get(codec, (1, 2))))
    return Piece(int(rng.choice(RATES[codec])), channels, tuple(map(int, size)))


@dataclass(frozen=True)
class Truth:
    """Seconds, on a file's own clock, at which it should click and flash."""

    clicks: tuple[float, ...]
    flashes: tuple[float, ...]


def make(one: Combination, folder: Path) -> tuple[Path, Truth]:
    """A file in ``folder``, and what should be found in it.

    Codecs begin with up to a tenth of a second of their own, containers with what comes first, and
    encoders place a flash on one of their pictures: so each piece is looked into by itself, by a
    decoder that does nothing else. What is a codec's frames alone has no time but their number.
    """
    path, clicks, flashes, lead = folder / one.name, [], [], 0.0
    with path.open("wb") as stream:
        for k, piece in enumerate(one.pieces):
            made = folder / f"piece{k}.{one.container}"
            _make_piece(one, piece, made)
            stream.write(made.read_bytes())
            if one.codecs[0]:
                own, flash = _look_into(made)
                lead = own if k == 0 else lead
                clicks.append(lead + SECONDS * k - own + _listen_to(made, counted=False)[0])
                flashes.append(lead + SECONDS * k - own + flash)
            made.unlink()
    clicks = clicks or _listen_to(path, counted=len(one.pieces) > 1)
    return path, Truth(tuple(clicks), tuple(flashes))


def _look_into(path: Path) -> tuple[float, float]:
    """Seconds at which the pictures of a film begin and flash."""
    with av.open(f"file:{path}") as container:
        zero = (container.start_time or 0) / av.time_base
        film = container.streams.video[0]
        lead = float(film.start_time * film.time_base) - zero
        for frame in container.decode(film):
            if frame.to_ndarray(format="gray").mean() > 180:
                return lead, frame.time - zero
    raise AssertionError(f"{path} has no white frame")


def _listen_to(path: Path, *, counted: bool) -> list[float]:
    """Seconds at which a file clicks, by its timestamps or by the number of samples before."""
    level, times, length = [], [], 0.0
    with av.open(f"file:{path}") as container:
        zero = (container.start_time or 0) / av.time_base
        for packet in container.demux(audio=0):
            if not packet.size and packet.stream.type == "audio" and not level:
                continue  # a codec's settings
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                length += float((packet.duration or 0) * packet.time_base)
                continue
            for frame in frames:
                (one,) = av.AudioResampler(format="flt").resample(frame)
                wave = one.to_ndarray().reshape(-1, frame.layout.nb_channels).T
                begin = length if counted else frame.time - zero
                times.append(begin + np.arange(frame.samples) / frame.sample_rate)
                level.append(np.abs(wave).max(axis=0))
                length += frame.samples / frame.sample_rate
    level, times = np.concatenate(level), np.concatenate(times)
    loud = times[level > 0.4 * level.max()]
    return list(loud[np.diff(loud, prepend=-9) > 0.3])


def _make_piece(one: Combination, piece: Piece, path: Path) -> None:
    wave = f"0.005*sin(600*t)+0.6*between(t,{one.at},{one.at + CLICK})*sin(2*PI*1500*t)"
    sound = f"aevalsrc='{'|'.join([wave] * piece.channels)}':s={piece.rate}:d={SECONDS}"
    inputs = ["-itsoffset", one.late[1], "-f", "lavfi", "-i", sound]
    outputs = ["-c:a", one.codecs[1], "-strict", "-2"]
    outputs += ["-write_xing", 0] if len(one.pieces) > 1 and one.container == "mp3" else []
    if one.codecs[0]:
        width, height = piece.size
        flash = f"drawbox=c=white:t=fill:enable='between(t,{one.at - 1e-3},{one.at + 0.3})'"
        half = f"drawbox=x=iw/2:w=iw/2:c=0x606060:t=fill,{flash}"
        shown = f"color=0x101010:s={width}x{height}:r={one.fps}:d={SECONDS},{half}"
        stored = ["null", "transpose=clock", "hflip,vflip", "transpose=cclock"][one.turn // 90]
        late = ("-itsoffset", one.late[0], "-f", "lavfi", "-i", f"{shown},{stored}")
        inputs = [*late, *inputs]
        pixels = "yuvj420p" if one.codecs[0] == "mjpeg" else "yuv420p"
        outputs += ["-c:v", one.codecs[0], "-pix_fmt", pixels, "-g", 12, "-q:v", 3, "-bf", 0]
        outputs += ["-preset", "ultrafast"] if one.codecs[0] == "libx264" else []
        outputs += ["-deadline", "realtime"] if one.codecs[0] == "libvpx" else []
    ffmpeg(*inputs, *outputs, path)
    if one.turn:
        plain = path.rename(path.with_stem("plain"))
        ffmpeg("-display_rotation", one.turn, "-i", plain, "-c", "copy", path)
        plain.unlink()


def clicks_of(wave: NDArray) -> NDArray:
    """Seconds at which a sound at 11,025 Hz clicks."""
    loud = np.flatnonzero(np.abs(wave) > 0.4 * np.abs(wave).max()) / 11025
    return loud[np.diff(loud, prepend=-9) > 0.3]


def check(one: Combination, path: Path, truth: Truth, folder: Path) -> list[str]:
    """What ``decode`` and ``extract`` do wrong with a file."""
    try:
        wav, remark = decode(path, folder)
        problems = _wrong("decode", read_audio(wav), truth)
        aspect = "keep" if one.codecs[0] else None
        found = recordings.extract(folder, source=path, settings=SETTINGS, aspect=aspect)
    except MediaError as error:
        return [f"{error.status}: {error}"]
    problems += _wrong("extract", read_audio(folder / "audio.wav"), truth)
    said = f"{remark}; {found['reason']}"  # of a file that is whole
    problems += [f"remarks: {said}"] if any(word in said for word in UNTRUE) else []
    if one.codecs[0]:
        frames = read_frames(folder / "frames.zip", range(found["n_frames"])).astype(float)
        problems += _look(frames.mean(axis=3), truth, one)
    return problems


def _wrong(where: str, wave: NDArray, truth: Truth) -> list[str]:
    heard = clicks_of(wave)
    if len(heard) != len(truth.clicks) or np.abs(heard - truth.clicks).max() > 0.05:
        return [f"{where}: clicks at {np.round(heard, 3)}, not {np.round(truth.clicks, 3)}"]
    return []


def _look(frames: NDArray, truth: Truth, one: Combination) -> list[str]:
    """What is wrong with pictures (n, height, width): their time, sides or shape."""
    white = frames.mean(axis=(1, 2)) > 180
    flashes = np.flatnonzero(np.diff(white.astype(int), prepend=0) > 0) / 8
    problems, latest = [], 1 / 8 + 1 / float(Fraction(one.fps)) + 0.01
    late = flashes - truth.flashes if len(flashes) == len(truth.flashes) else np.array([9.0])
    if late.min() < -0.01 or late.max() > latest:
        problems.append(f"pictures: flashes at {flashes}, not {np.round(truth.flashes, 3)}")
    first = frames[~white][0]
    height, width = first.shape
    if not first[:, : width // 2 - 4].mean() + 30 < first[:, width // 2 + 4 :].mean():
        problems.append("pictures: left is not left")
    shown = one.pieces[0].size[0] / one.pieces[0].size[1]
    if abs(width / height / shown - 1) > 0.06:
        problems.append(f"pictures: {width}x{height} for {one.pieces[0].size}")
    return problems


def networks(folder: Path) -> Path:
    """Tiny networks, exported."""
    train = load_params(Path(__file__).resolve().parents[1] / "params.yaml").train
    small = {"channels": [4, 8, 8]}
    sop = train.sop.model_copy(update=small | {"components": 4, "image_size": 32})
    for name, recipe in (("sop", sop), ("mhunet", train.mhunet.model_copy(update=small))):
        about = {"network": name, "epoch": 1, "val_loss": 0.5, "recipe": recipe.model_dump()}
        save_network(folder / name, build_network(recipe), about)
    return folder


def separate(made: dict[Combination, tuple[Path, Truth]], folder: Path) -> dict[str, list]:
    """What ``solos separate`` does wrong with files, by their names: players by sight, if seen."""
    weights, problems = networks(folder / "networks"), {}
    for network, options in (
        ("sop", ("--players", "2", "--masks", "soft")),
        ("mhunet", ("--instruments", "horn")),
    ):
        chosen = {one: it for one, it in made.items() if bool(one.codecs[0]) == (network == "sop")}
        paths = [str(path) for path, _ in chosen.values()]
        out = folder / network
        extra = (*options, "--weights", str(weights / network), "--out", str(out), "--quiet")
        solos(["separate", *paths, *extra, "--workspace", str(folder)])
        for one, (path, truth) in chosen.items():
            problems[one.name] = _separated(one, out / path.stem.strip("."), truth)
    return problems


def _separated(one: Combination, out: Path, truth: Truth) -> list[str]:
    if not (out / "separation.json").exists():
        return ["separate: failed"]
    report = json.loads((out / "separation.json").read_text())
    names = [source["name"] for source in report["sources"]]
    total = np.sum([read_audio(out / f"{name}.wav") for name in names], axis=0)
    problems = _wrong("separate", total, truth)
    if one.codecs[0]:
        width, height = one.pieces[0].size
        boxes = [source["boxes"][0] for source in report["sources"]]
        if boxes != [[0, 0, width // 2, height], [width // 2, 0, width // 2, height]]:
            problems.append(f"separate: boxes {boxes} of {width}x{height}")
    return problems


def try_many(count: int, seed: int, folder: Path) -> dict[Combination, list[str]]:
    """``count`` combinations and what is wrong with each."""
    rng = np.random.default_rng(seed)
    wrong, made = {}, {}
    for number in range(count):
        one = draw(rng, number)
        own = folder / str(number)
        own.mkdir()
        made[one] = make(one, own)
        wrong[one] = check(one, *made[one], own)
    for name, problems in separate(made, folder).items():
        next(found for one, found in wrong.items() if one.name == name).extend(problems)
    return wrong


def report(wrong: dict[Combination, list[str]]) -> str:
    """The combinations that went wrong, a line each."""
    return "\n".join(f"{one}\n    " + "\n    ".join(bad) for one, bad in wrong.items() if bad)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        outcome = try_many(given.count, given.seed, Path(scratch))
    print(report(outcome))
    print(Counter(one.container for one in outcome))
    failed = sum(map(bool, outcome.values()))
    print(f"{failed} of {given.count} wrong, {time.monotonic() - began:.0f} s")
    sys.exit(bool(failed))

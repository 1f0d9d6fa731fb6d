"""One recording of ``solos separate``, from its file to its estimates."""

import argparse
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from solos import FRAME_RATE, SAMPLE_RATE, SEGMENT
from solos.commands import outputs
from solos.commands.common import progress_bar, to_json
from solos.commands.sources import Wanted, player_boxes
from solos.commands.versions import versions
from solos.config.data import Extract
from solos.errors import UserError
from solos.media.crops import Box
from solos.media.errors import MediaError
from solos.media.extent import extent
from solos.media.pictures import extract_crops, unequal_ends
from solos.media.probe import probe
from solos.media.sound import decode, read_blocks, resample_blocks
from solos.media.track import is_odd
from solos.models.inputs import whole_frames
from solos.separation.separator import Separator
from solos.separation.targets import block_pictures, picture_targets
from solos.storage.files import file_hash
from solos.storage.pictures import count_frames, read_frames

log = logging.getLogger(__name__)

SUBTYPES = {16: "PCM_16", 32: "FLOAT"}
"""libsndfile's names of samples of so many bits."""
_NO_SUCH_RATE = (
    "the estimates are at {} Hz, not at the recording's {} Hz: as that has little in common with "
    "11025 Hz, resampling to it would take too much memory"
)


@dataclass(frozen=True)
class Job:
    """What all inputs of a command have in common."""

    options: argparse.Namespace
    separator: Separator
    model: dict
    """What the report says of the network."""
    sources: Sequence[Wanted]
    pictures: Extract


def separate_file(path: Path, folder: Path, job: Job) -> dict:
    """Separate one recording; returns its report, which is also written.

    Raises:
        UserError: with the file and what is wrong with it.
    """
    kinds = [".wav", *([".mp4"] if job.options.video else [])]
    names = [source.name + kind for source in job.sources for kind in kinds]
    names += [*(["map.png"] if job.options.map else []), outputs.REPORT]
    outputs.require_apart(folder, names, [*job.options.inputs, job.options.audio or path])
    with outputs.published(folder, names, job.options.overwrite) as scratch:
        recording = open_recording(path, scratch, job)
        rate, length, cut = write_estimates(recording, scratch, job)
        filmed = write_films(recording, scratch, job) if job.options.video else []
        if job.options.map:
            write_map(recording, scratch / "map.png", job)
        remarks = list(dict.fromkeys([*recording.remarks, *filmed, *cut]))
        report = make_report(recording, job, rate, length, names) | {"remarks": remarks}
        (scratch / outputs.REPORT).write_text(to_json(report) + "\n", encoding="utf-8")
    for remark in remarks:
        log.warning("%s: %s", path, remark)
    if not job.options.json:
        for name in names:
            print(folder / name)
    return report


@dataclass(frozen=True)
class Recording:
    """An input, decoded as far as needed."""

    path: Path
    sound: Path
    """What :func:`solos.media.sound.read_blocks` reads."""
    size: tuple[int, int]
    """Of the picture; 0, 0 without one."""
    boxes: Sequence[Box]
    """Of the players; empty where none are needed."""
    archives: Sequence[Path]
    """Pictures of each player, and of the whole picture at the end if a map is asked for."""
    remarks: Sequence[str]
    odd_rate: int = 0
    """Hz of the input's sound, if it is one that can't be resampled to, else 0."""


def open_recording(path: Path, scratch: Path, job: Job) -> Recording:
    """Decode what the network needs of an input into ``scratch``."""
    source = job.options.audio or path
    for file in (path, source):
        _require_file(file)
    try:
        sound, remark = decode(source, scratch)
    except MediaError as error:
        hint = "" if job.options.audio or error.status != "no_audio" else ": give it with --audio"
        raise UserError(f"{source}: {error}{hint}") from None
    try:
        recording, rate = _with_pictures(path, sound, remark, scratch, job), probe(source).rate
        return replace(recording, odd_rate=rate) if is_odd(rate) else recording
    except MediaError as error:
        raise UserError(f"{path}: {error}") from None


def _require_file(path: Path) -> None:
    """Opening a pipe would wait for its writer, and it can be read but once."""
    if not path.is_file():
        there = "a folder" if path.is_dir() else "no file, but a pipe or a device"
        raise UserError(f"{path}: {there if path.exists() else 'no such file'}")


def _with_pictures(path: Path, sound: Path, remark: str, scratch: Path, job: Job) -> Recording:
    remarks = remark.split("; ") if remark else []
    if not (job.separator.needs_frames or job.options.video):
        return Recording(path, sound, (0, 0), (), (), remarks)
    found = probe(path)
    if job.options.audio and (why := extent(path).why):
        remarks.append(f"of the video, {why}")
    width, height = found.width, found.height
    if not width:
        who = "--video" if not job.separator.needs_frames else "this network"
        raise MediaError("no_video", f"the file has no picture, which {who} needs")
    if not job.separator.needs_frames:
        return Recording(path, sound, (width, height), (), (), remarks)
    n_players = sum(len(source.players) for source in job.sources)
    boxes = player_boxes(width, height, n_players, job.options.boxes)
    regions = [*boxes, *([(0, 0, width, height)] if job.options.map else [])]
    archives = [scratch / f"{k}.zip" for k in range(len(regions))]
    n_frames, complaint = extract_crops(path, regions, archives, job.pictures, job.separator.aspect)
    about = soundfile.info(os.fsencode(sound))
    seconds = about.frames / about.samplerate
    remarks += [unequal_ends(n_frames / FRAME_RATE, seconds), complaint]
    remarks = [remark for remark in remarks if remark]
    return Recording(path, sound, (width, height), boxes, archives, remarks)


def write_estimates(recording: Recording, folder: Path, job: Job) -> tuple[int, int, list[str]]:
    """Write a WAV a source; returns their rate (Hz) and length (samples), and remarks."""
    options, recipe = job.options, job.separator.recipe
    about = soundfile.info(os.fsencode(recording.sound))
    players = [
        (source.instrument or source.name, [recording.archives[k - 1] for k in source.players])
        for source in job.sources
    ]
    stretches = job.separator.stream(
        read_blocks(recording.sound),
        lambda start: picture_targets(players, start, recipe),
        options.batch_size,
        options.overlap,
    )
    length = math.ceil(about.frames * SAMPLE_RATE / about.samplerate)
    remarks: list[str] = []
    with progress_bar(recording.path.name, length, options.quiet) as bar:
        waves = outputs.counted((stretch.numpy() for stretch in stretches), bar.update)
        rate = SAMPLE_RATE
        if options.rate == "original":
            rate, length = about.samplerate, about.frames
            waves = resample_blocks(waves, SAMPLE_RATE, rate)
            if recording.odd_rate:
                remarks = [_NO_SUCH_RATE.format(rate, recording.odd_rate)]
        paths = [folder / f"{source.name}.wav" for source in job.sources]
        remarks += outputs.write_sounds(paths, waves, rate, length, SUBTYPES[options.bits])
    return rate, length, remarks


def write_films(recording: Recording, folder: Path, job: Job) -> list[str]:
    """A film a source: of its player, or of all where that is not one of several.

    Returns:
        What is remarkable about the pictures, where :func:`open_recording` did not look at them.
    """
    remarks: list[str] = []
    for source in job.sources:
        own = [recording.boxes[k - 1] for k in source.players]
        region = own[0] if len(own) == 1 else (0, 0, *recording.size)
        sound = folder / f"{source.name}.wav"
        film = sound.with_suffix(".mp4")
        complaint, ends = outputs.write_film(film, video=recording.path, box=region, sound=sound)
        remarks += [complaint, "" if recording.archives else ends]
    return [remark for remark in remarks if remark]


def write_map(recording: Recording, path: Path, job: Job) -> None:
    """Where the sound is in the whole picture, over the picture halfway through."""
    archive, recipe = recording.archives[-1], job.separator.recipe
    energies = job.separator.localize(
        read_blocks(recording.sound),
        lambda start: whole_frames(block_pictures(archive, start, recipe), recipe.image_size),
    )
    picture = read_frames(archive, [count_frames(archive) // 2])[0]
    outputs.write_map(path, picture, energies.numpy())


def make_report(
    recording: Recording, job: Job, rate: int, length: int, names: Sequence[str]
) -> dict:
    """What was done, for ``separation.json``."""
    options, about = job.options, soundfile.info(os.fsencode(recording.sound))
    audio = options.audio and {
        "audio": str(options.audio),
        "audio_sha256": file_hash(options.audio),
    }
    n_samples = math.ceil(about.frames * SAMPLE_RATE / about.samplerate)
    hop = SEGMENT - round(options.overlap * SEGMENT)
    pictures = {**job.pictures.model_dump(), "aspect": job.separator.aspect}
    count = 1 + math.ceil(max(0, n_samples - SEGMENT) / hop)
    return {
        "input": {
            "file": str(recording.path),
            "sha256": file_hash(recording.path),
            **(audio or {}),
            "seconds": round(about.frames / about.samplerate, 3),
            "rate": recording.odd_rate or about.samplerate,
            "picture": list(recording.size) if recording.size[0] else None,
        },
        "model": job.model,
        "sources": [
            {
                "name": source.name,
                "instrument": source.instrument,
                "players": list(source.players),
                "boxes": [list(recording.boxes[k - 1]) for k in source.players],
                "files": [name for name in names if Path(name).stem == source.name],
            }
            for source in job.sources
        ],
        "output": {"rate": rate, "samples": length, "bits": options.bits},
        "segments": {"count": count, "samples": SEGMENT, "overlap": options.overlap},
        "options": {"batch_size": options.batch_size, "pictures": pictures},
        "versions": versions(),
    }

"""Hostile inputs for every stage and every command: one line each, never a traceback.

Whatever a user can put in a stage's way, or a broken disk can make of what an earlier stage wrote:
each file that a stage reads is taken away, emptied, cut, exchanged for noise, for another table,
for a folder. The stage ends well or by ``error: …``; any exception that gets out fails the test.
"""

import json
import os
import runpy
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from closure import ROOT
from test_dvc import STAGES, script
from test_media import write_clip

from solos import SAMPLE_RATE
from solos.commands.cli import main
from solos.datasets import read_pieces
from solos.errors import UserError
from solos.models.weights import build_network, save_state, weight_files
from solos.notes.bank import Bank
from solos.storage.tables import read_table, write_table

PIECE = "01_Duet_vn_fl"
NOTE = "bassoon_{pitch}_1_forte_arco-normal.wav"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory, run, training_set, sop_recipe, mhu_recipe) -> Path:
    """A workspace in which each stage has all that it reads."""
    root = tmp_path_factory.mktemp("hostile") / "workspace"
    shutil.copytree(run.data.parent, root)
    for source, name in zip(training_set, ("spectrograms", "extracted"), strict=True):
        shutil.copytree(source, root / "data" / name / "solos")
    _write_params(root, sop_recipe, mhu_recipe)
    (root / "metrics").mkdir()
    for row in ("mixture", *run.networks):
        shutil.copy(ROOT / "metrics" / f"{row}.json", root / "metrics")
        (root / "data/variants").mkdir(exist_ok=True)
        (root / "data/variants" / f"{row}.json").write_text("{}")
    (root / "set").mkdir()
    lines = [f'{name},Tuba,{name}.mp4,"[[0, 9999]]"' for name in "ab"]
    (root / "set/index.csv").write_text("\n".join(["id,instrument,url,spans", *lines, ""]))
    for name in "ab":
        write_clip(root / "set" / f"{name}.mp4", seconds=7)
    _write_raw(root)
    _write_urmp(root / "urmp" / PIECE)
    _write_notes(root / "given")
    (root / "music.json").write_text('{"videos": {"tuba": ["-abcdefghij"]}}')
    network = build_network(sop_recipe)
    for name, part in weight_files(network).items():
        save_state(root / "weights" / name, part.state_dict())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert "fewer than 10 usable notes of" in str(run_stage("notes", patch))
    return root


def _write_params(root: Path, sop_recipe, mhu_recipe) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    rows = content["model"]
    content["model"] = {
        "sop": rows["sop"] | {"epochs": 1},
        "mhunet": rows["mhunet"] | {"epochs": 1},
    }
    content["train"] |= {
        "sop": sop_recipe.model_dump(mode="json"),
        "music": sop_recipe.model_dump(mode="json"),
        "mhunet": mhu_recipe.model_dump(mode="json"),
    }
    content["dataset"] = {"solos": content["dataset"]["solos"] | {"folder": "set"}}
    content["parallel"] = {"backend": "threading", "jobs": 1}
    content["download"] |= {"retries": 0, "min_coverage": 0.0, "min_instrument_coverage": 0.0}
    content["urmp"] = {"path": "urmp", "sha256": None, "crops": "crops.csv", "aspect": "keep"}
    content["notes"] = {"path": "given"}
    content["play"] = {"solos": {"recordings": 2, "seconds": 10.0, "ensembles": 1}}
    content["index"] = {"music": {"source": "music.json"}}
    content["pretrained"] = content["pretrained"] | {"source": "files", "path": "weights"}
    content["statistics"]["resamples"] = 20
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    (root / "crops.csv").write_text("piece,part,x,y,width,height\n")


def _write_raw(root: Path) -> None:
    raw = root / "data/raw/solos"
    raw.mkdir(parents=True)
    for name in "ab":
        shutil.copy(root / "set" / f"{name}.mp4", raw)
    header = "id,instrument,status,reason,file,bytes,duration,resolution,sha256,attempts"
    lines = [f"{name},Tuba,ok,,{name}.mp4,1,7.0,96x64,x{name},1" for name in "ab"]
    (raw / "status.csv").write_text("\n".join([header, *lines, ""]))


def _write_urmp(folder: Path) -> None:
    folder.mkdir(parents=True)
    waves = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 7 * 16000))
    for k, wave in enumerate(waves, 1):
        soundfile.write(folder / f"AuSep_{k}_x_01_Duet.wav", wave, 16000)
    soundfile.write(folder / f"AuMix_{PIECE}.wav", waves.sum(0), 16000)
    write_clip(folder / f"Vid_{PIECE}.mp4", seconds=7)


def _write_notes(folder: Path) -> None:
    folder.mkdir()
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for k, pitch in enumerate(("C2", "D2", "E2", "F2", "G2", "A2", "B2", "C3", "D3", "E3", "F3")):
        tone = 0.2 * np.sin(2 * np.pi * 65 * 2 ** (k / 6) * time)
        soundfile.write(folder / NOTE.format(pitch=pitch), tone, SAMPLE_RATE)


READ = {
    "synthesize solos": ["params.yaml"],
    "notes": ["given/" + NOTE.format(pitch="C2"), "given"],
    "play solos": ["params.yaml"],  # and see below
    "index music": ["music.json"],
    "download solos": ["set/index.csv", "set/a.mp4"],
    "extract solos": ["data/raw/solos/status.csv", "data/raw/solos/a.mp4"],
    "spectrograms solos": [
        *("set/index.csv", "data/extracted/solos/status.csv", "data/extracted/solos/Tuba-0.wav"),
    ],
    "urmp": [
        *(f"urmp/{PIECE}/AuSep_1_x_01_Duet.wav", f"urmp/{PIECE}/AuMix_{PIECE}.wav"),
        *(f"urmp/{PIECE}/Vid_{PIECE}.mp4", "crops.csv", f"urmp/{PIECE}", "urmp"),
    ],
    "pretrained": ["weights/sound_best.pth", "weights"],
    "train mhunet": [
        *("data/spectrograms/solos/recordings.csv", "data/spectrograms/solos/Cello-0.npy"),
        *("data/extracted/solos/Cello-2.wav",),
    ],
    "train sop": ["data/extracted/solos/Flute-2.zip"],
    "baselines mixture": [
        "data/urmp/pieces.csv",
        "data/urmp/parts.csv",
        f"data/urmp/{PIECE}/1.wav",
    ],
    "baselines oracles": [f"data/urmp/{PIECE}/mix.wav"],
    "evaluate sop": [f"data/urmp/{PIECE}/1.zip", "data/models/sop/frame_best.pth"],
    "evaluate mhunet": ["data/models/mhunet/network.yaml", "data/models/mhunet/mhunet_best.pth"],
    "statistics": ["data/evaluation/sop.csv", "data/evaluation"],
    "report": [
        *("data/evaluation/sop.csv", "data/coverage/solos.csv", "data/urmp/pieces.csv"),
        *("data/statistics/rows.csv", "data/statistics/paired.csv", "metrics/sop.json"),
        *("data/variants/sop.json", "data/training/sop/plots/metrics/val_loss.tsv"),
        *("data/models/sop/network.yaml",),
    ],
}
"""Of each stage, what it reads."""
DAMAGES = ("absent", "empty", "half", "noise", "zeros", "another table", "a whole one", "a folder")


FEWER = {"report": ("another table",), "train mhunet": ("absent", "half", "noise")}
"""Where a run that goes well takes a while."""


def test_every_stage_is_tried():
    assert {script(stage) for stage in STAGES} == {line.split()[0] for line in READ}


@contextmanager
def damaged(path: Path, damage: str) -> Iterator[None]:
    """Do that to a file, or to a folder; it is as it was afterwards."""
    kept = path.with_name(path.name + ".kept")
    path.rename(kept)
    old = kept.read_bytes() if kept.is_file() else bytes(1000)
    contents = {
        "empty": b"",
        "half": old[: len(old) // 2],
        "noise": np.random.default_rng(1).bytes(5000),
        "zeros": bytes(5000),
        "another table": b"a,b,c\n1,2,3\n4,5\n",
        "a whole one": b"a,b\n1,2\n",
    }
    try:
        if damage == "a folder":
            path.mkdir()
        elif damage != "absent":
            path.write_bytes(contents[damage])
        yield
    finally:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        kept.rename(path)


def run_stage(line: str, monkeypatch) -> object:
    """What the stage ends with: None, or its ``error: …``."""
    name, *arguments = line.split()
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    try:
        sys.modules.pop(f"pipeline.{name}", None)  # runpy warns of what is there
        runpy.run_module(f"pipeline.{name}", run_name="__main__")
    except SystemExit as end:
        return end.code
    return None


@pytest.mark.parametrize("line", READ)
def test_a_stage_ends_with_one_message(line, healthy, tmp_path, monkeypatch):
    folder = tmp_path / "workspace"
    shutil.copytree(healthy, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    faults = []
    for name in READ[line]:
        for damage in FEWER.get(line, DAMAGES):
            with damaged(folder / name, damage):
                try:
                    ended = run_stage(line, monkeypatch)
                except Exception as error:
                    faults.append(f"{name}, {damage}: {type(error).__name__}: {error}"[:200])
                    continue
            if not (ended is None or str(ended).startswith("error: ")):
                faults.append(f"{name}, {damage}: {ended}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", ["Bassoon.csv", "Bassoon.npy"])
@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage != "a folder"])
def test_a_damaged_bank_of_notes_is_named(healthy, name, damage):
    """What the stage `play` reads once it has parsed its scores, which takes a while."""
    with (
        damaged(healthy / "data/notes" / name, damage),
        pytest.raises(UserError, match=rf"{name} (is damaged|is missing|holds)|no usable notes"),
    ):
        Bank(healthy / "data/notes", "Bassoon", "train")


def hostile_files(folder: Path) -> dict[str, Path]:
    """Inputs that no command can make sense of."""
    contents = {
        "empty.wav": b"",
        "zeros.wav": bytes(9999),
        "noise.mp4": np.random.default_rng(2).bytes(9999),
        "page.mp3": b"<html><body>Sign in to the network</body></html>" * 50,
        "header.wav": b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "list.m3u8": b"#EXTM3U\n#EXTINF:4,\n/etc/passwd\n",
        "concat.txt": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "new\nline.wav": b"no sound",
        "-option.wav": b"no sound",
        "%d{}$HOME~.wav": b"no sound",
        os.fsdecode(b"\xff\xfe.wav"): b"no sound",
        "x" * 240 + ".wav": b"no sound",
    }
    made = {name: folder / "odd" / name for name in contents}
    (folder / "odd").mkdir()
    for name, path in made.items():
        path.write_bytes(contents[name])
    (folder / "odd/folder.wav").mkdir()
    (folder / "odd/loop.wav").symlink_to("loop.wav")
    others = {name: folder / "odd" / name for name in ("folder.wav", "loop.wav", "absent.wav")}
    return made | others | {"a name too long": folder / ("y" * 300)}


@pytest.fixture(scope="module")
def odd(healthy, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("odd") / "workspace"
    shutil.copytree(healthy, folder)
    return hostile_files(folder)


def test_separate_ends_with_a_line_for_each(odd, tmp_path, capsys):
    """All at once: none of them costs the good one at the end."""
    good = odd["empty.wav"].parents[1] / "good.wav"
    soundfile.write(good, np.random.default_rng(0).uniform(-0.1, 0.1, 20000), SAMPLE_RATE)
    inputs = [str(path) for path in (*odd.values(), good)]
    words = ["separate", "--weights", str(good.parent / "data/models/mhunet"), "--quiet"]
    words += ["--instruments", "horn", "--out", str(tmp_path / "out"), "--", *inputs]
    assert main(words) == 1
    errors = capsys.readouterr().err.splitlines()
    others = [line for line in errors if not line.startswith("solos separate: ")]
    assert not others, others
    assert len(errors) == len(odd), errors
    assert (tmp_path / "out/good/Horn.wav").is_file()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]


def hostile_lines(folder: Path, good: str) -> Iterator[list[str]]:
    """Command lines whose every file may be anything."""
    network = str(folder.parents[0] / "workspace/data/models/mhunet")
    for path in ("odd/noise.mp4", "odd/folder.wav", "odd/absent.wav", "set/index.csv"):
        odd = str(folder / path)
        yield ["separate", good, "--out", odd + "/o", "--weights", network]
        yield ["separate", good, "--out", str(folder / "o"), "--weights", odd]
        yield ["separate", good, "--out", str(folder / "o"), "--model", "mhunet", "--audio", odd]
        yield ["separate", good, "--out", str(folder / "o"), "--model", "sop", "--workspace", odd]
        yield ["score", "--references", odd, "--estimates", str(folder / "urmp")]
        yield ["score", "--references", str(folder / "urmp"), "--estimates", odd]
        scoring = ["score", "--references", str(folder / "urmp"), "--estimates"]
        yield [*scoring, str(folder / "urmp"), "--out", odd]
        yield ["info", "--workspace", odd]


def test_any_file_in_any_place_of_a_command_line_is_a_line_at_most(odd, monkeypatch, capsys):
    folder = odd["empty.wav"].parents[1]
    monkeypatch.chdir(folder)
    good = folder / "short.wav"
    soundfile.write(good, np.random.default_rng(0).uniform(-0.1, 0.1, 9000), SAMPLE_RATE)
    for words in hostile_lines(folder, str(good)):
        code = main([*words, "--quiet"])
        errors = capsys.readouterr().err.splitlines()
        assert code in (0, 1, 2) and len(errors) == (0 if code == 0 else 1), (words, errors)


@pytest.mark.parametrize("damage", DAMAGES)
def test_score_says_what_is_wrong_with_a_file(healthy, damage, tmp_path, capsys, score_in_threads):
    shutil.copytree(healthy / "urmp", tmp_path / "r")
    shutil.copytree(healthy / "urmp", tmp_path / "e")
    words = ["score", "--references", str(tmp_path / "r"), "--estimates", str(tmp_path / "e")]
    for side in ("r", "e"):
        with damaged(tmp_path / side / PIECE / "AuSep_1_x_01_Duet.wav", damage):
            assert main([*words, "--quiet"]) in (0, 1)
        assert len(capsys.readouterr().err.splitlines()) <= 1


def test_a_piece_whose_name_is_no_utf8_is_told_of_and_costs_no_other(
    healthy, tmp_path, capsys, score_in_threads
):
    """In the table of the stage `urmp`, and in `score`, whose JSON and CSV stay UTF-8."""
    for side in ("r", os.fsdecode(b"syst\xe8me")):
        shutil.copytree(healthy / "urmp", tmp_path / side)
        odd = os.fsdecode(b"02_\xc9tude_vn_fl")
        shutil.copytree(healthy / "urmp" / PIECE, tmp_path / side / odd)
    words = ["score", "--references", str(tmp_path / "r"), "--estimates"]
    words += [str(tmp_path / os.fsdecode(b"syst\xe8me")), "--out", str(tmp_path / "out"), "--json"]
    assert main([*words, "--quiet"]) == 0
    printed = capsys.readouterr().out.encode("utf-8")  # strictly
    ((name, summary),) = json.loads(printed).items()
    assert os.fsencode(name) == b"syst\xe8me" and summary["segments"] == 1
    (table,) = (tmp_path / "out").glob("*.csv")
    text = table.read_text(encoding="utf-8")
    assert "the folder's name is no UTF-8: rename it" in text and "tude_vn_fl" in text
    (piece,) = [piece for piece in read_pieces(tmp_path / "r") if piece.problem]
    write_table(tmp_path / "pieces.csv", ("piece", "reason"), [{"piece": piece.name}])
    assert read_table(tmp_path / "pieces.csv", "urmp")[0]["piece"] == r"02_\udcc9tude_vn_fl"

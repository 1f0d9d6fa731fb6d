"""The command ``solos``, on a prepared piece and tiny networks; errors as a user sees them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image
from test_media import ffmpeg
from test_urmp import tone, write_video

from pipeline import urmp as stage
from solos import INSTRUMENTS, SAMPLE_RATE, SEGMENT
from solos.commands.cli import main
from solos.config.data import Extract, Urmp
from solos.config.params import Parallel
from solos.config.rows import Protocol
from solos.evaluation.segments import prepared_pieces
from solos.media.probe import probe
from solos.media.sound import read_audio, resample_blocks
from solos.models.weights import build_network, save_network
from solos.separation.separator import load_separator
from solos.separation.variants import ROW, Way, separate_pieces
from solos.storage.files import file_hash

ROOT = Path(__file__).resolve().parents[1]
NAME = "04_Grave_vn_vc_vn"
SECONDS = 13
PICTURES = {"short_side": 32, "jpeg_quality": 2}
RATE = 48000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, params, sop_recipe, mhu_recipe) -> Path:
    """A piece of two violins and a cello, prepared by the stage ``urmp``, and two networks."""
    root = tmp_path_factory.mktemp("workspace")
    folder = root / "urmp" / NAME
    folder.mkdir(parents=True)
    noise = 0.02 * np.random.default_rng(5).standard_normal((3, SECONDS * RATE))
    waves = [tone(300 * k, SECONDS) + noise[k - 1] for k in (1, 2, 3)]
    for k, wave in enumerate(waves, 1):
        soundfile.write(folder / f"AuSep_{k}_vn_04_Grave.wav", wave, RATE, subtype="PCM_24")
    soundfile.write(folder / f"AuMix_{NAME}.wav", sum(waves), RATE, subtype="PCM_24")
    write_video(folder, n=3, seconds=SECONDS)
    content = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"extract": PICTURES}
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    sighted = sop_recipe.model_copy(update={"init_std": 0.1})  # 0.001 would hardly see anything
    for row, recipe in (("sop", sighted), ("mhunet", mhu_recipe)):
        about = {"network": row, "epoch": 3, "val_loss": 0.5, "recipe": recipe.model_dump()}
        save_network(root / "data" / "models" / row, build_network(recipe), about)
    (root / "crops.csv").write_text("piece,part,x,y,width,height\n")
    settings = Urmp(path="urmp", sha256=None, crops="crops.csv", aspect="keep")
    update = {"extract": Extract(**PICTURES), "urmp": settings}
    one_thread = Parallel(backend="threading", jobs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        stage.main(params.model_copy(update=update | {"parallel": one_thread}))
    return root


@pytest.fixture
def video(workspace) -> Path:
    return workspace / "urmp" / NAME / f"Vid_{NAME}.mp4"


@pytest.fixture
def mix(workspace) -> Path:
    return workspace / "urmp" / NAME / f"AuMix_{NAME}.wav"


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def separate(workspace, out):
    """Runs ``solos separate`` into ``out``; returns its exit code."""

    def run(*arguments: object) -> int:
        rest = ("--out", out, "--workspace", workspace, "--quiet")
        return main(["separate", *map(str, (*arguments, *rest))])

    return run


def waves(folder: Path, *names: str) -> np.ndarray:
    return np.stack([soundfile.read(folder / f"{name}.wav", dtype="float32")[0] for name in names])


@pytest.mark.parametrize("model", ["sop", "mhunet"])
def test_the_estimates_are_those_that_evaluate_scores(separate, workspace, out, video, mix, model):
    arguments = ("--audio", mix, "--model", model, "--instruments", "violin,CELLO,Violin")
    assert separate(video, *arguments) == 0
    separator = load_separator(workspace / "data" / "models" / model)
    (piece,) = prepared_pieces(workspace / "data" / "urmp")
    ways = {ROW: Way(separator, Protocol())}
    scored = separate_pieces(ways, [piece], 8)
    expected = np.concatenate([estimates[ROW] for _, estimates in scored], axis=1)
    assert [source.instrument for source in piece.sources] == ["Violin", "Cello"]
    got = waves(out, "Violin", "Cello")
    assert expected.shape == (2, 2 * SEGMENT) and got.shape == (2, SECONDS * SAMPLE_RATE)
    assert np.abs(expected).max() > 0.01
    assert np.abs(expected[0] - expected[1]).max() > 1e-3  # the pictures matter
    np.testing.assert_allclose(got[:, : 2 * SEGMENT], expected, atol=1e-5)


def test_the_report_says_what_was_done(separate, workspace, out, video, mix):
    assert separate(video, "--audio", mix, "--model", "sop", "--players", 3, "--overlap", 0.25) == 0
    report = json.loads((out / "separation.json").read_text())
    assert report["input"] == {
        **{"file": str(video), "sha256": file_hash(video), "seconds": 13.0, "rate": RATE},
        **{"audio": str(mix), "audio_sha256": file_hash(mix), "picture": [192, 64]},
    }
    weights = sorted((workspace / "data/models/sop").glob("*.pth"))
    assert report["model"]["sha256"] == {path.name: file_hash(path) for path in weights}
    about = {key: report["model"][key] for key in ("row", "network", "epoch", "masks")}
    assert about == {"row": "sop", "network": "sop", "epoch": 3, "masks": "binary"}
    sources = report["sources"]
    assert [source["boxes"] for source in sources] == [[[64 * k, 0, 64, 64]] for k in range(3)]
    assert [source["name"] for source in sources] == ["player1", "player2", "player3"]
    samples = SECONDS * SAMPLE_RATE
    assert report["segments"] == {"count": 3, "samples": SEGMENT, "overlap": 0.25}
    assert report["output"] == {"rate": SAMPLE_RATE, "samples": samples, "bits": 32}
    assert report["options"] == {"batch_size": 1, "pictures": PICTURES | {"aspect": "keep"}}
    assert report["versions"]["torch"].startswith("2.") and report["remarks"] == []
    assert {path.name for path in out.iterdir()} == {
        *(f"player{k}.wav" for k in (1, 2, 3)),
        "separation.json",
    }


def test_boxes_are_the_players_regions(separate, out, video, mix):
    """The same regions in another order are the same players under other names."""
    boxes = ["0,0,64,64", "64,0,64,64", "128,0,64,64"]
    arguments = (video, "--audio", mix, "--model", "sop", "--overwrite")
    assert separate(*arguments, "--players", 3) == 0
    equal = waves(out, "player1", "player2", "player3")
    assert separate(*arguments, "--boxes", *boxes[::-1]) == 0
    np.testing.assert_array_equal(waves(out, "player3", "player2", "player1"), equal)
    assert np.abs(equal[0] - equal[2]).max() > 1e-3


def test_binary_masks(separate, out, video, mix):
    arguments = (video, "--audio", mix, "--model", "sop", "--players", 3, "--overwrite")
    soft, binary = [], []
    for kind, found in (("soft", soft), ("binary", binary)):
        assert separate(*arguments, "--masks", kind) == 0
        found.append(waves(out, "player1"))
    assert not np.array_equal(soft, binary)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "m4a"])
def test_any_format_and_all_instruments_by_default(separate, out, mix, tmp_path, suffix):
    """MHU-Net's masks sum to one, so the thirteen estimates sum to the recording."""
    path = tmp_path / f"mix.{suffix}"
    ffmpeg("-i", mix, path)
    assert separate(path, "--model", "mhunet") == 0
    total = waves(out, *INSTRUMENTS).sum(axis=0)
    expected = read_audio(mix)
    overlap = min(len(total), len(expected))
    correlation = np.corrcoef(total[:overlap], expected[:overlap])[0, 1]
    assert correlation > (0.9999 if suffix in ("wav", "flac") else 0.98)


def test_the_network_that_comes_along_is_told_who_plays_or_not(separate, out, mix, tmp_path):
    assert separate(mix, "--instruments", "violin,cello,violin") == 0
    told = json.loads((out / "separation.json").read_text())["model"]
    assert (told["row"], told["network"], told["told"]) == (None, "informed", ["Violin", "Cello"])
    assert sorted(path.stem for path in out.glob("*.wav")) == ["Cello", "Violin"]
    (mixed,) = waves(out, "Violin") + waves(out, "Cello")
    assert separate(mix, "--overwrite") == 0
    assert json.loads((out / "separation.json").read_text())["model"]["told"] is None
    assert sorted(path.stem for path in out.glob("*.wav")) == sorted(INSTRUMENTS)
    np.testing.assert_allclose(waves(out, *INSTRUMENTS).sum(axis=0), mixed, atol=1e-3)


def test_the_original_rate_and_16_bits(separate, out, mix):
    assert separate(mix, "--model", "mhunet", "--instruments", "tuba") == 0
    (tuba,) = waves(out, "Tuba")
    original = ("--rate", "original", "--bits", 16, "--overwrite")
    assert separate(mix, "--model", "mhunet", "--instruments", "tuba", *original) == 0
    about = soundfile.info(out / "Tuba.wav")
    assert (about.samplerate, about.frames, about.subtype) == (RATE, SECONDS * RATE, "PCM_16")
    expected = np.concatenate(list(resample_blocks([tuba], SAMPLE_RATE, RATE)))
    np.testing.assert_allclose(waves(out, "Tuba")[0], expected[: SECONDS * RATE], atol=4e-5)


def test_equal_inputs_give_equal_bytes_and_nothing_is_overwritten_unasked(
    separate, out, mix, capsys
):
    arguments = (mix, "--model", "mhunet", "--instruments", "horn")
    assert separate(*arguments) == 0
    files = {path.name: file_hash(path) for path in out.iterdir()}
    wav = (out / "Horn.wav").read_bytes()
    peak = wav.index(b"PEAK")
    assert wav[peak + 12 : peak + 16] == bytes(4)  # libsndfile's time of writing
    (out / "mine.txt").write_text("mine")
    assert separate(*arguments) == 1
    message = f"{out / 'Horn.wav'} is there: use --overwrite, or another --out"
    assert capsys.readouterr().err == f"solos separate: {message}\n"
    assert separate(*arguments, "--overwrite") == 0
    now = {path.name: file_hash(path) for path in out.iterdir()}
    assert now == files | {"mine.txt": now["mine.txt"]}


def test_several_inputs_a_folder_each_and_one_that_fails_does_not_stop_the_rest(
    separate, out, mix, tmp_path, capsys
):
    dots = tmp_path / "...wav"  # its stem must not lead out of the folder
    shutil.copyfile(mix, dots)
    text = tmp_path / "letter.txt"
    text.write_text("Dear Sir or Madam\n" * 99)
    arguments = ("--model", "mhunet", "--instruments", "horn")
    assert separate(text, mix, dots, *arguments) == 1
    errors = capsys.readouterr().err
    assert errors == f"solos separate: {text}: a text, not a media file\n"
    folders = {path.name for path in out.iterdir()}
    assert folders == {mix.stem, "input"}
    np.testing.assert_array_equal(waves(out / "input", "Horn"), waves(out / mix.stem, "Horn"))


def test_films_and_a_map(separate, out, video, mix):
    arguments = ("--audio", mix, "--model", "sop", "--instruments", "violin,cello,violin")
    assert separate(video, *arguments, "--video", "--map") == 0
    cello, violin = probe(out / "Cello.mp4"), probe(out / "Violin.mp4")
    assert (cello.width, cello.height, cello.audio) == (64, 64, True)
    assert (violin.width, violin.height) == (192, 64)  # two players: the whole picture
    assert cello.duration == pytest.approx(SECONDS, abs=0.2)
    ffmpeg("-i", out / "Cello.mp4", "-frames:v", 1, out / "cello.png")
    assert np.asarray(Image.open(out / "cello.png")).mean() == pytest.approx(80, abs=4)  # k = 2
    assert Image.open(out / "map.png").size == (96, 32)


MISTAKES = {
    "one told of": (("--instruments", "horn"), 2, "--instruments: name all that play"),
    "unknown row": (("--model", "sopp"), 2, "--model: no row 'sopp' but sop_pretrained, sop, "),
    "not trained": (("--model", "sop_ft"), 1, "sop_ft is not trained here (data"),
    "no weights": (("--weights", "nowhere"), 1, "--weights: nowhere/network.yaml is missing"),
    "no players": (("--model", "sop"), 2, "apart by sight: --players N or --instruments"),
    "players for MHU-Net": (("--model", "mhunet", "--players", 2), 2, "goes by sound alone"),
    "a map of MHU-Net": (("--model", "mhunet", "--map"), 2, "--map: this network goes by sound"),
    "masks of MHU-Net": (("--model", "mhunet", "--masks", "binary"), 2, "are ratios, and are not"),
    "two networks": (("--model", "sop", "--weights", "x"), 2, "both name a network: give one"),
    "two counts": (
        ("--model", "sop", "--players", 3, "--instruments", "violin,cello"),
        *(2, "--instruments: 2 named, but 3 player(s)"),
    ),
    "no sound": (("--model", "mhunet"), 1, "the file has no sound: give it with --audio"),
    "box outside": (
        ("--model", "sop", "--boxes", "0,0,64,64", "150,0,64,64", "--audio", "{mix}"),
        *(1, "--boxes: 150,0,64,64 reaches out of the picture, 192x64"),
    ),
    "too many players": (
        ("--model", "sop", "--players", 200, "--audio", "{mix}"),
        *(1, "192x64 pixels have no room for 200 players"),
    ),
    "absent audio": (("--model", "mhunet", "--audio", "no.wav"), 1, "no.wav: no such file"),
}


@pytest.mark.parametrize("option", ["--players", "--batch-size"])
@pytest.mark.parametrize("count", ["0", "-1", "2.5", "10000", "9" * 30, "9" * 5000])
def test_a_count_that_cannot_be_meant_is_refused_before_anything_is_listed(
    separate, out, mix, capsys, option, count
):
    assert separate(mix, f"{option}={count}", "--model", "sop") == 2
    errors = capsys.readouterr().err
    assert "is no number from 1 to 9999" in errors and errors.count("\n") == 1


def test_no_input_is_replaced_by_an_estimate(separate, out, mix, tmp_path, capsys):
    """Not even of another one, nor under another name."""
    separated = out / mix.stem
    separated.mkdir(parents=True)
    horn = Path(shutil.copy(mix, separated / "Horn.wav"))
    link = tmp_path / "link.wav"
    link.symlink_to(horn)
    kept = file_hash(horn)
    arguments = ("--model", "mhunet", "--instruments", "horn", "--overwrite")
    for inputs in ((mix, horn), (mix, link)):
        assert separate(*inputs, *arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        assert line.startswith(f"solos separate: {horn} is an input, and would be replaced")
        assert file_hash(horn) == kept


def test_a_pipe_is_not_waited_for(separate, out, mix, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.wav")
    for arguments in ((tmp_path / "pipe.wav",), (mix, "--audio", tmp_path / "pipe.wav")):
        assert separate(*arguments, "--model", "mhunet") == 1
        assert "pipe.wav: no file, but a pipe or a device" in capsys.readouterr().err


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(workspace, out, video, mix, capsys, monkeypatch, mistake):
    """The video has no sound of its own."""
    arguments, code, message = MISTAKES[mistake]
    monkeypatch.chdir(workspace)
    arguments = [str(argument).format(mix=mix) for argument in arguments]
    assert main(["separate", str(video), "--out", str(out), *arguments]) == code
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and errors.startswith("solos separate: ")
    assert message in errors
    assert not out.exists()


@pytest.mark.parametrize("content", [b"", b"no film" * 999, None])
def test_what_is_no_recording_is_one_line(separate, out, tmp_path, capsys, content):
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    assert separate(path, "--model", "mhunet") == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and errors.startswith(f"solos separate: {path}: ")
    assert not out.exists()


def test_sound_without_a_picture_is_no_input_for_sound_of_pixels(separate, mix, capsys):
    assert separate(mix, "--model", "sop", "--players", 2) == 1
    assert "the file has no picture, which this network needs" in capsys.readouterr().err


def test_a_disk_that_refuses_is_one_line(separate, out, mix, capsys):
    out.write_text("a file")
    assert separate(mix, "--model", "mhunet") == 1
    assert capsys.readouterr().err == f"solos separate: {out}: File exists\n"


def test_the_library_does_not_know_its_command():
    library = ROOT / "solos"
    entries = (library / "__main__.py", library / "score.py")
    for path in sorted(library.rglob("*.py")):
        if path.parent != library / "commands" and path not in entries:
            assert "solos.commands" not in path.read_text(), path


def test_two_inputs_of_one_name_are_refused(separate, out, mix, tmp_path, capsys):
    other = shutil.copyfile(mix, tmp_path / mix.name)
    assert separate(mix, other, "--model", "mhunet") == 2
    assert f"several inputs are named {mix.stem}" in capsys.readouterr().err
    assert not out.exists()


def run_command(folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "solos", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_exit_codes_and_streams_of_the_command(workspace, mix, out):
    unknown = run_command(workspace, "separate", mix, "--out", out, "--instruments", "violin,kazoo")
    assert unknown.returncode == 2 and unknown.stdout == ""
    assert unknown.stderr.count("\n") == 1
    assert f"'kazoo': none of {', '.join(INSTRUMENTS)}" in unknown.stderr
    lost = run_command(out.parent, "separate", mix, "--out", out, "--model", "mhunet", "--json")
    assert lost.returncode == 1 and lost.stderr.count("\n") == 1
    assert "neither params.yaml nor data/models" in json.loads(lost.stdout)["error"]
    arguments = ("separate", mix, "--out", out, "--model", "mhunet", "--instruments", "double-bass")
    done = run_command(workspace, *arguments, "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    (report,) = json.loads(done.stdout)
    assert report == json.loads((out / "separation.json").read_text())
    assert [source["files"] for source in report["sources"]] == [["DoubleBass.wav"]]


def test_info(workspace, capsys, monkeypatch):
    monkeypatch.chdir(workspace)
    Path("data/coverage").mkdir(exist_ok=True)
    lines = "instrument,listed,usable,minutes,not_usable\nCello,7,6,4.0,1 gone\nHorn,3,3,1.5,\n"
    Path("data/coverage/solos.csv").write_text(lines)
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"]["mhunet"] == {"network": "mhunet", "epoch": 3, "val_loss": 0.5}
    assert found["rows"]["sop_ft"] is None
    assert (found["profile"], found["seed"]) == ("mini", 0)
    assert found["coverage"] == {"solos": {"listed": 10, "usable": 9, "minutes": 5.5}}
    assert "not inside of a DVC repository" in found["stale"]
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert "row        mhunet: mhunet, best epoch 3, validation loss 0.50000\n" in text
    assert "row        sop_ft: not trained\n" in text
    assert "coverage   solos: 9 of 10 recordings, 5.5 minutes\n" in text


def test_info_in_an_empty_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["info"]) == 0
    assert "profile    no params.yaml here" in capsys.readouterr().out

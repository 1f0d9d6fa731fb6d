"""Known answers, by the stages' way and by that of anybody's folders."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from closure import ROOT
from golden.evaluation import FILE, PIECES, RATE, write_pieces
from joblib import cpu_count
from waiting import wait_for

from solos import SAMPLE_RATE
from solos.commands.cli import main
from solos.commands.scoring import score_folders
from solos.config.rows import Protocol
from solos.datasets.urmp import read_pieces
from solos.evaluation.oracles import BASELINES, baseline_estimates
from solos.evaluation.scores import score_rows
from solos.evaluation.segments import prepared_pieces, read_segments
from solos.preparation.pieces import prepare_audio
from solos.storage.tables import write_table

KNOWN = json.loads(FILE.read_text())
MEASURES = ["SDR", "SIR", "SAR"]
PIECES_OF = (
    "01_Known_vn_vc/AuSep_1_vn_01_Known.wav",
    "02_Answer_fl_vn_vn/AuSep_1_fl_02_Answer.wav",
)
"""A file of each piece."""


UNHINDERED = """
import signal, sys
from solos.commands.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were begun with
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def references(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("references")
    write_pieces(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(references, tmp_path_factory) -> Path:
    """What the stage ``urmp`` writes of it."""
    folder = tmp_path_factory.mktemp("prepared")
    pieces, parts = [], []
    for piece in read_pieces(references):
        n_samples, _ = prepare_audio(piece, folder / piece.name)
        pieces.append({"piece": piece.name, "n_samples": n_samples, "status": "ok"})
        for part in piece.parts:
            line = {"piece": piece.name, "part": part.index, "instrument": part.instrument}
            parts.append(line | {"wav": f"{piece.name}/{part.index}.wav"})
    write_table(folder / "pieces.csv", ("piece", "n_samples", "status", "reason"), pieces)
    write_table(folder / "parts.csv", ("piece", "part", "instrument", "wav", "frames"), parts)
    return folder


@pytest.fixture
def estimates(references, tmp_path) -> Path:
    """A system that gives the mixture for everything, in URMP's layout at 48 kHz."""
    folder = tmp_path / "lazy"
    for piece in PIECES:
        (folder / piece).mkdir(parents=True)
        for part in sorted((references / piece).glob("AuSep_*")):
            shutil.copy(references / piece / f"AuMix_{piece}.wav", folder / piece / part.name)
    (folder / "02_Answer_fl_vn_vn" / "AuSep_3_vn_02_Answer.wav").unlink()  # one for both violins
    return folder


def test_baselines_have_the_known_scores(prepared):
    """The mixture's SAR is that of rounding to 16 bit before the resampling: not known so well."""
    lines: dict[str, list] = {row: [] for row in BASELINES}
    for segment in read_segments(prepared_pieces(prepared), Protocol()):
        rows = baseline_estimates(segment.mix, segment.references)
        for row, scored in score_rows(segment, rows, Protocol()).items():
            lines[row] += scored
    for row in BASELINES:
        found = pd.DataFrame(lines[row])[MEASURES].to_numpy()
        assert found.shape == (8, 3)
        exact = slice(2 if row == "mixture" else 3)
        np.testing.assert_allclose(found[:, exact], np.array(KNOWN[row])[:, exact], atol=2e-4)


def test_anybodys_folder_has_the_known_scores(references, estimates):
    lines = score_folders(references, {"lazy": estimates}, Protocol())["lazy"]
    table = pd.DataFrame(lines)
    assert table["part"].tolist() == ["1", "2"] * 2 + ["1", "2+3"] * 2
    found = table[["SDR", "SIR"]].to_numpy()
    np.testing.assert_allclose(found, np.array(KNOWN["mixture"])[:, :2], atol=2e-4)


def test_the_sum_of_two_files_is_the_estimate_of_merged_parts(references, tmp_path):
    shutil.copytree(references, tmp_path / "perfect")
    table = pd.DataFrame(score_folders(references, {"x": tmp_path / "perfect"}, Protocol())["x"])
    assert (table[["SDR", "SI-SDR"]] > 100).all().all()
    each = score_folders(references, {"x": tmp_path / "perfect"}, Protocol(repeats="each"))["x"]
    assert [line["part"] for line in each[-3:]] == ["1", "2", "3"]


def test_what_is_missing_short_or_broken_is_a_line(references, estimates, tmp_path):
    first, second = (estimates / piece for piece in PIECES)
    wave, _ = soundfile.read(first / "AuSep_1_vn_01_Known.wav")
    soundfile.write(first / "AuSep_1_vn_01_Known.wav", wave[: 7 * RATE], RATE)
    (second / "AuSep_1_fl_02_Answer.wav").unlink()
    table = pd.DataFrame(score_folders(references, {"x": estimates}, Protocol())["x"])
    assert table["skipped"].tolist() == (
        ["", ""]
        + ["estimate of Violin ends before the segment does"] * 2
        + ["no estimate of Flute"] * 4
    )
    (second / "AuSep_1_fl_02_Answer.wav").write_bytes(b"RIFF, not")
    shutil.rmtree(first)
    table = pd.DataFrame(score_folders(references, {"x": estimates}, Protocol())["x"])
    assert set(table["skipped"][:4]) == {"no estimates of this piece"}
    assert table["skipped"][4].startswith("estimate of Flute: AuSep_1_fl_02_Answer.wav: ")


def test_clipping_and_broken_references_are_named(references, estimates, tmp_path, caplog):
    loud = np.clip(20 * np.sin(np.arange(round(12.5 * SAMPLE_RATE)) / 9), -1, 1)
    path = estimates / "01_Known_vn_vc" / "AuSep_2_vc_01_Known.wav"
    soundfile.write(path, loud, SAMPLE_RATE)
    shutil.copytree(references, tmp_path / "broken")
    (tmp_path / "broken/02_Answer_fl_vn_vn/AuSep_2_vn_02_Answer.wav").unlink()
    lines = score_folders(tmp_path / "broken", {"x": estimates}, Protocol())["x"]
    assert [line["skipped"] for line in lines] == [""] * 4 + [
        "unusable references: no AuSep file of part 2 (Violin)"
    ] * 2
    assert "x, 01_Known_vn_vc: AuSep_2_vc_01_Known.wav is clipped" in caplog.text
    assert caplog.text.count("is clipped") == 1
    assert "02_Answer_fl_vn_vn is not scored: no AuSep file of part 2 (Violin)" in caplog.text


def test_one_file_for_several_parts_is_remarked(references, estimates, caplog):
    score_folders(references, {"x": estimates}, Protocol())
    found = "AuSep_2_vn_02_Answer.wav is taken for all of Violin, parts 2+3"
    assert f"x, 02_Answer_fl_vn_vn: {found}" in caplog.text


def test_estimates_of_another_length_are_remarked(references, estimates, caplog):
    """They may be of another recording, or another rate than their headers say."""
    paths = [estimates / PIECES_OF[k] for k in range(2)]
    wave, _ = soundfile.read(paths[0])
    soundfile.write(paths[0], np.concatenate([wave, wave]), RATE)
    wave, _ = soundfile.read(paths[1])
    soundfile.write(paths[1], wave[: -RATE // 2], RATE)
    score_folders(references, {"x": estimates}, Protocol())
    assert f"x, 01_Known_vn_vc: {paths[0].name} is 12.5 s longer than the refer" in caplog.text
    assert f"x, 02_Answer_fl_vn_vn: {paths[1].name} is 0.5 s shorter than the" in caplog.text
    assert caplog.text.count("than the references") == 2


def test_drift_is_that_of_the_stages(references):
    """Estimates of segment i are taken i samples later, which no causal filter makes up for."""
    aligned, drifted = (
        pd.DataFrame(score_folders(references, {"x": references}, Protocol(drift=drift))["x"])
        for drift in (0, 1)
    )
    first = aligned["segment"] == 0
    assert (drifted[first]["SI-SDR"] > 100).all() and (aligned["SI-SDR"] > 100).all()
    assert (drifted[~first]["SI-SDR"] < 60).all()


def test_a_piece_that_cannot_be_understood_is_a_line(references, estimates, tmp_path):
    shutil.copytree(references, tmp_path / "more")
    shutil.copytree(references / "01_Known_vn_vc", tmp_path / "more/03_Known_vn_kazoo")
    table = pd.DataFrame(score_folders(tmp_path / "more", {"x": estimates}, Protocol())["x"])
    (line,) = table[table["piece"] == "03_Known_vn_kazoo"].to_dict("records")
    assert line["skipped"] == "unusable references: unknown instrument code(s) kazoo"


def test_systems_are_told_apart_by_as_many_folders_as_it_takes(references, tmp_path, capsys):
    words = ["score", "--references", str(references), "--estimates"]
    for name in ("a/out/urmp", "b/out/urmp"):
        shutil.copytree(references, tmp_path / name)
        words.append(str(tmp_path / name))
    assert main([*words, "--json", "--quiet"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["a-out-urmp", "b-out-urmp"]
    assert main([*words, words[-1] + "/../urmp"]) == 2
    assert "the same folder is named twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM, b""),
        (signal.SIGINT, 1, b"solos score: interrupted\n"),
    ],
)
def test_a_stopped_scoring_ends_at_once_and_leaves_nothing_behind(tmp_path, number, code, said):
    """Of more pieces than workers; those, being killed, tidy nothing up."""
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, 60 * SAMPLE_RATE)
    names = [f"{k:02}_Long_vn_vc" for k in range(1, 3 + 4 * cpu_count())]
    for name in names:
        (tmp_path / name).mkdir()
        for k in (1, 2):
            target = tmp_path / name / f"AuSep_{k}_x.wav"
            if name == names[0]:
                soundfile.write(target, np.roll(wave, k), SAMPLE_RATE)
            else:
                target.hardlink_to(tmp_path / names[0] / target.name)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = ["score", "--references", str(tmp_path), "--estimates", str(tmp_path), "--quiet"]
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", UNHINDERED, *words]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        wait_for(lambda: list(scratch.glob("*/*/mix.wav")))
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (code, said)
    assert not list(scratch.iterdir())


def test_the_command_prints_the_table(references, estimates, tmp_path, capsys):
    arguments = ["score", "--references", str(references), "--estimates", str(estimates)]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    printed = capsys.readouterr().out
    mean = np.mean(KNOWN["mixture"], axis=0)[0]
    assert f"| lazy | {mean:.2f}".replace("-", "−") in printed
    metrics = json.loads((tmp_path / "out" / "lazy.json").read_text())
    assert metrics["segments"] == 4 and metrics["SDR"]["mean"] == pytest.approx(mean, abs=1e-3)
    assert len(pd.read_csv(tmp_path / "out" / "lazy.csv")) == 8
    assert main([*arguments, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == {"lazy": metrics}


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"--references": "/nowhere"}, 1, "/nowhere is not there"),
        ({"--estimates": "/nowhere"}, 1, "--estimates: /nowhere is no folder"),
        ({"--segment": "5"}, 2, "--segment: Input should be greater than or equal to 1024"),
        ({"--repeats": "some"}, 2, "invalid choice: 'some'"),
        ({"--estimates": "EMPTY"}, 1, "holds no folder of estimates like 01_Known_vn_vc"),
        ({"--silence": "1e9"}, 1, "all 4 segment(s) were skipped: silent reference of"),
    ],
)
def test_mistakes_are_one_line(change, code, message, references, estimates, tmp_path, capsys):
    (tmp_path / "EMPTY").mkdir()
    options = {"--references": str(references), "--estimates": str(estimates)} | change
    words = [word for pair in options.items() for word in pair]
    words = [str(tmp_path / word) if word == "EMPTY" else word for word in words]
    try:
        found = main(["score", *words, "--quiet"])
    except SystemExit as exit_:  # argparse's
        found = exit_.code
    printed = capsys.readouterr().err
    assert found == code and message in printed and len(printed.splitlines()) == 1


def test_the_module_is_the_command(references):
    command = [sys.executable, "-m", "solos.score", "--references", str(references)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("solos score: the following arguments are required: --estimates")

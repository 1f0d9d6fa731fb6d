"""What one path guards against, all do: odd rates, two files for one part."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_urmp import tone, write_piece

from solos.commands.scoring import score_folders
from solos.config.rows import Protocol
from solos.datasets.urmp import read_pieces
from solos.media.sound import decode, hear, read_audio
from solos.media.track import is_odd
from solos.preparation import recordings
from solos.preparation.pieces import prepare_audio

ODD = [44056, 47952, 11024, 192_001, 1_000_003]
"""Rates that have little in common with 11025 Hz."""


@pytest.mark.parametrize("rate", ODD)
def test_an_odd_rate_is_read_well_and_soon(rate, tmp_path):
    """By whole numbers, 44056 Hz alone would take a filter of 2 GB."""
    assert is_odd(rate)
    soundfile.write(tmp_path / "a.wav", tone(500, 1.5, rate), rate, subtype="FLOAT")
    began = time.monotonic()
    wave, remarks = hear(tmp_path / "a.wav")
    again = read_audio(decode(tmp_path / "a.wav", tmp_path)[0])
    assert time.monotonic() - began < 30
    assert remarks == [] and len(wave) == pytest.approx(1.5 * 11025, abs=2)
    expected = tone(500, 1.5, 11025)[: len(wave)]
    for found in (wave[: len(expected)], again[: len(expected)]):
        np.testing.assert_allclose(found[300:-300], expected[300 : len(found) - 300], atol=2e-5)


def test_usual_rates_are_not_odd():
    usual = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 50000, 88200, 96000)
    assert not any(map(is_odd, (*usual, 176_400, 192_000, 384_000)))


def test_an_odd_rate_in_a_reference_an_estimate_and_a_recording(tmp_path):
    folder = write_piece(tmp_path / "urmp", "01_Jupiter_vn_vc")
    path = folder / "AuSep_1_vn_01_Jupiter.wav"
    soundfile.write(path, tone(200, 7, 44056), 44056, subtype="PCM_24")
    (piece,) = read_pieces(tmp_path / "urmp")
    n_samples, note = prepare_audio(piece, tmp_path)
    assert (n_samples, note) == (pytest.approx(7 * 11025, abs=2), "")
    lines = score_folders(tmp_path / "urmp", {"x": tmp_path / "urmp"}, Protocol())["x"]
    assert min(line["SDR"] for line in lines) > 50
    found = recordings.extract(tmp_path, source=path, settings=None, aspect=None)
    assert found["duration"] == pytest.approx(7, abs=0.001)


def twins(folder: Path, name: str, twin: str) -> None:
    shutil.copy(folder / name, folder / twin)


TWINS = {
    "a part": ("AuSep_1_vn_01_Jupiter.wav", "AuSep_1_vn_01_Jupiter-2.wav", "1 more AuSep file(s)"),
    "its name": ("AuSep_2_vc_01_Jupiter.wav", "AuSep_2_va_01_Jupiter.wav", "1 more AuSep file(s)"),
    "no part": ("AuSep_2_vc_01_Jupiter.wav", "AuSep_3_vc_01_Jupiter.wav", "1 more AuSep file(s)"),
    "the mixture": ("AuMix_01_Jupiter_vn_vc.wav", "AuMix_new.wav", "1 more AuMix file(s)"),
}


@pytest.mark.parametrize("what", TWINS)
@pytest.mark.parametrize("side", ["references", "estimates"])
def test_of_two_files_for_one_part_none_is_taken(what, side, tmp_path, caplog):
    name, twin, said = TWINS[what]
    for each in ("references", "estimates"):
        write_piece(tmp_path / each, "01_Jupiter_vn_vc")
    twins(tmp_path / side / "01_Jupiter_vn_vc", name, twin)
    lines = score_folders(tmp_path / "references", {"x": tmp_path / "estimates"}, Protocol())["x"]
    assert {line["skipped"].split(":")[0] for line in lines} == {f"unusable {side}"}
    assert said in lines[0]["skipped"] and said in caplog.text
    assert twin in caplog.text or name in caplog.text


def test_a_missing_part_does_not_hide_a_twin(tmp_path):
    """Two files for two parts: but both are for one."""
    folder = write_piece(tmp_path / "urmp", "01_Jupiter_vn_vc")
    (folder / "AuSep_2_vc_01_Jupiter.wav").rename(folder / "AuSep_1_vc_01_Jupiter.wav")
    (piece,) = read_pieces(tmp_path / "urmp")
    assert piece.problem == "no AuSep file of part 2 (Cello)"
    assert piece.surplus.startswith("1 more AuSep file(s)")
    write_piece(tmp_path / "references", "01_Jupiter_vn_vc")
    lines = score_folders(tmp_path / "references", {"x": tmp_path / "urmp"}, Protocol())["x"]
    assert all("unusable estimates: 1 more AuSep" in line["skipped"] for line in lines)


def test_of_two_films_none_is_taken(tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc")
    for name in ("Vid_a.mp4", "Vid_b.mp4"):
        (folder / name).touch()
    (piece,) = read_pieces(tmp_path)
    assert piece.problem == "1 more Vid file(s) than the folder's name has room for: Vid_b.mp4"

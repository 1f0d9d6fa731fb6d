"""Scores, performance and sound of the miniature."""

import numpy as np
import pytest

from solos import INSTRUMENTS
from solos.datasets.urmp import CODES
from solos.synthesis.instruments import BY_NAME, SETS
from solos.synthesis.performance import Style, close_rests, excerpt, fit_range, perform
from solos.synthesis.scores import Voice, join_tied, read_work, single_line
from solos.synthesis.sound import RATE, Room, record, render, response
from solos.synthesis.works import ENSEMBLES, TRAINING, Work

PLAIN = Style(
    legato=0.9,
    unsteadiness=0.0,
    loudness=90,
    contrast=0,
    vibrato=0,
    vibrato_rate=5,
    tuning=0,
    drift=0,
)


def _title(path: str) -> str:
    """A work without its movement."""
    return path.partition("/movement")[0]


def test_training_and_test_sets_share_no_score():
    training = {_title(work.path) for work in TRAINING}
    testing = {_title(ensemble.work.path) for ensemble in ENSEMBLES}
    assert len(training) > 20
    assert len(testing) >= 7
    assert not training & testing


def test_ensembles_are_of_all_sizes_and_instruments():
    sizes = [len(ensemble.codes) for ensemble in ENSEMBLES]
    assert len(ENSEMBLES) >= 10
    assert set(sizes) == {2, 3, 4, 5}
    assert {CODES[code] for ensemble in ENSEMBLES for code in ensemble.codes} == set(INSTRUMENTS)
    assert sum(len(set(piece.codes)) < len(piece.codes) for piece in ENSEMBLES) >= 4
    assert all(len(piece.codes) == len(piece.work.parts) for piece in ENSEMBLES)


def test_sets_have_their_instruments():
    assert tuple(SETS["solos"]) == INSTRUMENTS
    assert len(SETS["music"]) == 11
    absent = {"Viola", "DoubleBass", "Oboe", "Bassoon", "Horn", "Trombone"}
    assert not absent & set(SETS["music"].values())


def test_a_score_is_read_as_written():
    soprano, *others = read_work(Work("bach/bwv66.6.mxl", 72))
    assert len(others) == 3
    np.testing.assert_array_equal(soprano.notes[:6, 2], [73, 71, 69, 71, 73, 76])
    np.testing.assert_array_equal(soprano.notes[:4, 0], [0, 0.5, 1, 2])
    for voice in (soprano, *others):
        onsets, ends = voice.notes[:, 0], voice.notes[:, :2].sum(axis=1)
        assert (ends[:-1] <= onsets[1:] + 1e-9).all()


def test_a_chord_leaves_its_top_note_and_overlaps_are_cut():
    notes = np.array([[0, 2, 60], [0, 2, 64], [1, 1, 62]])
    np.testing.assert_array_equal(single_line(notes), [[0, 1, 64], [1, 1, 62]])


def test_tied_notes_become_one_but_repeated_ones_stay():
    notes = np.array([[0, 1, 60, 0], [1, 1, 60, 1], [2, 1, 60, 0], [3, 1, 62, 1]])
    np.testing.assert_array_equal(join_tied(notes), [[0, 2, 60], [2, 1, 60], [3, 1, 62]])


def test_only_rests_of_all_voices_are_shortened():
    upper = np.array([[1.0, 1, 70], [9.0, 1, 70]])
    lower = np.array([[3.0, 2, 50]])
    upper, lower = close_rests([upper, lower], 1.0)
    np.testing.assert_allclose(lower[:, 0], [2])  # the rest from 2 to 3 is short enough
    np.testing.assert_allclose(upper[:, 0], [0, 5])  # the one from 5 to 9 lasts 1 s now


def test_an_excerpt_is_in_seconds_from_zero():
    voice = Voice("work", 0, 60.0, np.array([[0.0, 1, 60], [1, 2, 62], [3, 1, 64], [4, 1, 65]]))
    (line,) = excerpt([voice], start=1, seconds=1.5, beat=0.5, longest_rest=1)
    np.testing.assert_allclose(line, [[0, 1, 62], [1, 0.5, 64]])


@pytest.mark.parametrize("name", BY_NAME)
def test_any_music_fits_any_range(name):
    instrument = BY_NAME[name]
    pitches = np.arange(20, 110)
    fitted = fit_range(pitches, instrument, 3)
    assert instrument.low <= fitted.min() <= fitted.max() <= instrument.high
    np.testing.assert_array_equal((fitted - pitches) % 12, 3)


def test_music_keeps_its_shape_where_it_fits():
    fitted = fit_range(np.array([48, 52, 55]), BY_NAME["Flute"])
    np.testing.assert_array_equal(
        fitted, [72, 76, 79]
    )  # an octave lower is further from the middle


def _tone(pitch: int, cents: float):
    line = np.array([[0.5, 1.5, pitch]])
    style = Style(**{**vars(PLAIN), "tuning": cents})
    return perform(BY_NAME["Violin"], [line], style, 2.5, np.random.default_rng(0))


def _frequency(wave: np.ndarray) -> float:
    part = wave[round(0.8 * RATE) : round(1.6 * RATE)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 20))
    return float(spectrum.argmax() * RATE / (1 << 20))


def test_a_note_sounds_when_and_as_it_should():
    wave = render(_tone(69, 0))
    assert wave.shape == (2.5 * RATE,)
    assert abs(wave[: round(0.49 * RATE)]).max() < 1e-3 < abs(wave).max()
    assert _frequency(wave) == pytest.approx(440, rel=0.003)  # 5 cents: the sample's own tuning


def test_tuning_moves_the_pitch():
    sharp, plain = (_frequency(render(_tone(69, cents))) for cents in (30, 0))
    assert 1200 * np.log2(sharp / plain) == pytest.approx(30, abs=2)


def test_performances_stay_in_midi_range_and_differ():
    line = np.column_stack([np.arange(20) * 0.4, np.full(20, 0.4), 60 + np.arange(20) % 12])
    loud = Style(**{**vars(PLAIN), "loudness": 104, "contrast": 22, "unsteadiness": 0.014})
    takes = [
        perform(BY_NAME["Cello"], [line], loud, 9, np.random.default_rng(seed)) for seed in (1, 2)
    ]
    for take in takes:
        assert take.notes.shape == (20, 4)
        assert 40 <= take.notes[:, 3].min() <= take.notes[:, 3].max() <= 124
        assert 30 <= take.swell.min() <= take.swell.max() <= 127
        assert abs(take.notes[:, 0] - line[:, 0]).max() < 0.1
    assert (takes[0].notes[:, 3] != takes[1].notes[:, 3]).any()


def test_reverberation_has_the_energy_and_decay_asked_for():
    room = Room(rt60=0.6, wet=-10.0, colour=(0.0,) * 6)
    taps = response(room, np.random.default_rng(0), None, channels=1)[:, 0]
    direct, late = (taps[:300] ** 2).sum(), (taps[300:] ** 2).sum()
    assert direct == pytest.approx(1, abs=0.02)
    assert 10 * np.log10(late / direct) == pytest.approx(-10, abs=1)
    middle = (taps[round(0.3 * RATE) :] ** 2).sum() / late
    assert middle < 10**-2  # 30 dB down after half of rt60, less what was lost before


def test_recording_keeps_the_length_and_the_level():
    dry = np.zeros(4800, dtype=np.float32)
    dry[1000] = 0.5
    room = Room(rt60=0.2, wet=-20.0, colour=(0.0,) * 6)
    wave = record(dry, response(room, np.random.default_rng(0), None, channels=2))
    assert wave.shape == (4800, 2)
    assert wave.dtype == np.float32
    assert wave[1240, 0] == pytest.approx(0.5, abs=0.01)  # 5 ms later

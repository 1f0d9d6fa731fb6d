"""BSS Eval against mir_eval and by hand; SI-SDR by hand."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from mir_eval.separation import bss_eval_sources

from solos.evaluation import bss, metrics
from solos.evaluation.bss import memory
from solos.evaluation.metrics import bss_eval, mir_eval_bss, pes, si_sdr

RATE = 11025


def noise(n_src, rng, n_samples=RATE // 2):
    return rng.standard_normal((n_src, n_samples))


def correlated(n_src, rng):
    waves = noise(n_src, rng)
    return waves + 0.9 * waves[::-1]


def tonal(n_src, rng, n_samples=RATE):
    """Decaying harmonic notes over faint noise."""
    t = np.arange(n_samples) / RATE
    pitch = rng.uniform(100, 600, (n_src, 1, 1)) * np.arange(1, 9)[:, None]
    notes = np.sin(2 * np.pi * pitch * t + rng.uniform(0, 6, pitch.shape)).sum(axis=1)
    return 0.1 * notes * np.exp(-(3 * t % 1)) + 1e-4 * rng.standard_normal((n_src, n_samples))


def melodies(n_src, rng, n_samples=RATE):
    """A note every quarter of a second, each of its own pitch and decay, through one short room."""
    t = np.arange(n_samples) / RATE
    room = rng.standard_normal(200) * np.exp(-np.arange(200) / 40)
    waves = []
    for _ in range(n_src):
        pitch = 110 * 2 ** (rng.integers(0, 30, len(t) // (RATE // 4) + 1) / 12)
        phase = 2 * np.pi * np.cumsum(np.repeat(pitch, RATE // 4)[:n_samples]) / RATE
        harmonics = sum(np.sin(k * phase) / k for k in range(1, 6))
        waves.append(np.convolve(harmonics * np.exp(-(4 * t % 1)), room)[:n_samples])
    return np.stack(waves) + 1e-5 * rng.standard_normal((n_src, n_samples))


def filtered(n_src, rng):
    """Long random impulse responses: references whose estimates need all 512 taps."""
    taps = rng.standard_normal((n_src, 400)) * np.exp(-np.arange(400) / 100)
    pairs = zip(noise(n_src, rng, 9000), taps, strict=True)
    return np.stack([np.convolve(wave, tap)[:9000] for wave, tap in pairs])


def leaky(references, rng, leak=0.3, level=0.1):
    """Estimates with a share of the other sources and noise."""
    others = references.sum(axis=0) - references
    artifacts = level * references.std() * rng.standard_normal(references.shape)
    return references + leak * others + artifacts


def mir_eval_scores(references, estimates):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated: pinned, and used only here
        return np.array(bss_eval_sources(references, estimates, compute_permutation=False)[:3])


def scores(references, estimates):
    return np.array(bss_eval(references=references, estimates=estimates))


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.mark.parametrize(
    ("kind", "n_src"),
    [(kind, n_src) for kind in (noise, correlated, tonal, filtered) for n_src in (2, 3)]
    + [(correlated, 4)],
)
def test_bss_eval_equals_mir_eval(kind, n_src, rng):
    references = kind(n_src, rng)
    estimates = leaky(references, rng)
    expected = mir_eval_scores(references, estimates)
    np.testing.assert_allclose(scores(references, estimates), expected, atol=1e-6, rtol=0)


REAL, _ = soundfile.read(Path(__file__).parent / "golden" / "rondeau.flac", dtype="float64")
"""Violins, viola and double bass, (65535, 3) at 11,025 Hz: URMP's piece 35 (CC0), its start."""


def real(n_src, rng, n_samples):
    """Stretches of real music, of any of the three parts."""
    starts = rng.integers(0, max(1, len(REAL) - n_samples), n_src)
    parts = rng.permutation(np.arange(n_src) % 3)
    waves = [REAL[at : at + n_samples, part] for at, part in zip(starts, parts, strict=True)]
    return np.stack(waves)[:, : min(n_samples, len(REAL))]


KINDS = (noise, tonal, melodies, real)
SOURCES = [1] * 30 + [2] * 102 + [3] * 55 + [4] * 8 + [5] * 4 + [6] * 2 + [7] * 2
LONG = {0: 10.0, 40: 10.0, 140: 10.0, 190: 5.9, 196: 5.9, 202: 3.0}
"""Seconds of some cases; others are shorter the more sources they have, for mir_eval's sake."""


def test_two_hundred_cases_equal_mir_eval():
    """1 to 7 sources of 1 to 10 s, in both precisions, of all kinds.

    Each source and estimate has a level of its own from -80 dB to 0; a third of the cases have
    references that share 0.7 of a common part.
    """
    worst = {}
    for case, n_src in enumerate(SOURCES):
        rng = np.random.default_rng([7, case])
        kind = KINDS[case % 4]
        seconds = LONG.get(case, rng.uniform(1, 6 if n_src < 3 else 3 if n_src < 5 else 1.2))
        references = kind(n_src, rng, int(seconds * RATE))
        if case % 3 == 0:
            references = references + 0.7 * references.mean(axis=0)
        estimates = leaky(references, rng, leak=rng.uniform(0, 1), level=10 ** rng.uniform(-3, 0))
        dtype = (np.float64, np.float32)[case % 2]
        waves = [
            (wave * 10 ** (rng.uniform(-80, 0, (n_src, 1)) / 20)).astype(dtype)
            for wave in (references, estimates)
        ]
        with np.errstate(invalid="ignore"):  # SIR of a single source: inf - inf
            difference = np.abs(scores(*waves) - mir_eval_scores(*waves))
        worst[f"case {case}: {n_src} {kind.__name__}"] = np.nanmax(difference)
    assert len(worst) >= 200
    assert {name: value for name, value in worst.items() if not value < 1e-6} == {}


def test_filters_of_one_tap_give_si_sdr(monkeypatch, rng):
    for name, value in (("TAPS", 1), ("_MAX_LAG", 0), ("_BLOCK", bss._FFT)):
        monkeypatch.setattr(bss, name, value)
    references = noise(3, rng)
    estimates = leaky(references, rng)
    found = bss_eval(references=references, estimates=estimates).sdr
    expected = si_sdr(references=references, estimates=estimates)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_bss_eval_equals_mir_eval_over_levels_and_precisions(rng):
    levels = 10 ** (np.array([[0], [-40], [-80]]) / 20)
    references = (noise(3, rng) * levels).astype(np.float32)
    estimates = leaky(references, rng, leak=1e-3, level=1e-4).astype(np.float32)
    expected = mir_eval_scores(references.astype(float), estimates.astype(float))
    np.testing.assert_allclose(scores(references, estimates), expected, atol=1e-6, rtol=0)


def test_mixture_of_rounded_references_has_the_artifacts_of_its_rounding(rng):
    # ‖e‖² - ‖Pe‖² would cancel here; mir_eval takes the residual sample by sample
    references = noise(3, rng)
    mix = np.round(references.sum(axis=0) * 2**20) / 2**20
    estimates = np.tile(mix, (3, 1))
    measured = scores(references, estimates)
    expected = mir_eval_scores(references, estimates)
    assert (expected[2] > 120).all()
    np.testing.assert_allclose(measured, expected, atol=1e-6, rtol=0)


def test_an_estimate_filtered_by_fewer_than_512_taps_is_free_of_distortion(rng):
    references = noise(2, rng)
    within, beyond = np.zeros(512), np.zeros(513)
    within[[0, 511]] = beyond[[0, 512]] = 1, 0.5
    n_samples = references.shape[1]
    references[:, -600:] = 0  # the filters' tails stay inside
    for taps, sdr in ((within, np.inf), (beyond, 10 * np.log10(1 / 0.25))):
        estimates = np.stack([np.convolve(wave, taps)[:n_samples] for wave in references])
        measured = bss_eval(references=references, estimates=estimates).sdr
        if np.isinf(sdr):
            assert (measured > 200).all()
        else:  # the tap beyond is as good as noise, of which filters catch a share
            np.testing.assert_allclose(measured, sdr, atol=1.5)


def test_sdr_of_orthogonal_noise_is_its_level(rng):
    # Disjoint in time by more than a filter's reach: projections are known exactly
    references, other = np.zeros((1, 8000)), np.zeros((1, 8000))
    references[0, :2000] = rng.standard_normal(2000)
    other[0, 4000:6000] = rng.standard_normal(2000)
    other *= 0.1 * np.linalg.norm(references) / np.linalg.norm(other)
    measured = bss_eval(references=references, estimates=references + other)
    np.testing.assert_allclose([measured.sdr, measured.sar], 20, atol=1e-9)
    assert measured.sir == np.inf


def test_interference_alone_is_sir_and_leaves_no_artifacts(rng):
    references = np.zeros((2, 8000))
    references[0, :2000], references[1, 4000:6000] = rng.standard_normal((2, 2000))
    references /= np.linalg.norm(references, axis=1, keepdims=True)
    estimates = references + 10 ** (-13 / 20) * references[::-1]
    measured = bss_eval(references=references, estimates=estimates)
    np.testing.assert_allclose([measured.sdr, measured.sir], 13, atol=1e-9)
    assert (measured.sar > 250).all()


def test_rows_equal_separate_calls(rng):
    references = noise(3, rng)
    rows = np.stack([leaky(references, rng, leak) for leak in (0.1, 0.5, 2)])
    together = scores(references, rows)
    assert together.shape == (3, 3, 3)
    for row, estimates in enumerate(rows):
        np.testing.assert_allclose(together[:, row], scores(references, estimates), atol=1e-9)
    assert (np.diff(together[0], axis=0) < 0).all()  # more leakage, lower SDR


def test_scale_of_estimates_and_references_changes_nothing(rng):
    references = noise(2, rng)
    estimates = leaky(references, rng)
    expected = scores(references, estimates)
    for scale in (-3.7, 1e-9, 1e9):
        np.testing.assert_allclose(scores(references, scale * estimates), expected, atol=1e-8)
        np.testing.assert_allclose(scores(scale * references, estimates), expected, atol=1e-8)


def test_order_is_fixed(rng):
    references = noise(3, rng)
    estimates = leaky(references, rng)
    order = [2, 0, 1]
    together = scores(references[order], estimates[order])
    np.testing.assert_allclose(together, scores(references, estimates)[:, order], atol=1e-9)
    wrong = bss_eval(references=references, estimates=estimates[order])
    assert (wrong.sdr < -5).all()
    # What isn't explained by any reference doesn't depend on which one was meant
    np.testing.assert_allclose(wrong.sar, scores(references, estimates)[2, order], atol=1e-9)


def test_an_estimate_equal_to_its_reference_is_near_perfect(rng):
    references = noise(2, rng)
    measured = scores(references, references.copy())
    assert (measured > 200).all()


def test_one_source_has_infinite_sir(rng):
    references = noise(1, rng)
    measured = bss_eval(references=references, estimates=leaky(references, rng))
    assert measured.sir.tolist() == [np.inf]
    np.testing.assert_array_equal(measured.sdr, measured.sar)
    apart = np.zeros((2, 1, 3000))
    apart[0, 0, :100] = apart[1, 0, 2000:2100] = 1
    assert bss_eval(references=apart[0], estimates=apart[1]).sir.tolist() == [np.inf]
    # Noise at -20 dB, of which 512 taps fit 512 / 6023 of the dimensions
    assert measured.sdr == pytest.approx(20 - 10 * np.log10(1 - 512 / 6023), abs=0.2)


def test_silent_reference_is_nan_and_leaves_the_others_as_without_it(rng):
    references = noise(3, rng)
    estimates = leaky(references, rng)
    references[1] = 0
    measured = scores(references, estimates)
    assert np.isnan(measured[:, 1]).all()
    kept = [0, 2]
    np.testing.assert_allclose(
        measured[:, kept], scores(references[kept], estimates[kept]), atol=1e-9
    )
    assert np.isnan(si_sdr(references=references, estimates=estimates)).tolist() == [0, 1, 0]


def test_silent_estimate_is_nan_alone(rng):
    references = noise(3, rng)
    rows = np.stack([leaky(references, rng)] * 2)
    expected = scores(references, rows[0])
    rows[1, 2] = 0
    measured = scores(references, rows)
    assert np.isnan(measured).sum() == 3
    assert np.isnan(measured[:, 1, 2]).all()
    np.testing.assert_allclose(measured[:, 0], expected, atol=1e-9)
    np.testing.assert_allclose(measured[:, 1, :2], expected[:, :2], atol=1e-9)


def test_everything_silent_is_nan(rng):
    silence = np.zeros((2, 1000))
    assert np.isnan(scores(silence, noise(2, rng, 1000))).all()
    assert np.isnan(si_sdr(references=silence, estimates=silence)).all()


@pytest.mark.parametrize("kind", [noise, tonal])
def test_identical_references_are_projected_on_what_they_span(kind, rng):
    references = kind(3, rng)
    references[1] = references[0]
    estimates = leaky(references, rng)
    measured = scores(references, estimates)
    kept = [0, 2]
    expected = scores(references[kept], estimates[kept])
    np.testing.assert_allclose(measured[:, kept], expected, atol=1e-5)


@pytest.mark.parametrize("kind", [noise, tonal, melodies])
def test_own_filters_by_recursion_equal_those_by_the_factor(kind, monkeypatch, rng):
    references = kind(2, rng)
    estimates = leaky(references, rng)
    project, factored = bss._project, []

    def noted(lags, products):
        factored.append(lags.shape[1])
        return project(lags, products)

    monkeypatch.setattr(bss, "_project", noted)
    by_recursion = scores(references, estimates)
    assert set(factored) == {2}  # for both references together alone
    monkeypatch.setattr(bss, "_RESIDUAL", -1.0)  # none is small enough
    by_factor = scores(references, estimates)
    assert set(factored) == {1, 2}
    np.testing.assert_allclose(by_recursion, by_factor, atol=1e-8)


@pytest.mark.parametrize("n_samples", [2, 100, 511])
def test_signals_shorter_than_the_filters_span_everything(n_samples, rng):
    # More delayed references than samples: G is singular, nothing is left for artifacts
    references = noise(2, rng, n_samples)
    measured = scores(references, leaky(references, rng))
    assert np.isfinite(measured).all()
    assert (measured[2] > 120).all()


@pytest.mark.parametrize(
    ("references", "estimates", "message"),
    [
        (np.ones(100), np.ones(100), r"\(100,\)"),
        (np.ones((2, 0)), np.ones((2, 0)), r"\(2, 0\)"),
        (np.ones((2, 100)), np.ones((3, 100)), r"\(3, 100\)"),
        (np.ones((2, 100)), np.ones((2, 99)), r"\(2, 99\)"),
        (np.ones((2, 100)), np.ones((1, 1, 2, 100)), r"\(1, 1, 2, 100\)"),
        (np.ones((4, 2, 100)), np.ones((2, 100)), r"\(2, 100\)"),
        (np.ones((4, 2, 100)), np.ones((3, 2, 100)), r"\(3, 2, 100\)"),
        (np.ones((1, 4, 2, 100)), np.ones((1, 4, 2, 100)), r"\(1, 4, 2, 100\)"),
        (np.ones((65535, 2)), np.ones((65535, 2)), r"sources first, found \(65535, 2\)"),
        (np.ones((3, 300, 2)), np.ones((3, 300, 2)), r"300 sources of 2 samples can't be meant"),
        (np.ones((300, 2, 2)), np.ones((300, 2, 2)), r"sources first, found \(300, 2, 2\)"),
        (np.ones((101, 600)), np.ones((101, 600)), r"101 sources of 600 samples"),
        (np.ones((2, 100)), np.ones((0, 2, 100)), r"\(0, 2, 100\)"),
        (np.ones((2, 100), complex), np.ones((2, 100)), "references must be real .* complex128"),
        (np.ones((2, 100)), np.full((2, 100), 1j), "estimates must be real numbers"),
        (np.ones((2, 100)), np.ones((100, 2)), r"\(2, 100\) as the references"),
        (np.ones((2, 100)), np.full((2, 100), np.nan), "estimates hold 200 NaN"),
        (np.full((2, 100), np.inf), np.ones((2, 100)), "references hold 200 NaN or inf"),
    ],
)
@pytest.mark.parametrize("metric", [bss_eval, si_sdr])
def test_bad_input_is_refused_with_what_was_found(metric, references, estimates, message):
    with pytest.raises(ValueError, match=message):
        metric(references=references, estimates=estimates)


def test_shapes_that_cannot_be_are_refused_before_anything_is_copied():
    """As float64 these would be a terabyte."""
    waves = np.broadcast_to(np.int8(1), (10**11, 2))
    with pytest.raises(ValueError, match="sources first, found"):
        bss_eval(references=waves, estimates=waves)


def test_a_mixture_that_is_not_finite_has_no_energy_at_silence():
    waves = np.random.default_rng(0).standard_normal((2, 2048))
    with pytest.raises(ValueError, match="mix hold 2048 NaN"):
        pes(references=waves, estimates=waves, mix=np.full(2048, np.nan))


def test_si_sdr_by_hand():
    references = np.array([[3.0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]])
    estimates = np.array([[5.0, 0, 0.5, 0], [0, 2, 0, 0], [0, 1, 0, 0]])
    # 5²/0.5² = 100; (2, 0) on (1, 1): target (1, 1), rest (1, -1); orthogonal
    expected = [20, 0, -np.inf]
    measured = si_sdr(references=references, estimates=estimates)
    np.testing.assert_allclose(measured, expected, atol=1e-9)


def test_si_sdr_of_a_multiple_is_infinite_and_rows_equal_separate_calls(rng):
    references = np.array([[1.0, 0, 0, 0]])
    assert si_sdr(references=references, estimates=-2 * references).tolist() == [np.inf]
    references = noise(2, rng)
    rows = np.stack([leaky(references, rng), leaky(references, rng)])
    together = si_sdr(references=references, estimates=rows)
    assert together.shape == (2, 2)
    for row, estimates in enumerate(rows):
        separate = si_sdr(references=references, estimates=estimates)
        np.testing.assert_allclose(together[row], separate, atol=1e-12)
    np.testing.assert_allclose(si_sdr(references=references, estimates=1e-6 * rows), together)


def test_segments_equal_separate_calls(rng):
    """Four segments of three sources, two rows each; in the third a reference is silent."""
    references = np.stack([kind(3, rng) for kind in (noise, correlated, noise, noise)])
    references[2, 1] = 0
    rows = np.stack([[leaky(refs, rng), leaky(refs, rng)] for refs in references])
    rows[3, 0, 2] = 0
    together, si = scores(references, rows), si_sdr(references=references, estimates=rows)
    assert together.shape == (3, 4, 2, 3) and si.shape == (4, 2, 3)
    for k, (refs, ests) in enumerate(zip(references, rows, strict=True)):
        np.testing.assert_allclose(together[:, k], scores(refs, ests), atol=1e-9)
        np.testing.assert_allclose(si[k], si_sdr(references=refs, estimates=ests), atol=1e-9)
    assert np.isnan(together[0]).sum() == 2 + 1
    first = bss_eval(references=references[:2], estimates=rows[:2, 0])
    np.testing.assert_allclose(np.array(first), together[:, :2, 0], atol=1e-9)


def test_energy_at_silence_by_hand():
    """Three windows: source 1 sounds in the first, source 2 in all, source 3 never."""
    sound = np.ones(512)
    references = np.concatenate(
        [np.outer([1, 1, 0], sound), np.outer([0, 2, 0], sound), np.outer([0, 1, 0], sound)], axis=1
    )
    mix = references.sum(axis=0)  # 2, 2, 1
    half = 0.5 * np.stack([mix] * 3)
    # Source 1: (0.25 (4 + 1)) / 5; source 2: never silent; source 3: everywhere
    expected = [10 * np.log10(0.25), np.nan, 10 * np.log10(0.25)]
    np.testing.assert_allclose(pes(references=references, estimates=half, mix=mix), expected)
    rows = np.stack([half, np.stack([mix] * 3), references])
    found = pes(references=references, estimates=rows, mix=mix)
    np.testing.assert_allclose(found[1, [0, 2]], 0, atol=1e-8)
    np.testing.assert_allclose(found[2, [0, 2]], -100)
    assert np.isnan(found[:, 1]).all()
    resting = np.concatenate(
        [references, np.zeros((3, 512))], axis=1
    )  # all of them: nothing is told
    quiet = np.concatenate([half, np.full((3, 512), 1e-3)], axis=1)
    found = pes(references=resting, estimates=quiet, mix=resting.sum(axis=0))
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match=r"mix \(100,\)"):
        pes(references=references, estimates=half, mix=mix[:100])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bss_eval_on_a_gpu(rng):
    references = noise(3, rng)
    rows = np.stack([leaky(references, rng), references])
    there = np.array(bss_eval(references=references, estimates=rows, device="cuda"))
    np.testing.assert_allclose(there[:, 0], scores(references, rows)[:, 0], atol=1e-6)


def test_a_call_leaves_the_threads_as_they_were(monkeypatch):
    """It takes one thread: small operations wait for each other's where anything else runs."""
    taken = []
    real = metrics.component_energies
    monkeypatch.setattr(
        metrics,
        "component_energies",
        lambda *waves: taken.append(torch.get_num_threads()) or real(*waves),
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    waves, noise = np.random.default_rng(0).standard_normal((2, 2, 3000))
    alone = bss_eval(references=waves, estimates=waves + noise)
    several = bss_eval(references=waves, estimates=waves + noise, threads=2)
    assert taken == [1, 2] and torch.get_num_threads() == 2
    np.testing.assert_allclose(alone, several, atol=1e-9)
    torch.set_num_threads(before)


@pytest.mark.parametrize("score", [bss_eval, mir_eval_bss])
def test_what_takes_too_much_memory_is_refused_before_it_is_taken(score, rng):
    waves = noise(46, rng, 600)
    with pytest.raises(ValueError, match=r"of 46 sources takes 4\.1 GiB and more, .* 512 taps"):
        score(references=waves, estimates=waves)
    assert memory(45) <= metrics._MOST_MEMORY < memory(46)


def test_silent_sources_take_no_memory(rng):
    waves = np.zeros((60, 2000))
    waves[7:9] = noise(2, rng, 2000)
    found = bss_eval(references=waves, estimates=waves + 0.1 * noise(60, rng, 2000))
    assert np.isfinite(found.sdr[7:9]).all() and np.isnan(np.delete(found.sdr, [7, 8])).all()


def test_scores_are_the_same_in_groups(rng, monkeypatch):
    """Of a few segments at a time."""
    references = noise(12, rng, 20_000).reshape(4, 3, -1)
    estimates = references[:, None] + 0.2 * noise(24, rng, 20_000).reshape(4, 2, 3, -1)
    at_once = bss_eval(references=references, estimates=estimates)
    monkeypatch.setattr(metrics, "_MOST_MEMORY", 3 * memory(3))
    calls = []
    whole = metrics.component_energies
    monkeypatch.setattr(
        metrics, "component_energies", lambda *waves: calls.append(len(waves[0])) or whole(*waves)
    )
    in_parts = bss_eval(references=references, estimates=estimates)
    assert calls == [3, 1]
    np.testing.assert_allclose(in_parts, at_once, atol=1e-8)

"""Objective measures of separation, in decibels: BSS Eval v3, scale-invariant SDR, PES.

Conventions: references and estimates are real arrays whose last axis is time; estimate ``j`` is
scored against reference ``j`` (no permutation). Any number of systems' estimates of the same
references can be scored at once in a dimension before the sources ("rows"), and any number of
segments with as many sources in a leading dimension of both. A silent reference or a silent
estimate has no score: its entries are NaN, those of the other sources are what they would be
without it.

BSS Eval v3 (Vincent, Gribonval and Févotte, "Performance measurement in blind audio source
separation", IEEE TASLP 14(4), 2006) splits an estimate e of source j into what filters of 512 taps
can make of reference j (target), what they can make of all the references beyond that
(interference), and the rest (artifacts). Equal to ``mir_eval.separation.bss_eval_sources`` with
``compute_permutation=False``, but where the references' correlations are singular to double
precision (references that have lost a whole band, as to a steep low-pass): what mir_eval gives
there is rounding.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from mir_eval.separation import bss_eval_sources
from numpy.typing import ArrayLike, NDArray

from solos.evaluation.bss import TAPS, component_energies, memory

_WINDOW = 512  # samples, of PES
_AT_SILENCE = 1e-6  # energy relative to the mixture's mean
_LEAST = 1e-10
_MOST_SOURCES = 100
_MOST_MEMORY = 4 << 30  # bytes that BSS Eval's correlations may take: those of 45 sources


class BssEval(NamedTuple):
    """Source-to-distortion, -interference and -artifacts ratios, dB; each as the estimates' shape
    without time: (n_src,), (rows, n_src), ..."""

    sdr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]


def bss_eval(
    *,
    references: ArrayLike,
    estimates: ArrayLike,
    device: torch.device | str = "cpu",
    threads: int = 1,
) -> BssEval:
    """BSS Eval v3 with fixed order and filters of 512 taps.

    Args:
        references: (n_src, n_samples), or (segments, n_src, n_samples).
        estimates: as the references, or with rows: ([segments,] rows, n_src, n_samples).
        device: where to compute, in float64.
        threads: of a CPU. Its many small operations would wait for each other's threads where
            anything else runs: score segments side by side instead.

    Returns:
        Ratios of (n_src,), (rows, n_src), ... SIR is +inf for a single (audible) reference. NaN
        where the reference or the estimate is silent. Where references are linearly dependent, the
        projections are onto what they span.

    Raises:
        ValueError: shapes that don't match, no samples, more sources (or segments) than samples or
            more than 100, values that aren't finite reals; or more than 45 sources that sound, as
            (512 n_src)² float64 take more than 4 GiB. (A few times that, where they are dependent.)
    """
    references, estimates = _checked(references, estimates)
    _require_room(references)
    segments = references.reshape(-1, *references.shape[-2:])
    rows = estimates.reshape(len(segments), -1, *segments.shape[1:])
    scores = np.full((3, *rows.shape[:3]), np.nan)
    audible = segments.any(axis=-1)
    for heard in np.unique(audible, axis=0):  # segments in which the same references are silent
        if heard.any():
            alike = (audible == heard).all(axis=1)
            places = np.ix_(alike, range(rows.shape[1]), heard)
            every = alike.all() and heard.all()  # as a rule: nothing is copied
            waves = (segments, rows) if every else (segments[alike][:, heard], rows[places])
            with _limited(threads):
                scores[:, *places] = _in_groups(*waves, device)
    scores[:, ~rows.any(axis=-1)] = np.nan
    return BssEval(*scores.reshape(3, *estimates.shape[:-1]))


def _in_groups(references: NDArray, estimates: NDArray, device: torch.device | str) -> NDArray:
    """SDR, SIR and SAR, (3, S, R, n_src), of as many segments at a time as there is room for."""
    size = max(1, _MOST_MEMORY // memory(references.shape[1]))
    found = []
    for first in range(0, len(references), size):
        waves = (part[first : first + size] for part in (references, estimates))
        tensors = [torch.from_numpy(_unit(part)).to(device) for part in waves]
        found.append(_ratios(*component_energies(*tensors)))
    return np.concatenate(found, axis=1)


def _require_room(references: NDArray) -> None:
    """Refuse what would take more memory than machines have, before any of it is taken."""
    n_src = int(references.any(axis=-1).sum(axis=-1).max())
    if memory(n_src) > _MOST_MEMORY:
        raise ValueError(
            f"BSS Eval of {n_src} sources takes {memory(n_src) / 2**30:.1f} GiB and more, as its "
            f"filters are of {TAPS} taps each: {_MOST_MEMORY >> 30} GiB are the most that is tried"
        )


@contextmanager
def _limited(threads: int) -> Iterator[None]:
    """PyTorch's threads of this process, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def mir_eval_bss(*, references: ArrayLike, estimates: ArrayLike) -> BssEval:
    """The same by mir_eval, the field's reference, row by row: ten times slower and more.

    For one segment, in which nothing is silent; SIR of a single source is +inf here too.
    """
    references, estimates = _checked(references, estimates)
    _require_room(references)
    rows = estimates.reshape(-1, *references.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated: its version is pinned
        scores = [bss_eval_sources(references, row, compute_permutation=False)[:3] for row in rows]
    return BssEval(*np.stack(scores, axis=1).reshape(3, *estimates.shape[:-1]))


BACKENDS = {"torch": bss_eval, "mir_eval": mir_eval_bss}


def si_sdr(*, references: ArrayLike, estimates: ArrayLike) -> NDArray[np.float64]:
    """Scale-invariant SDR (Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, eq. 4).

    The mean is not removed. Shapes, silence and errors as for :func:`bss_eval`. About 300 dB or
    +inf where the estimate is a multiple of its reference, -inf where it is orthogonal to it.
    """
    references, estimates = _checked(references, estimates)
    if estimates.ndim > references.ndim:
        references = references[..., np.newaxis, :, :]  # of all rows
    references, estimates = _unit(references), _unit(estimates)
    targets = (references * estimates).sum(axis=-1, keepdims=True) * references
    score = _decibels(_energy(targets), _energy(estimates - targets))
    silent = ~(references.any(axis=-1) & estimates.any(axis=-1))
    return np.where(silent, np.nan, score)


def pes(*, references: ArrayLike, estimates: ArrayLike, mix: ArrayLike) -> NDArray[np.float64]:
    """Predicted energy at silence: what is left in an estimate where its reference is silent.

    The estimate's energy over all windows of 512 samples (46 ms) in which the reference lies 60 dB
    below the mixture's mean level and the mixture does not, relative to the mixture's energy in
    them: 0 dB for the mixture itself, less is better, -100 dB at least. After Schulze-Forster,
    Doire, Richard and Badeau, "Weakly informed audio source separation" (WASPAA 2019), whose figure
    is not relative.

    Args:
        references, estimates: as for :func:`bss_eval`, of one segment.
        mix: (n_samples,).

    Returns:
        (n_src,) or (rows, n_src); NaN where the reference is never silent while others sound.

    Raises:
        ValueError: as for :func:`bss_eval`, or shorter than a window.
    """
    references, estimates = _checked(references, estimates)
    mix = _real("mix", np.asarray(mix))
    if references.ndim != 2 or mix.shape != references.shape[1:] or mix.size < _WINDOW:
        raise ValueError(f"mix {mix.shape} of {references.shape}: one segment of a window or more")
    theirs, ours, whole = (_window_energies(wave) for wave in (references, estimates, mix))
    floor = _AT_SILENCE * whole.mean()
    silent = (theirs <= floor) & (whole > floor)  # (n_src, windows)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = (ours * silent).sum(axis=-1) / (whole * silent).sum(axis=-1)
        return 10 * np.log10(left + _LEAST)


def _window_energies(waves: NDArray) -> NDArray:
    """(..., n_samples) -> (..., n_samples // 512)."""
    whole = waves.shape[-1] // _WINDOW * _WINDOW
    return _energy(waves[..., :whole].reshape(*waves.shape[:-1], -1, _WINDOW))


def _checked(references: ArrayLike, estimates: ArrayLike) -> tuple[NDArray, NDArray]:
    """Both as float64, or a ValueError that shows what came; shapes first, which costs nothing."""
    references, estimates = np.asarray(references), np.asarray(estimates)
    if references.ndim not in (2, 3) or not references.size:
        raise ValueError(
            f"references must be ([segments,] n_src, n_samples), found {references.shape}"
        )
    n_src, n_samples = references.shape[-2:]
    if n_src > min(n_samples, _MOST_SOURCES) or len(references) > max(n_src, n_samples):
        raise ValueError(
            f"references must be (n_src, n_samples), sources first, found {references.shape}: "
            f"{n_src} sources of {n_samples} samples can't be meant (transpose them?)"
        )
    without_rows = np.delete(estimates.shape, -3) if estimates.ndim > references.ndim else ()
    if references.shape not in (estimates.shape, tuple(without_rows)) or not estimates.size:
        raise ValueError(
            f"estimates must be {references.shape} as the references, or have rows before the last "
            f"two dimensions, found {estimates.shape}"
        )
    return _real("references", references), _real("estimates", estimates)


def _real(name: str, waves: NDArray) -> NDArray:
    """As float64: numpy would drop what is imaginary without an error."""
    if waves.dtype.kind in "cmM":
        raise ValueError(f"{name} must be real numbers, found {waves.dtype}")
    waves = waves.astype(np.float64, copy=False)
    if not np.isfinite(waves).all():
        raise ValueError(f"{name} hold {(~np.isfinite(waves)).sum()} NaN or infinite value(s)")
    return waves


def _energy(waves: NDArray) -> NDArray:
    return np.einsum("...t,...t->...", waves, waves)


def _unit(waves: NDArray) -> NDArray:
    """Each wave scaled to energy 1 (all ratios are scale-invariant); silent ones left as they are.

    In two steps, so that squares of very quiet or loud samples neither vanish nor overflow.
    """
    for size in (lambda x: np.abs(x).max(axis=-1), lambda x: np.sqrt(_energy(x))):
        scale = size(waves)[..., np.newaxis]
        waves = waves / np.where(scale > 0, scale, 1)
    return waves


def _decibels(wanted: NDArray, unwanted: NDArray) -> NDArray:
    """10 log10 of the ratio; +inf where nothing is unwanted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(unwanted == 0, np.inf, 10 * np.log10(wanted / unwanted))


def _ratios(target: torch.Tensor, interference: torch.Tensor, artifacts: torch.Tensor) -> NDArray:
    """SDR, SIR and SAR stacked, (3, ...), from the energies of orthogonal components."""
    t, i, a = (energies.numpy(force=True) for energies in (target, interference, artifacts))
    pairs = ((t, i + a), (t, i), (t + i, a))
    return np.stack([_decibels(wanted, rest) for wanted, rest in pairs])

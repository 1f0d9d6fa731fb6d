"""Objective measures of separation: BSS Eval v3 and scale-invariant SDR, in decibels.

Conventions: references and estimates are real arrays whose last axis is time; estimate ``j`` is
scored against reference ``j`` (no permutation); any number of estimates of the same references can
be scored at once in a leading dimension. A silent reference or a silent estimate has no score: its
entries are NaN, those of the other sources are what they would be without it.

BSS Eval v3 (Vincent, Gribonval and Févotte, "Performance measurement in blind audio source
separation", IEEE TASLP 14(4), 2006) splits an estimate e of source j into what filters of 512 taps
can make of reference j (target), what they can make of all the references beyond that
(interference), and the rest (artifacts). These are orthogonal, so the three ratios follow from
‖e‖² and the energies of two projections. With G the correlations of the delayed references among
themselves and d theirs with e, a projection's energy is dᵀ G⁻¹ d: one factor of G, which is
Toeplitz in blocks and knows nothing of the estimates, serves them all. Equal to
``mir_eval.separation.bss_eval_sources`` with ``compute_permutation=False``, but where G is singular
to double precision (references that have lost a whole band, as to a steep low-pass): what mir_eval
gives there is rounding.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

TAPS = 512
"""Length of BSS Eval's distortion filters, samples."""
_MAX_LAG = TAPS - 1
_FFT = 4096  # correlations go through blocks: short FFTs stay in the processor's cache
_BLOCK = _FFT - 2 * _MAX_LAG
_BLOCK_COLUMNS = 24  # about as many columns of G's factor are computed at a time
_CANCELLATION = 1e-5  # relative: smaller differences of energies are taken in the time domain
_RIDGE = 1e-15  # relative to a reference's energy; added where references are linearly dependent


class BssEval(NamedTuple):
    """Source-to-distortion, -interference and -artifacts ratios, dB; each as the estimates' shape
    without time: (n_src,) or (rows, n_src)."""

    sdr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]


def bss_eval(*, references: ArrayLike, estimates: ArrayLike) -> BssEval:
    """BSS Eval v3 with fixed order and filters of 512 taps.

    Args:
        references: (n_src, n_samples).
        estimates: (n_src, n_samples), or (rows, n_src, n_samples) for several systems at once.

    Returns:
        Ratios of (n_src,) or (rows, n_src). SIR is +inf for a single (audible) reference. NaN where
        the reference or the estimate is silent. Where references are linearly dependent, the
        projections are onto what they span.

    Raises:
        ValueError: shapes that don't match, no samples, or values that aren't finite.
    """
    references, estimates = _checked(references, estimates)
    rows = estimates.reshape(-1, *references.shape)
    scores = np.full((3, *rows.shape[:2]), np.nan)
    audible = references.any(axis=-1)
    if audible.any():
        waves = _unit(references[audible]), _unit(rows[:, audible])
        scores[:, :, audible] = _ratios(*_components(*map(torch.from_numpy, waves)))
    scores[:, ~rows.any(axis=-1)] = np.nan
    return BssEval(*scores.reshape(3, *estimates.shape[:-1]))


def si_sdr(*, references: ArrayLike, estimates: ArrayLike) -> NDArray[np.float64]:
    """Scale-invariant SDR (Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, eq. 4).

    The mean is not removed. Shapes, silence and errors as for :func:`bss_eval`. About 300 dB or
    +inf where the estimate is a multiple of its reference, -inf where it is orthogonal to it.
    """
    references, estimates = _checked(references, estimates)
    references, estimates = _unit(references), _unit(estimates)
    targets = (references * estimates).sum(axis=-1, keepdims=True) * references
    score = _decibels(_energy(targets), _energy(estimates - targets))
    silent = ~(references.any(axis=-1) & estimates.any(axis=-1))
    return np.where(silent, np.nan, score)


def _checked(references: ArrayLike, estimates: ArrayLike) -> tuple[NDArray, NDArray]:
    """Both as float64, or a ValueError that shows what came."""
    references = np.asarray(references, dtype=np.float64)
    estimates = np.asarray(estimates, dtype=np.float64)
    if references.ndim != 2 or not references.size:
        raise ValueError(f"references must be (n_src, n_samples), found {references.shape}")
    if estimates.ndim not in (2, 3) or estimates.shape[-2:] != references.shape:
        raise ValueError(
            f"estimates must be {references.shape} as the references, or (rows, *{references.shape}"
            f"), found {estimates.shape}"
        )
    for name, waves in (("references", references), ("estimates", estimates)):
        if not np.isfinite(waves).all():
            raise ValueError(f"{name} hold {(~np.isfinite(waves)).sum()} NaN or infinite value(s)")
    return references, estimates


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


def _ratios(target: Tensor, interference: Tensor, artifacts: Tensor) -> NDArray:
    """SDR, SIR and SAR stacked, (3, rows, n_src), from the energies of orthogonal components."""
    pairs = (
        (target, interference + artifacts),
        (target, interference),
        (target + interference, artifacts),
    )
    return np.stack([_decibels(wanted.numpy(), rest.numpy()) for wanted, rest in pairs])


def _components(references: Tensor, estimates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies of target, interference and artifacts, each (rows, n_src).

    ``estimates`` are (rows, n_src, n_samples); all waves have energy 1 (or are silent).
    """
    lags = _correlations(torch.cat([references, estimates.flatten(0, 1)]), references)
    n_src, own = len(references), torch.arange(len(references))
    products = lags[n_src:, :, :TAPS].flip(-1).unflatten(0, estimates.shape[:2])
    own_lags = lags[own, own][:, None, None]  # (n_src, 1, 1, 1023)
    own_products = products[:, own, own].transpose(0, 1)[:, :, None]  # (n_src, rows, 1, 512)
    own_filters, target = (part.transpose(0, 1) for part in _project(own_lags, own_products))
    if n_src > 1:
        filters, explained = _project(lags[None, :n_src], products.flatten(0, 1)[None])
        filters, explained = filters.reshape(products.shape), explained.reshape(target.shape)
    else:
        filters, explained = own_filters, target
    interference, artifacts = explained - target, 1 - explained
    beyond = filters.clone()
    beyond[:, own, own] -= own_filters.squeeze(2)
    _sample_small(interference, explained, references, beyond)
    _sample_small(artifacts, torch.ones_like(artifacts), references, filters, estimates)
    return target, interference, artifacts


def _correlations(waves: Tensor, references: Tensor) -> Tensor:
    """Σ_t wave[t] reference[t + k] for the lags k = -511 ... 511.

    Shape: (n, n_samples), (n_src, n_samples) -> (n, n_src, 1023). Each block of a wave meets the
    stretch of the reference that reaches 511 samples beyond it on both sides; the blocks' spectra
    are multiplied and summed before one inverse FFT.
    """
    tail = -waves.shape[-1] % _BLOCK
    blocks = functional.pad(waves, (0, tail)).unfold(-1, _BLOCK, _BLOCK)
    stretches = functional.pad(references, (_MAX_LAG, tail + _MAX_LAG)).unfold(-1, _FFT, _BLOCK)
    ours, theirs = torch.fft.rfft(blocks, _FFT), torch.fft.rfft(stretches)
    crossed = ours.permute(2, 0, 1) @ theirs.conj().permute(2, 1, 0)  # (bins, n, n_src)
    return torch.fft.irfft(crossed.conj().permute(1, 2, 0), _FFT)[..., : 2 * TAPS - 1]


def _project(lags: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Filters of the references whose outputs' sum comes closest to an estimate, and its energy.

    They solve G x = d. The energy is taken as x · (2 d - G x): equal to x · d at the solution, but
    an error e of x changes it by e · G e alone, so the factor's rounding does not show.

    Shape: (batch, n, n, 1023) correlations among the references, (batch, m, n, 512) with m
    estimates -> (batch, m, n, 512), (batch, m).
    """
    right = products.mT.flatten(2).mT  # delay by delay: (batch, 512 n, m)
    factor = _toeplitz_factor(lags)
    if factor is None:
        factor = torch.stack([_ridged_factor(gram) for gram in _toeplitz(lags)])
    half = torch.linalg.solve_triangular(factor, right, upper=False)
    solution = torch.linalg.solve_triangular(factor.mT, half, upper=True)
    energy = (solution * (2 * right - _toeplitz_product(lags, solution))).sum(1)
    return solution.mT.unflatten(2, (TAPS, lags.shape[1])).mT, energy


def _toeplitz_factor(lags: Tensor) -> Tensor | None:
    """Cholesky factor of G by the generalised Schur algorithm; None where G is near singular.

    G holds the correlations of reference i delayed by p with reference j delayed by q, which is
    ``lags[i, j]`` at lag p - q. Delay by delay, it is Toeplitz in blocks of m = step · n. With
    X = G[:, :m] / L0ᵀ, L0 the factor of its first block, and Y = X without its first block, G less
    itself shifted down one block is X Xᵀ - Y Yᵀ; so it is of each Schur complement, whose X is the
    factor's next block column. A step is a rotation of (X, Y) that clears the first block of Y
    (Kailath and Sayed, "Displacement structure", SIAM Review 37(3), 1995): O(m N) operations where
    elimination needs O(N²).

    Shape: (batch, n, n, 1023) -> (batch, 512 n, 512 n).
    """
    batch, n = lags.shape[:2]
    step = min(2 ** int(np.log2(max(_BLOCK_COLUMNS / n, 1))), TAPS)
    size, m = TAPS * n, step * n
    delayed = [lags[..., _MAX_LAG - q : _MAX_LAG - q + TAPS] for q in range(step)]
    columns = torch.stack(delayed, dim=1).permute(0, 4, 2, 1, 3).reshape(batch, size, m)
    factor = lags.new_empty(batch, size, size)  # its upper half is never read
    corner, failed = torch.linalg.cholesky_ex(columns[:, :m])
    if failed.any():
        return None
    x = y = torch.linalg.solve_triangular(corner.mT, columns, upper=True, left=False)
    factor[:, :, :m] = x
    identity = torch.eye(m, dtype=lags.dtype)
    for done in range(m, size, m):
        x, y = x[:, : size - done], y[:, m:]
        reflection = torch.linalg.solve_triangular(x[:, :m], y[:, :m], upper=False)
        both = torch.stack([reflection @ reflection.mT, reflection.mT @ reflection])
        (left, right), failed = torch.linalg.cholesky_ex(identity - both)
        if failed.any():
            return None
        back = torch.linalg.solve_triangular(right, reflection.mT @ left, upper=False)
        x = x - y @ reflection.mT
        x = torch.linalg.solve_triangular(left.mT, x, upper=True, left=False)
        y = y @ right - x @ back.mT
        factor[:, done:, done : done + m] = x
    return factor


def _toeplitz(lags: Tensor) -> Tensor:
    """G itself, delay by delay: (batch, n, n, 1023) -> (batch, 512 n, 512 n)."""
    delays = torch.arange(TAPS)
    entries = lags[..., _MAX_LAG + delays[:, None] - delays]  # (batch, n, n, 512, 512)
    return entries.permute(0, 3, 1, 4, 2).flatten(3).flatten(1, 2)


def _toeplitz_product(lags: Tensor, columns: Tensor) -> Tensor:
    """G times columns, by FFT: (batch, n, n, 1023), (batch, 512 n, m) -> (batch, 512 n, m)."""
    length = next_fast_len(3 * TAPS, real=True)
    kernels = torch.fft.rfft(lags, length)
    spectra = torch.fft.rfft(columns.unflatten(1, (TAPS, -1)), length, dim=1)
    product = torch.einsum("bijf,bfjm->bfim", kernels, spectra)
    return torch.fft.irfft(product, length, dim=1)[:, _MAX_LAG : _MAX_LAG + TAPS].flatten(1, 2)


def _ridged_factor(gram: Tensor) -> Tensor:
    """Cholesky factor of (n, n), with a small ridge where the references are dependent.

    The ridge grows until the factorisation succeeds: the projection is then onto what the
    references span, but for directions of an energy below the ridge.
    """
    factor, failed = torch.linalg.cholesky_ex(gram)
    ridge = _RIDGE
    while failed:
        factor, failed = torch.linalg.cholesky_ex(gram + torch.diag(ridge * gram.diagonal()))
        ridge *= 10
    return factor


def _sample_small(
    energies: Tensor,
    whole: Tensor,
    references: Tensor,
    filters: Tensor,
    estimates: Tensor | None = None,
) -> None:
    """Where energies cancelled against ``whole``, put those of the samples, estimate - projection.

    That is how the mixture itself is scored: as the sum of the references it has no artifacts but
    the rounding of its file.
    """
    small = (energies < _CANCELLATION * whole).nonzero().tolist()
    if not small:
        return
    length = references.shape[-1] + _MAX_LAG
    size = next_fast_len(length, real=True)
    spectra = torch.fft.rfft(references, size)
    for row, src in small:
        response = torch.fft.rfft(filters[row, src], size)
        rest = -torch.fft.irfft((spectra * response).sum(dim=0), size)[:length]
        if estimates is not None:
            rest[: estimates.shape[-1]] += estimates[row, src]
        energies[row, src] = rest.square().sum()

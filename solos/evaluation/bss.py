"""The linear algebra of BSS Eval v3: energies of an estimate's components (see ``metrics``).

The components are orthogonal, so all follows from ‖e‖² and the energies of two projections. With G
the correlations of the delayed references among themselves and d theirs with e, a projection's
energy is dᵀ G⁻¹ d: one factor of G, which is Toeplitz in blocks and knows nothing of the estimates,
serves them all. Shapes: S segments of n_src references, R rows of estimates each.
"""

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

TAPS = 512
"""Length of BSS Eval's distortion filters, samples."""
_MAX_LAG = TAPS - 1
_FFT = 4096  # correlations go through blocks: short FFTs stay in the processor's cache
_BLOCK = _FFT - 2 * _MAX_LAG
_MOST_BLOCKS = 256  # of a wave at a time: their spectra are many times as large as they are
_BLOCK_COLUMNS = 24  # about as many columns of G's factor are computed at a time
_CANCELLATION = 1e-5  # relative: smaller differences of energies are taken in the time domain
_RIDGE = 1e-15  # relative to a reference's energy; added where references are linearly dependent


def memory(n_src: int) -> int:
    """Bytes of the largest thing that is held of a segment: G's factor, (512 n_src)² float64.

    Where references are linearly dependent, G and copies of it are held besides: four times that.
    """
    return 8 * (TAPS * n_src) ** 2


def component_energies(references: Tensor, estimates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies of target, interference and artifacts, each (S, R, n_src).

    Shape: (S, n_src, n_samples) and (S, R, n_src, n_samples), float64 on one device; each wave has
    energy 1 (or, an estimate, is silent).
    """
    n_src, own = references.shape[1], torch.arange(references.shape[1])
    lags = correlations(references, estimates)
    products = lags[:, n_src:, :, :TAPS].flip(-1).unflatten(1, estimates.shape[1:3])
    own_filters, target = _project_on_own(lags, products)
    if n_src > 1:
        filters, explained = _project(lags[:, :n_src], products.flatten(1, 2))
        filters, explained = filters.reshape(products.shape), explained.reshape(target.shape)
    else:
        filters, explained = own_filters[..., None, :], target
    interference, artifacts = explained - target, 1 - explained
    beyond = filters.clone()
    beyond[:, :, own, own] -= own_filters
    _sample_small(interference, explained, references, beyond)
    _sample_small(artifacts, torch.ones_like(artifacts), references, filters, estimates)
    return target, interference, artifacts


def _project_on_own(lags: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Projections on the filtered own reference alone: (S, R, n_src, 512), (S, R, n_src)."""
    n_segments, _, n_src = products.shape[:3]
    own = torch.arange(n_src)
    own_lags = lags[:, own, own].flatten(0, 1)[:, None, None]  # (S·n_src, 1, 1, 1023)
    own_products = products[:, :, own, own].transpose(1, 2).flatten(0, 1)[:, :, None]
    filters, energies = _project(own_lags, own_products)
    size = (n_segments, n_src)
    filters, energies = filters[:, :, 0].unflatten(0, size), energies.unflatten(0, size)
    return filters.transpose(1, 2), energies.transpose(1, 2)


def correlations(references: Tensor, estimates: Tensor) -> Tensor:
    """Σ_t wave[t] reference[t + k] for the lags k = -511 ... 511 of all waves, references first.

    Shape: (S, n_src, n_samples), (S, R, n_src, n_samples) -> (S, n_src + R·n_src, n_src, 1023).
    Each block of a wave meets the stretch of the reference that reaches 511 samples beyond it on
    both sides; the blocks' spectra are multiplied and summed before one inverse FFT.
    """
    tail = -references.shape[-1] % _BLOCK
    stretches = functional.pad(references, (_MAX_LAG, tail + _MAX_LAG)).unfold(-1, _FFT, _BLOCK)
    padded = [functional.pad(waves, (0, tail)) for waves in (references, estimates.flatten(1, 2))]
    blocks = [waves.unfold(-1, _BLOCK, _BLOCK) for waves in padded]
    spectra: Tensor | float = 0.0
    for first in range(0, stretches.shape[2], _MOST_BLOCKS):
        now = slice(first, first + _MOST_BLOCKS)
        theirs = torch.fft.rfft(stretches[:, :, now]).conj().permute(0, 3, 2, 1)
        ours = (torch.fft.rfft(waves[:, :, now], _FFT).permute(0, 3, 1, 2) for waves in blocks)
        # (S, bins, n, blocks) by (S, bins, blocks, n_src)
        spectra = torch.cat([each @ theirs for each in ours], dim=2) + spectra
    spectra = spectra.conj().permute(0, 2, 3, 1)  # (S, n, n_src, bins)
    return torch.fft.irfft(spectra, _FFT)[..., : 2 * TAPS - 1]


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
    identity = torch.eye(m, dtype=lags.dtype, device=lags.device)
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
    delays = torch.arange(TAPS, device=lags.device)
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
    length = references.shape[-1] + _MAX_LAG
    size = next_fast_len(length, real=True)
    for segment, row, src in (energies < _CANCELLATION * whole).nonzero().tolist():
        spectra = torch.fft.rfft(references[segment], size)
        response = torch.fft.rfft(filters[segment, row, src], size)
        rest = -torch.fft.irfft((spectra * response).sum(dim=0), size)[:length]
        if estimates is not None:
            rest[: estimates.shape[-1]] += estimates[segment, row, src]
        energies[segment, row, src] = rest.square().sum()

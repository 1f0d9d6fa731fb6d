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
_BLOCK = _FFT - _MAX_LAG
_BANDS = 8
_BLOCK_ROWS = 24  # about as many rows of G's factor are computed at a time
_CANCELLATION = 1e-5  # relative: smaller differences of energies are taken in the time domain
_RIDGE = 1e-15  # relative to a reference's energy; added where references are linearly dependent


def component_energies(references: Tensor, estimates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies of target, interference and artifacts, each (S, R, n_src).

    Shape: (S, n_src, n_samples) and (S, R, n_src, n_samples), float64 on one device; each wave has
    energy 1 (or, an estimate, is silent).
    """
    n_src, own = references.shape[1], torch.arange(references.shape[1])
    among, theirs = correlations(references, estimates).split([n_src, estimates[0, :, :, 0].numel()], dim=1)
    lags = torch.cat([among[..., 1:].flip(-1), among.transpose(1, 2)], dim=-1)
    products = theirs.unflatten(1, estimates.shape[1:3])
    own_filters, target = _project_on_own(lags, products)
    if n_src > 1:
        filters, explained = _project(lags, products.flatten(1, 2))
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
    """Σ_t reference[t] wave[t + k] for the lags k = 0 ... 511 of all waves, references first.

    Shape: (S, n_src, n_samples), (S, R, n_src, n_samples) -> (S, n_src + R·n_src, n_src, 512).
    Each block of a reference meets the stretch of the wave that reaches 511 samples beyond it; the
    blocks' spectra are multiplied and summed before one inverse FFT.
    """
    tail = -references.shape[-1] % _BLOCK
    blocks = functional.pad(references, (0, tail)).unfold(-1, _BLOCK, _BLOCK)
    ours = torch.fft.rfft(blocks, _FFT).permute(0, 3, 2, 1).conj().resolve_conj()
    spectra = []
    for waves in (references, *estimates.unbind(1)):
        stretches = functional.pad(waves, (0, tail + _MAX_LAG)).unfold(-1, _FFT, _BLOCK)
        theirs = torch.fft.rfft(stretches).permute(0, 3, 1, 2).contiguous()
        spectra.append((theirs @ ours).permute(0, 2, 3, 1))  # (S, n_src, n_src, bins)
    return torch.fft.irfft(torch.cat(spectra, dim=1), _FFT)[..., :TAPS]


def _project(lags: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Filters of the references whose outputs' sum comes closest to an estimate, and its energy.

    They solve G x = d. The energy is taken as x · (2 d - G x): equal to x · d at the solution, but
    an error e of x changes it by e · G e alone, so the factor's rounding does not show.

    Shape: (batch, n, n, 1023) correlations among the references, (batch, m, n, 512) with m
    estimates -> (batch, m, n, 512), (batch, m).
    """
    factor = _toeplitz_factor(lags)
    if factor is None:
        dense = torch.stack([_ridged_factor(gram) for gram in _toeplitz(lags)])
        factor = [(dense.mT, dense[..., :0])]
    filters = _solve(factor, products.mT.flatten(2)).unflatten(2, (TAPS, -1)).mT
    energy = (filters * (2 * products - _toeplitz_product(lags, filters))).sum((-2, -1))
    return filters, energy


def _toeplitz_factor(lags: Tensor) -> list[Tensor] | None:
    """Cholesky factor of G by the generalised Schur algorithm; None where G is near singular.

    G holds the correlations of reference i delayed by p with reference j delayed by q, which is
    ``lags[i, j]`` at lag p - q. Delay by delay, it is Toeplitz in blocks of m = step · n. With
    X = L0⁻¹ G[:m], L0 the factor of its first block, and Y = X without its first block, G less
    itself shifted down one block is Xᵀ X - Yᵀ B⁻¹ Y with B = 1; so it is of each Schur complement,
    whose X is the factor's next block row. A step takes from (X, Y) what clears the first block of
    Y (Kailath and Sayed, "Displacement structure", SIAM Review 37(3), 1995): O(m N) operations
    where elimination needs O(N²). Y is not scaled back to B = 1: that would be another product.

    Shape: (batch, n, n, 1023) -> upper factor (batch, 512 n, 512 n) in bands, see :func:`_solve`.
    """
    batch, n = lags.shape[:2]
    step = min(2 ** int(np.log2(max(_BLOCK_ROWS / n, 1))), TAPS)
    size, m = TAPS * n, step * n
    height = max(size // _BANDS, m)
    delayed = [lags[..., _MAX_LAG - q : _MAX_LAG - q + TAPS] for q in range(step)]
    rows = torch.stack(delayed, dim=1).permute(0, 1, 3, 4, 2).reshape(batch, m, size)
    identity = torch.eye(m, dtype=lags.dtype, device=lags.device).expand(batch, m, m)
    bands = []
    try:
        x = y = torch.linalg.solve_triangular(torch.linalg.cholesky(rows[..., :m]), rows, upper=False)
        b = identity
        for done in range(0, size, m):
            if done:
                x, y = x[..., :-m], y[..., m:]
                u = torch.linalg.solve_triangular(x[..., :m], y[..., :m], upper=True, left=False)
                v = torch.cholesky_solve(u, torch.linalg.cholesky(b)).mT
                scale = torch.linalg.cholesky(torch.baddbmm(identity, v, u, alpha=-1))
                scale = torch.linalg.solve_triangular(scale, identity, upper=False)
                b = torch.baddbmm(b, u, u.mT, alpha=-1)
                x, y = scale @ torch.baddbmm(x, v, y, alpha=-1), torch.baddbmm(y, u, x, alpha=-1)
            row = done % height
            if row == 0:
                bands.append((lags.new_empty(batch, height, height), lags.new_empty(batch, height, size - done - height)))
            corner, rest = bands[-1]
            corner[:, row:row+m, row:] = x[..., :height - row]
            rest[:, row:row+m] = x[..., height-row:]
    except torch.linalg.LinAlgError:
        return None
    return bands


def _solve(bands, right: Tensor) -> Tensor:
    rest, halves, height = right, [], bands[0][0].shape[1]
    for corner, beyond in bands:
        halves.append(torch.linalg.solve_triangular(corner, rest[..., :height], upper=True, left=False))
        rest = torch.baddbmm(rest[..., height:], halves[-1], beyond, alpha=-1)
    solution = rest
    for (corner, beyond), half in zip(reversed(bands), reversed(halves)):
        half = torch.baddbmm(half, solution, beyond.mT, alpha=-1)
        first = torch.linalg.solve_triangular(corner.mT, half, upper=False, left=False)
        solution = torch.cat([first, solution], dim=-1)
    return solution


def _toeplitz(lags: Tensor) -> Tensor:
    """G itself, delay by delay: (batch, n, n, 1023) -> (batch, 512 n, 512 n)."""
    delays = torch.arange(TAPS, device=lags.device)
    entries = lags[..., _MAX_LAG + delays[:, None] - delays]  # (batch, n, n, 512, 512)
    return entries.permute(0, 3, 1, 4, 2).flatten(3).flatten(1, 2)


def _toeplitz_product(lags: Tensor, filters: Tensor) -> Tensor:
    """G times filters, by FFT: (batch, n, n, 1023), (batch, m, n, 512) -> (batch, m, n, 512)."""
    length = next_fast_len(3 * TAPS, real=True)
    kernels, spectra = torch.fft.rfft(lags, length), torch.fft.rfft(filters, length)
    product = torch.einsum("bijf,bmjf->bmif", kernels, spectra)
    return torch.fft.irfft(product, length)[..., _MAX_LAG : _MAX_LAG + TAPS]


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

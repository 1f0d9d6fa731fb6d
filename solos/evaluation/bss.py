"""The linear algebra of BSS Eval v3: energies of an estimate's components (see ``metrics``).

The components are orthogonal, so all follows from ‖e‖² and the energies of two projections. With G
the correlations of the delayed references among themselves and d theirs with e, a projection's
energy is dᵀ G⁻¹ d: one factor of G, which is Toeplitz in blocks and knows nothing of the estimates,
serves them all. Shapes: S segments of n_src references, R rows of estimates each. What else was
tried stands in docs/fidelity.md.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.linalg import LinAlgError, solve_toeplitz
from torch import Tensor

TAPS = 512
"""Length of BSS Eval's distortion filters, samples."""
_MAX_LAG = TAPS - 1
_FFT = 4096  # correlations go through blocks: short FFTs stay in the processor's cache
_BLOCK = _FFT - _MAX_LAG
_BLOCK_ROWS = 24  # about as many rows of G's factor are computed at a time
_CANCELLATION = 1e-5  # relative: smaller differences of energies are taken in the time domain
_RESIDUAL = 1e-10  # relative, allowed to Levinson's recursion (about 1e-12 for real music)
_RIDGE = 1e-15  # relative to a reference's energy; added where references are linearly dependent


def memory(n_src: int) -> int:
    """Bytes of a segment's G, (512 n_src)² float64: its factor, the largest thing held, has half.

    Where references are linearly dependent, G itself and copies of it are: four times that.
    """
    return 8 * (TAPS * n_src) ** 2


@torch.inference_mode()
def component_energies(references: Tensor, estimates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies of target, interference and artifacts, each (S, R, n_src).

    Shape: (S, n_src, n_samples) and (S, R, n_src, n_samples), float64 on one device; each wave has
    energy 1 (or, an estimate, is silent).
    """
    n_src, own = references.shape[1], torch.arange(references.shape[1])
    among, theirs = correlations(references, estimates).split(
        [n_src, estimates[0, :, :, 0].numel()], dim=1
    )
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
    """Projections on the filtered own reference alone: (S, R, n_src, 512), (S, R, n_src).

    By Levinson's recursion, which needs no factor, where its solutions hold.
    """
    own, size = torch.arange(products.shape[2]), (len(lags), products.shape[2])
    among = lags[:, own, own].flatten(0, 1)[:, None, None]  # (S·n_src, 1, 1, 1023)
    wanted = products[:, :, own, own].transpose(1, 2).flatten(0, 1)[:, :, None]
    filters = _levinson(among, wanted)
    residual = wanted - _toeplitz_product(among, filters)
    if (residual.abs() <= _RESIDUAL * wanted.abs().amax(-1, keepdim=True)).all():
        energies = _energy(wanted, filters, residual)
    else:
        filters, energies = _project(among, wanted)
    filters, energies = filters[:, :, 0].unflatten(0, size), energies.unflatten(0, size)
    return filters.transpose(1, 2), energies.transpose(1, 2)


def _levinson(lags: Tensor, products: Tensor) -> Tensor:
    """Solutions of scalar Toeplitz systems, NaN where a leading part of one is singular.

    Shape: (batch, 1, 1, 1023), (batch, m, 1, 512) -> as the latter.
    """
    rows, wanted = lags[:, 0, 0, _MAX_LAG:].numpy(force=True), products.numpy(force=True)
    found = np.full(products.shape, np.nan)
    for i, m, n in np.ndindex(*products.shape[:3]):
        with suppress(LinAlgError):
            found[i, m, n] = solve_toeplitz(rows[i], wanted[i, m, n])
    return torch.from_numpy(found).to(products.device)


def correlations(references: Tensor, estimates: Tensor) -> Tensor:
    """Σ_t reference[t] wave[t + k] for the lags k = 0 ... 511 of all waves, references first.

    Shape: (S, n_src, n_samples), (S, R, n_src, n_samples) -> (S, n_src + R·n_src, n_src, 512).
    Each block of a reference meets the stretch of the wave that reaches 511 samples beyond it;
    their spectra's products are summed before one inverse FFT.
    """
    waves = torch.cat([references, estimates.flatten(1, 2)], dim=1)
    spectra = waves.new_zeros(
        *waves.shape[:2], references.shape[1], _FFT // 2 + 1, dtype=torch.complex128
    )
    for start in range(0, waves.shape[-1], _BLOCK):
        block = torch.fft.rfft(references[..., start : start + _BLOCK], _FFT).conj_physical()
        stretch = torch.fft.rfft(waves[..., start : start + _FFT], _FFT)
        spectra.addcmul_(stretch[:, :, None], block[:, None])
    return torch.fft.irfft(spectra, _FFT)[..., :TAPS]


def _project(lags: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Filters of the references whose outputs' sum comes closest to an estimate, and its energy.

    Shape: (batch, n, n, 1023) correlations among the references, (batch, m, n, 512) with m
    estimates -> (batch, m, n, 512), (batch, m).
    """
    right = products.mT.flatten(2)  # delay by delay
    try:
        solution = _solve(_factor_rows(lags), right)
    except torch.linalg.LinAlgError:  # near singular
        solution = _solve(
            [torch.stack([_ridged_factor(gram).mT for gram in _toeplitz(lags)])], right
        )
    filters = solution.unflatten(2, (TAPS, -1)).mT
    return filters, _energy(products, filters, products - _toeplitz_product(lags, filters))


def _energy(products: Tensor, filters: Tensor, residual: Tensor) -> Tensor:
    """Energies of projections, (batch, m), whose filters x solve G x = d up to a residual.

    The residual's x · (d - G x) is added to x · d: an error e of x then changes the energy by
    e · G e alone, and the rounding of the solution does not show.
    """
    return (filters * (products + residual)).sum((-2, -1))


def _factor_rows(lags: Tensor) -> Iterator[Tensor]:
    """Block rows of the upper Cholesky factor of G by the generalised Schur algorithm.

    G holds the correlations of reference i delayed by p with reference j delayed by q, which is
    ``lags[i, j]`` at lag p - q. Delay by delay, it is Toeplitz in blocks of m = step · n. With
    X = L⁻¹ G[:m], L the factor of its first block, and Y = X without its first block, G less itself
    shifted down one block is Xᵀ X - Yᵀ B⁻¹ Y with B = 1; so it is of each Schur complement, whose
    X is the factor's next block row. A step clears the first block of Y by the same operation that
    brings X there (Kailath and Sayed, "Displacement structure", SIAM Review 37(3), 1995): O(m N)
    operations where elimination needs O(N²). Y is not brought back to B = 1, a product less.

    Shape: (batch, n, n, 1023) -> (batch, m, 512 n), (batch, m, 512 n - m) ... (batch, m, m), each
    without the zeros before its diagonal. Raises LinAlgError where G is near singular.
    """
    batch, n = lags.shape[:2]
    step = min(2 ** int(np.log2(max(_BLOCK_ROWS / n, 1))), TAPS)
    m = step * n
    delayed = [lags[..., _MAX_LAG - q : _MAX_LAG - q + TAPS] for q in range(step)]
    first = torch.stack(delayed, dim=1).permute(0, 1, 3, 4, 2).reshape(batch, m, TAPS * n)
    x = y = torch.linalg.solve_triangular(torch.linalg.cholesky(first[..., :m]), first, upper=False)
    yield x
    b = identity = torch.eye(m, dtype=lags.dtype, device=lags.device).expand(batch, m, m)
    while y.shape[-1] > m:
        x, y = x[..., :-m], y[..., m:]
        u = torch.linalg.solve_triangular(x[..., :m], y[..., :m], upper=True, left=False)
        v = torch.cholesky_solve(u, torch.linalg.cholesky(b)).mT
        root = torch.linalg.cholesky(torch.baddbmm(identity, v, u, alpha=-1))
        scale = torch.linalg.solve_triangular(root, identity, upper=False)
        b = torch.baddbmm(b, u, u.mT, alpha=-1)
        x, y = scale @ torch.baddbmm(x, v, y, alpha=-1), torch.baddbmm(y, u, x, alpha=-1)
        yield x


def _solve(rows: Iterable[Tensor], right: Tensor) -> Tensor:
    """Solve G x = d, given the block rows of G's upper factor, for rows of right-hand sides.

    Shape: (batch, m, 512 n) -> the same.
    """
    kept, rest = [], right
    for row in rows:
        corner, beyond = row.tensor_split([row.shape[1]], dim=2)
        ours, rest = rest.tensor_split([row.shape[1]], dim=2)
        half = torch.linalg.solve_triangular(corner, ours, upper=True, left=False)
        rest = torch.baddbmm(rest, half, beyond, alpha=-1)
        kept.append((corner.mT, beyond.mT, half))
    solution = torch.empty_like(right)
    for corner, beyond, half in reversed(kept):
        after = right.shape[-1] - beyond.shape[1]
        ours = torch.baddbmm(half, solution[..., after:], beyond, alpha=-1)
        ours = torch.linalg.solve_triangular(corner, ours, upper=False, left=False)
        solution[..., after - ours.shape[-1] : after] = ours
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

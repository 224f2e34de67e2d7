"""Soft convex quantization as functions of latents and a codebook."""

from __future__ import annotations

import torch
from torch import Tensor

from solvq.vector import _exact
from solvq.vector._check import (
    absolute,
    check_alpha,
    check_latents,
    check_stopping,
    computed,
)
from solvq.vector._distance import nearest
from solvq.vector._exact import Solution
from solvq.vector._modes import without_autocast
from solvq.vector._relaxed import mix_rows, scores

LOCAL_RIDGE = 1e-6  # relative penalty that makes the local variant's weights unique


def solve(
    z: Tensor,
    codebook: Tensor,
    alpha: float | Tensor,
    relative: bool = True,
    *,
    tol: float = 1e-6,
    max_iter: int = 100,
) -> Solution:
    """Weights of `soft_convex` with a certificate of how good they are.

    Parameters and errors are those of `soft_convex`.

    Returns
    -------
    Solution
        ``weights`` (N, K) and ``values`` (N, F), in float64 if ``z`` or ``codebook`` is, else in
        float32; ``gap`` (N,), an upper bound on how far the objective is above its minimum;
        ``n_iter`` (N,), rounds.
    """
    check_latents(z, codebook)
    check_alpha(alpha)
    check_stopping(tol, max_iter)
    with without_autocast(z):
        z, codebook = computed(z, codebook)
        ridge = absolute(alpha, codebook, relative)
        start = nearest(z, codebook)
        return Solution(*_exact.soft_convex(z, codebook, ridge, start, None, tol, max_iter))


def solve_local(
    z: Tensor, codebook: Tensor, alpha: float | Tensor, *, tol: float = 1e-6, max_iter: int = 100
) -> Solution:
    """Weights of `soft_convex_local` with a certificate; see `solve`.

    Computed in float64: with a cost that is nearly linear, rounding to float32 leaves wide gaps.
    """
    check_latents(z, codebook)
    check_alpha(alpha)
    check_stopping(tol, max_iter)
    with without_autocast(z):
        dtype = computed(z, codebook)[0].dtype
        fine, words = z.double(), codebook.double()
        centre = words.detach().mean(0)
        near, far = fine - centre, words - centre
        ridge = absolute(LOCAL_RIDGE, far, relative=True)
        squares = near.square().sum(1, keepdim=True) + far.square().sum(1)
        cost = absolute(alpha, words, relative=False) / 2 * (squares - 2 * near @ far.T)
        start = nearest(fine, words)
        found = _exact.soft_convex(fine, words, ridge, start, cost, tol, max_iter)
        weights, values, gap, n_iter = found
        return Solution(weights.to(dtype), values.to(dtype), gap.to(dtype), n_iter)


def soft_convex(
    z: Tensor,
    codebook: Tensor,
    alpha: float | Tensor,
    relative: bool = True,
    *,
    tol: float = 1e-6,
    max_iter: int = 100,
) -> tuple[Tensor, Tensor]:
    """Exact soft convex quantization: a convex combination of codewords near each latent.

    Minimises ``1/2 |z - p C|^2 + a/2 |p - e|^2`` over p >= 0 with sum 1 for each row z, where e is
    the unit vector of the codeword nearest to z (the lowest index among equals). Solved by column
    generation with Newton steps on the working sets; differentiated implicitly through the
    optimality conditions, with e held constant. Second derivatives are refused.

    Parameters
    ----------
    z : Tensor of shape (N, F)
        Latents, floating point.
    codebook : Tensor of shape (K, F)
        One codeword a row, on the device of ``z``.
    alpha : float or 0-d Tensor
        Penalty, above 0; towards infinity it gives vector quantization, towards 0 the projection
        on the convex hull of the codewords. A tensor may require a gradient; its value is not
        checked.
    relative : bool
        Whether a is ``alpha * tr(C C^T) / F``, which makes p independent of the scale of the data,
        with no gradient through the trace; otherwise a is ``alpha``.
    tol : float
        A row is done when its Frank-Wolfe gap is at most ``tol`` times its objective, or when
        rounding lets the objective fall no further.
    max_iter : int
        Largest number of rounds; rows not done by then give a warning.

    Returns
    -------
    values : Tensor of shape (N, F)
        ``weights @ codebook``, in the dtype of ``z``.
    weights : Tensor of shape (N, K)
        In float64 if ``z`` or ``codebook`` is, else in float32; under autocast too.

    Raises
    ------
    TypeError, ValueError
        For tensors of other kinds or shapes, and for parameters out of range.

    References
    ----------
    Gautam, Pryzant, Yang, Zhu, Sojoudi, "Soft convex quantization: revisiting vector quantization
    with convex optimization", L4DC 2024, arXiv 2310.03004.
    """
    found = solve(z, codebook, alpha, relative, tol=tol, max_iter=max_iter)
    return found.values.to(z.dtype), found.weights


def soft_convex_local(
    z: Tensor, codebook: Tensor, alpha: float | Tensor, *, tol: float = 1e-6, max_iter: int = 100
) -> tuple[Tensor, Tensor]:
    """Soft convex quantization that is continuous in the latents.

    Minimises ``1/2 |z - p C|^2 + alpha/2 sum_j p_j |z - c_j|^2 + r/2 |p|^2`` over p >= 0 with sum
    1, where r is 1e-6 times ``tr(C C^T) / F`` of the codewords less their mean. No nearest codeword
    enters the problem, so unlike `soft_convex` it does not jump at Voronoi borders. ``alpha``
    compares squared distances and needs no scale. Parameters, results and errors are otherwise
    those of `soft_convex`.
    """
    found = solve_local(z, codebook, alpha, tol=tol, max_iter=max_iter)
    return found.values.to(z.dtype), found.weights


def soft_convex_relaxed(
    z: Tensor, codebook: Tensor, alpha: float | Tensor, relative: bool = True
) -> tuple[Tensor, Tensor]:
    """The paper's scalable relaxation of `soft_convex`, with an exact projection.

    Minimises the same objective without constraints, then ``1/2 |p - p_u|^2`` from its minimiser
    p_u over p >= 0 with sum 1. Costs a few matrix products and one F x F factor, but is a rough
    approximation of the problem it replaces. Every codeword receives a gradient; second
    derivatives are right. Parameters, results and errors are those of `soft_convex`.
    """
    check_latents(z, codebook)
    check_alpha(alpha)
    with without_autocast(z):
        wide, words = computed(z, codebook)
        weights, values = mix_rows(*_unconstrained(wide, words, alpha, relative), words)
        return values.to(z.dtype), weights


def soft_convex_alternating(
    z: Tensor, codebook: Tensor, alpha: float | Tensor, m: int = 10, relative: bool = True
) -> tuple[Tensor, Tensor]:
    """The paper's relaxation as printed: ``m`` alternating steps in place of the projection.

    From the unconstrained minimiser of the objective of `soft_convex`, ``m`` times: clip weights
    at 0, then shift them to sum to 1. The result sums to 1 but may have negative weights, and
    tends to a point of the simplex that is not the nearest one. Parameters, results and errors are
    otherwise those of `soft_convex`; ``m`` is an integer >= 1.
    """
    weights = alternating_weights(z, codebook, alpha, m, relative)
    with without_autocast(z):
        return (weights @ codebook.to(weights.dtype)).to(z.dtype), weights


def alternating_weights(
    z: Tensor, codebook: Tensor, alpha: float | Tensor, m: int = 10, relative: bool = True
) -> Tensor:
    """Weights of `soft_convex_alternating`."""
    check_latents(z, codebook)
    check_alpha(alpha)
    if isinstance(m, bool) or not isinstance(m, int) or m < 1:
        raise ValueError(f"m is {m!r}; give an integer >= 1")
    with without_autocast(z):
        weights = scores(*_unconstrained(*computed(z, codebook), alpha, relative))
        for _ in range(m):
            weights = weights.clamp_min(0)
            weights = weights - (weights.sum(1, keepdim=True) - 1) / len(codebook)
    return weights


def _unconstrained(
    z: Tensor, codebook: Tensor, alpha: float | Tensor, relative: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimiser without constraints, ``e + C (C^T C + a I)^-1 (z - c)`` for nearest codewords c.

    Returns ``z - c``, ``C (C^T C + a I)^-1`` and the index of c, of which `scores` makes weights.
    """
    tiny = torch.finfo(z.dtype).eps * codebook.detach().square().sum()  # keeps the factor finite
    penalty = absolute(alpha, codebook, relative) + tiny + torch.finfo(z.dtype).tiny
    eye = torch.eye(codebook.shape[1], dtype=z.dtype, device=z.device)
    factor = torch.linalg.cholesky_ex(torch.addmm(penalty * eye, codebook.T, codebook))[0]
    start = nearest(z, codebook)
    residual = z - torch.nn.functional.embedding(start, codebook)
    return residual, torch.cholesky_solve(codebook.T, factor).T, start

"""Slow, obvious twins of solvq.vector, by enumeration and interior points; data to try them on."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from solvq.vector import soft_convex


def one_hot_nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """Unit vectors (N, K) of nearest codewords, the lowest index among equals."""
    distances = (z.unsqueeze(1) - codebook).square().sum(2)
    return torch.nn.functional.one_hot(distances.argmin(1), len(codebook)).to(z.dtype)


def objective(z: Tensor, codebook: Tensor, penalty: float, weights: Tensor) -> Tensor:
    """``1/2 |z - p C|^2 + penalty/2 |p - e|^2`` for each row."""
    far = (weights - one_hot_nearest(z, codebook)).square().sum(1)
    return ((z - weights @ codebook).square().sum(1) + penalty * far) / 2


def local_objective(z: Tensor, codebook: Tensor, alpha: float, weights: Tensor) -> Tensor:
    """``1/2 |z - p C|^2 + alpha/2 sum_j p_j |z - c_j|^2`` for each row."""
    distances = (z.unsqueeze(1) - codebook).square().sum(2)
    return ((z - weights @ codebook).square().sum(1) + alpha * (weights * distances).sum(1)) / 2


def quadratic_on_simplex(matrix: Tensor, linear: Tensor) -> Tensor:
    """Minimise ``1/2 p^T H p - b^T p`` over the simplex: the best feasible point of any support."""
    size = len(linear)
    best, least = torch.zeros_like(linear), torch.inf
    for count in range(1, size + 1):
        for support in combinations(range(size), count):
            chosen = list(support)
            bordered = torch.ones(count + 1, count + 1, dtype=linear.dtype)
            bordered[:count, :count] = matrix[chosen][:, chosen]
            bordered[count, count] = 0
            right = torch.cat([linear[chosen], torch.ones(1, dtype=linear.dtype)])
            part = torch.linalg.lstsq(bordered, right.unsqueeze(1), driver="gelsd").solution[:-1, 0]
            point = torch.zeros_like(linear).index_put((torch.tensor(chosen),), part)
            value = float(point @ matrix @ point / 2 - linear @ point)
            if part.min() >= -1e-12 and value < least:
                best, least = point, value
    return best


def enumerated(z: Tensor, codebook: Tensor, penalty: float) -> Tensor:
    """Weights of exact soft convex quantization, from all 2^K - 1 supports."""
    matrix = codebook @ codebook.T + penalty * torch.eye(len(codebook), dtype=z.dtype)
    linear = z @ codebook.T + penalty * one_hot_nearest(z, codebook)
    return torch.stack([quadratic_on_simplex(matrix, row) for row in linear])


def interior_point(z: Tensor, codebook: Tensor, penalty: float) -> Tensor:
    """Weights of exact soft convex quantization by clarabel, for each row on its own."""
    cvxpy = pytest.importorskip("cvxpy")
    pytest.importorskip("clarabel")
    weights = []
    for row, first in zip(z, one_hot_nearest(z, codebook), strict=True):
        p, residual = cvxpy.Variable(len(codebook)), cvxpy.Variable(len(row))
        cost = cvxpy.sum_squares(residual) + penalty * cvxpy.sum_squares(p - first.numpy())
        limits = [p >= 0, cvxpy.sum(p) == 1, residual == row.numpy() - codebook.numpy().T @ p]
        tight = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
        cvxpy.Problem(cvxpy.Minimize(cost), limits).solve(solver="CLARABEL", **tight)
        positive = p.value.clip(0)
        weights.append(torch.from_numpy(positive / positive.sum()))
    return torch.stack(weights)


def sorted_projection(y: Tensor) -> Tensor:
    """Projection of rows on the simplex from the sorted cumulative sums."""
    ordered = y.sort(dim=1, descending=True).values
    excess = ordered.cumsum(1) - 1
    count = (ordered * torch.arange(1, y.shape[1] + 1) > excess).sum(1, keepdim=True)
    return (y - excess.gather(1, count - 1) / count).clamp_min(0)


def draw(n: int, f: int, k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Latents inside, outside and at vertices of the hull of a Gaussian codebook, in float64."""
    g = torch.Generator().manual_seed(seed)
    codebook = torch.randn(k, f, generator=g, dtype=torch.float64)
    mix = torch.rand(n, k, generator=g, dtype=torch.float64) ** 8
    z = mix / mix.sum(1, keepdim=True) @ codebook
    z[1::3] = 2 * torch.randn(len(z[1::3]), f, generator=g, dtype=torch.float64)
    z[2::3] = codebook[torch.randint(k, (len(z[2::3]),), generator=g)]
    return z, codebook


def penalty_of(alpha: float, codebook: Tensor) -> float:
    """Absolute penalty of a relative one."""
    return float(alpha * codebook.square().sum() / codebook.shape[1])


def exact(z: Tensor, codebook: Tensor, alpha: float | Tensor, relative: bool = True) -> Tensor:
    """Weights of the exact problem, as good as rounding lets them be."""
    return soft_convex(z, codebook, alpha, relative, tol=0)[1]


def leaves(shape: tuple[int, int, int], seed: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, codebook and an absolute penalty that require gradients."""
    z, codebook = draw(*shape, seed)
    z = z + 0.1 * torch.randn(z.shape, generator=torch.Generator().manual_seed(9)).double()
    alpha = torch.tensor(0.07, dtype=torch.float64)
    return z.requires_grad_(), codebook.requires_grad_(), alpha.requires_grad_()

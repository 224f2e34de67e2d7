"""How far a codebook is from the best possible, whoever made it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solvq.arrays import checked_weight, to_numpy
from solvq.scalar._assign import cell_loss, nearest_loss
from solvq.scalar._kernels import Float64
from solvq.scalar._partition import solve
from solvq.scalar._reduce import Problem, checked, reduce


class Certificate(NamedTuple):
    """Distance of a codebook from the optimum.

    Attributes
    ----------
    distortion : float
        Weighted mean of squared errors with nearest-value assignment.
    lower_bound : float
        Proven lower bound of it for any codebook of as many distinct values.
    gap : float
        ``distortion / lower_bound - 1``; 0 where both are 0, infinite where only the bound is.
    """

    distortion: float
    lower_bound: float
    gap: float


def gap(loss: float, lower_bound: float) -> float:
    """Relative distance of a loss from its lower bound: 0 where both are 0."""
    if loss <= lower_bound:
        return 0.0
    return loss / lower_bound - 1.0 if lower_bound > 0.0 else float("inf")


def certify(
    problem: Problem,
    codebook: Float64,
    lower_bound: float | None = None,
    edges: Float64 | None = None,
) -> Certificate:
    """Certificate of an ascending codebook in the units of the data.

    ``lower_bound``, in the problem's units, spares the exact search where it is known; ``edges``
    are those of the cells where these are not of nearest values.
    """
    values, weights, table = problem.values, problem.weights, problem.scale(codebook)
    if edges is None:
        loss = nearest_loss(values, weights, table)
    else:
        loss = cell_loss(values, weights, table, problem.scale(edges))
    if lower_bound is None:
        lower_bound = solve(problem.values, problem.weights, codebook.size).lower_bound
    lower_bound = min(lower_bound, loss)
    distortion, bound = (float(problem.mean_loss(sum_)) for sum_ in (loss, lower_bound))
    return Certificate(distortion, bound, gap(loss, lower_bound))


def certificate(x: Any, codebook: Any, sample_weight: Any = None) -> Certificate:
    """Compare any codebook with the best of its size on the data.

    Parameters
    ----------
    x : array_like of any shape and dtype, or torch tensor
        The data.
    codebook : array_like of shape (K,)
        Finite values in any order, also from another tool.
    sample_weight : array_like of the shape of ``x``, optional
        Nonnegative weights.

    Raises
    ------
    ValueError
        If the data or the codebook are empty or not finite, or the weights do not fit.

    Notes
    -----
    The bound is that of the exact search (`solvq.scalar.OptimalQuantizer`): by weak duality it
    holds for every codebook, up to a rounding allowance that is taken off it.
    """
    data = checked(x)
    problem = reduce(data, checked_weight(sample_weight, data.shape))
    table = np.unique(to_numpy(codebook).astype(np.float64))
    if table.size == 0 or not np.isfinite(table).all():
        raise ValueError("codebook is empty or not finite; give at least one finite value")
    return certify(problem, table)

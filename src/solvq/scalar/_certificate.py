"""How far a codebook is from the best possible, whoever made it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solvq.scalar._assign import nearest_loss
from solvq.scalar._base import gap
from solvq.scalar._partition import solve
from solvq.scalar._reduce import checked, checked_weight, reduce, to_numpy


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

    @classmethod
    def of(cls, distortion: float, lower_bound: float) -> Certificate:
        """Certificate of two figures in the same unit."""
        return cls(distortion, lower_bound, gap(distortion, lower_bound))


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
    loss = nearest_loss(problem.values, problem.weights, problem.scale(table))
    bound = min(solve(problem.values, problem.weights, table.size)[2], loss)
    return Certificate.of(problem.mean_loss(loss), problem.mean_loss(bound))

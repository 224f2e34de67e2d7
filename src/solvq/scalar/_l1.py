"""The l1 penalty: values are shared by shrinking the steps between neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvq.scalar._base import Solution
from solvq.scalar._kernels import Float64, Int32
from solvq.scalar._l1_kernels import block_values, kkt_residual, merges, pool
from solvq.scalar._partition import group_means
from solvq.scalar._penalized import PenalizedQuantizer
from solvq.scalar._reduce import Problem


class Path(NamedTuple):
    """Knots of the l1 path: penalties at which two shared values become one.

    ``n_values`` are left from ``alpha`` on, and ``loss`` is the mean squared error of their means.
    """

    alpha: Float64
    n_values: Int32
    loss: Float64


class L1Quantizer(PenalizedQuantizer):
    """Values shared by the Lasso in a step basis, solved exactly.

    Solves ``min_a 1/2 sum_i w_i (u_i - (V a)_i)^2 + alpha sum_(j>1) |a_j|`` for the sorted distinct
    data ``u`` with weights ``w``: by isotonic regression in O(m) at a penalty, and along the whole
    path of merges in O(m log m) for a wanted count, which is always met (without the refit, values
    that tie at its penalty coincide). The smallest gaps close first; on evenly spaced data only the
    ends erode, and the result is far from the optimum (``gap_`` says how far).

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values; not used if ``alpha`` is given.
    alpha : float or None, default None
        Penalty, in the units of a sum of squared errors; scikit-learn's ``Lasso(alpha=A)`` has
        ``alpha = A * sum(w)``.
    refit : bool, default True
        Replace each shared value by the mean of its data, which takes the shrinkage back.

    Attributes
    ----------
    alpha_, coef_, support_
        As in `PenalizedQuantizer`; the coefficients are those of the values returned.
    path_ : Path
        Knots from no penalty to the solution, if a count was wanted.
    kkt_residual_ : float
        Largest violation of the optimality conditions before the refit, relative to the penalty.

    References
    ----------
    Wang et al., Scalar Quantization as Sparse Least Square Optimization, TPAMI 2019 (l1 form, with
    and without refit).
    """

    def __init__(self, n_values: int = 16, alpha: float | None = None, refit: bool = True) -> None:
        self.n_values = n_values
        self.alpha = alpha
        self.refit = refit

    def _solve_penalty(self, problem: Problem, alpha: float) -> Solution:
        breaks, levels = pool(problem.values, problem.weights, alpha)
        return self._refitted(problem, breaks, levels, alpha)

    def _solve_count(self, problem: Problem) -> Solution:
        u, w = problem.values, problem.weights
        alphas, losses, removed = merges(u, w, self.n_values)
        breaks = np.delete(np.arange(u.size + 1, dtype=np.int32), removed)
        levels = block_values(u, w, breaks, alphas[-1])
        knots = Path(
            problem.restore_penalty(alphas),
            np.arange(u.size - 1, self.n_values - 1, -1, dtype=np.int32),
            problem.mean_loss(losses),
        )
        return self._refitted(problem, breaks, levels, alphas[-1], path_=knots)

    def _refitted(
        self, problem: Problem, breaks: Int32, levels: Float64, alpha: float, **learned: Path
    ) -> Solution:
        """Solution with the levels or, after the refit, the means of the data between breaks."""
        u, w = problem.values, problem.weights
        residual = kkt_residual(u, w, breaks, levels, alpha)
        if self.refit:
            levels, _ = group_means(u, w, breaks)
        return self._described(problem, breaks, levels, alpha, kkt_residual_=residual, **learned)

"""The l0 penalty: a price for every value."""

from __future__ import annotations

from solvq.scalar._base import Solution
from solvq.scalar._kernels import probe, traced, workspace
from solvq.scalar._partition import group_means, partition
from solvq.scalar._penalized import PenalizedQuantizer
from solvq.scalar._reduce import Problem


class L0Quantizer(PenalizedQuantizer):
    """Globally optimal values at a price per value.

    Solves ``min_a 1/2 sum_i w_i (u_i - (V a)_i)^2 + alpha * ||a||_0`` for the sorted distinct data
    ``u`` with weights ``w``, exactly: the best codebook of every count at once, and among them the
    one whose loss and price are least. O(m log m). At a wanted count it is `OptimalQuantizer` with
    coefficients.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values; not used if ``alpha`` is given.
    alpha : float or None, default None
        Price of a value, in the units of half a sum of squared errors.

    Attributes
    ----------
    alpha_, coef_, support_
        As in `PenalizedQuantizer`; without ``alpha``, a price at which the count is optimal.

    References
    ----------
    Wang et al., Scalar Quantization as Sparse Least Square Optimization, TPAMI 2019 (l0 form).
    """

    def __init__(self, n_values: int = 16, alpha: float | None = None) -> None:
        self.n_values = n_values
        self.alpha = alpha

    def _solve_penalty(self, problem: Problem, alpha: float) -> Solution:
        u, w = problem.values, problem.weights
        work = workspace(u.size)
        breaks = traced(work, u.size, probe(u, w, 2.0 * alpha, work))
        levels, _ = group_means(u, w, breaks)
        return self._described(problem, breaks, levels, alpha)

    def _solve_count(self, problem: Problem) -> Solution:
        u, w = problem.values, problem.weights
        breaks, bound, penalty, probes = partition(u, w, self.n_values, workspace(u.size))
        levels, loss = group_means(u, w, breaks)
        solution = self._described(problem, breaks, levels, 0.5 * penalty)
        return solution._replace(lower_bound=min(bound, loss), n_iter=max(1, probes))

"""The l0 penalty: a price for every value."""

from __future__ import annotations

import numpy as np

from solvq.scalar._base import Solution
from solvq.scalar._kernels import Float64, Workspace, workspace
from solvq.scalar._l1_kernels import Levels
from solvq.scalar._partition import group_means, partition
from solvq.scalar._penalized import PenalizedQuantizer
from solvq.scalar._probe import probe, traced
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
    penalize_first : bool, default False
        Let ``a_1`` be zero, as in the paper: the lowest data may then take the value 0, which costs
        nothing. No difference at a wanted count, where zero is a value as any.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    Attributes
    ----------
    alpha_, coef_, support_
        As in `SparseQuantizer`; without ``alpha``, a price at which the count is optimal.

    References
    ----------
    Wang et al., Scalar Quantization as Sparse Least Square Optimization, TPAMI 2019 (l0 form).
    """

    def _solve_penalty(self, problem: Problem, alpha: float) -> Solution:
        u, w = problem.values, problem.weights
        work = workspace(u.size)
        breaks = traced(work, u.size, probe(u, w, 2.0 * alpha, work))
        levels = Levels(breaks, group_means(u, w, breaks)[0])
        if self.penalize_first:
            at_zero = with_zero(u, w, 2.0 * alpha, work)
            levels = levels if at_zero is None else at_zero
        return self._described(problem, levels, alpha)

    def _solve_count(self, problem: Problem) -> Solution:
        u, w = problem.values, problem.weights
        breaks, bound, penalty, probes = partition(u, w, self.n_values, workspace(u.size))
        values, loss = group_means(u, w, breaks)
        solution = self._described(problem, Levels(breaks, values), 0.5 * penalty)
        return solution._replace(lower_bound=min(bound, loss), n_iter=max(1, probes))


def with_zero(u: Float64, w: Float64, price: float, work: Workspace) -> Levels | None:
    """Cheapest levels with a first one of zero that has no price; None if others are cheaper.

    ``work`` holds the solution of all prefixes with a price for every value.
    """
    m, priced = u.size, work.best[u.size]
    probe(-u[::-1], w[::-1].copy(), price, work)  # prefixes of the mirror image are suffixes
    costs = np.cumsum(w * u * u) + work.best[m - 1 :: -1]
    zeros = int(np.argmin(costs)) + 1
    if costs[zeros - 1] >= priced:
        return None
    nodes = [m - zeros]
    while nodes[-1] > 0:
        nodes.append(int(work.back[nodes[-1]]))
    breaks = np.array([0, *(m - node for node in nodes)], np.int32)
    values = group_means(u, w, breaks)[0]
    values[0] = 0.0
    return Levels(breaks, values)

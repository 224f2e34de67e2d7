"""Quantizers that are sparse least squares in a step basis: what their coefficients are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from solvq.scalar._base import ScalarQuantizer, Solution
from solvq.scalar._kernels import Float64
from solvq.scalar._l1_kernels import Levels
from solvq.scalar._reduce import Problem

LOWEST = 1e-30  # penalties below this share of the largest useful one are not searched


class SparseQuantizer(ScalarQuantizer):
    """Least squares in a step basis with few steps.

    For the sorted distinct data ``u_1 < ... < u_m`` with weights ``w`` (counts, or the sums of the
    sample weights), ``sum_i w_i (x_i - u_i)^2`` is made small over ``x = V a`` with few nonzero
    coefficients, where column ``j`` of ``V`` is ``u_j - u_(j-1)`` from row ``j`` on and column 1 is
    ``u_1``. A zero coefficient is a shared value. The first coefficient is free, so that the result
    does not depend on where zero is, unless the method has ``penalize_first`` and it is set.

    Attributes
    ----------
    alpha_ : float
        Penalty of the solution, in the units of the data.
    coef_ : ndarray of shape (m,)
        Coefficients ``a``; 1 where the value 0 leaves a free first one undetermined.
    support_ : ndarray
        First datum of each shared value; without the first datum if its coefficient is penalised
        and zero.
    """

    penalize_first = False

    @abstractmethod
    def _solve_count(self, problem: Problem) -> Solution:
        """Solution with ``n_values`` values, of data that have more."""

    def _fits(self, problem: Problem) -> bool:
        """Never: a solution of all data has coefficients, too."""
        return False

    def _solve(self, problem: Problem) -> Solution:
        if super()._fits(problem):
            breaks = np.arange(problem.values.size + 1, dtype=np.int32)
            return self._described(problem, Levels(breaks, problem.values), 0.0)
        return self._solve_count(problem)

    def _described(
        self, problem: Problem, levels: Levels, alpha: float, **learned: Any
    ) -> Solution:
        """Solution with one value for each run of data between two breaks."""
        u, support = problem.values, levels.breaks[:-1].astype(np.intp)
        coefficients = np.zeros(u.size)
        inner = support[1:]
        gaps = u[inner] - u[inner - 1]
        with np.errstate(over="ignore"):  # subnormal gaps, which scaling may even have closed
            coefficients[inner] = np.diff(levels.values) / np.maximum(gaps, 5e-324)
        if u[0] != 0.0:
            coefficients[0] = levels.values[0] / u[0]
        elif not self.penalize_first:
            coefficients[0] = 1.0
        if self.penalize_first and coefficients[0] == 0.0:
            support = inner
        learned |= {"alpha_": float(problem.restore_penalty(alpha))}
        learned |= {"coef_": coefficients, "support_": support}
        return Solution(levels.values, learned=learned)


def largest_penalty(u: Float64, w: Float64, anchor: bool) -> float:
    """Least penalty at which one value is left; in the anchored form it is zero."""
    centre = 0.0 if anchor else np.average(u, weights=w)
    behind = np.cumsum((w * (u - centre))[::-1])[::-1]
    gaps = np.diff(u, prepend=0.0 if anchor else u[0])
    return max(float(np.abs(gaps * behind).max()) * (1.0 + 1e-9), 1e-300)


def searched(solve: Callable[[float], Levels], top: float, count: int) -> tuple[Levels, float]:
    """Solution of at most ``count`` values, and as many as bisection of the penalty finds.

    ``top`` is a penalty that leaves one value. Counts need not fall all the way as the penalty
    grows, and those that tie at a penalty are not reached.
    """
    best, low, high = (solve(top), top), top, top
    while low > LOWEST * top and best[0].values.size < count:
        low *= 0.0625
        found = solve(low)
        if found.values.size > count:
            break
        best, high = (found, low), low
    while high > low * (1.0 + 1e-12) and best[0].values.size < count:
        middle = (low * high) ** 0.5
        if not low < middle < high:
            break
        found = solve(middle)
        if found.values.size > count:
            low = middle
        else:
            best, high = (found, middle), middle
    return best

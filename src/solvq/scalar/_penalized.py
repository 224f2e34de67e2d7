"""Quantizers that are sparse least squares: a penalty or a wanted count, and coefficients."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import Any

import numpy as np

from solvq.scalar._base import ScalarQuantizer, Solution
from solvq.scalar._kernels import Float64, Int32
from solvq.scalar._reduce import Problem


class PenalizedQuantizer(ScalarQuantizer):
    """Least squares in a step basis with a penalty on the steps.

    For the sorted distinct data ``u_1 < ... < u_m`` with weights ``w`` (counts, or the sums of the
    sample weights), ``1/2 sum_i w_i (x_i - u_i)^2 + alpha * penalty(a)`` is minimised over
    ``x = V a``, where column ``j`` of ``V`` is ``u_j - u_(j-1)`` from row ``j`` on and column 1 is
    ``u_1``. A zero coefficient is a shared value. The first coefficient is free, so that the result
    does not depend on where zero is.

    Attributes
    ----------
    alpha_ : float
        Penalty of the solution, in the units of the data.
    coef_ : ndarray of shape (m,)
        Coefficients ``a``; 1 where the value 0 leaves the first one undetermined.
    support_ : ndarray
        Positions of the nonzero coefficients, that is, the first datum of each shared value.
    """

    alpha: float | None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.alpha is None:
            return
        if not isinstance(self.alpha, Real) or isinstance(self.alpha, bool):
            raise TypeError(f"alpha is {self.alpha!r}; give a positive number or None")
        if not 0.0 < float(self.alpha) < np.inf:
            raise ValueError(f"alpha is {self.alpha}; give a positive number or None")

    @abstractmethod
    def _solve_count(self, problem: Problem) -> Solution:
        """Solution with ``n_values`` values."""

    @abstractmethod
    def _solve_penalty(self, problem: Problem, alpha: float) -> Solution:
        """Solution at a penalty in the problem's units."""

    def _fits(self, problem: Problem) -> bool:
        """Never: a solution of all data has coefficients, too."""
        return False

    def _solve(self, problem: Problem) -> Solution:
        if self.alpha is not None:
            return self._solve_penalty(problem, problem.penalty(float(self.alpha)))
        if super()._fits(problem):
            breaks = np.arange(problem.values.size + 1, dtype=np.int32)
            return self._described(problem, breaks, problem.values, 0.0)
        return self._solve_count(problem)

    def _described(
        self, problem: Problem, breaks: Int32, levels: Float64, alpha: float, **learned: Any
    ) -> Solution:
        """Solution with one level for each run of data between two breaks."""
        u, support = problem.values, breaks[:-1].astype(np.intp)
        coefficients = np.zeros(u.size)
        inner = support[1:]
        coefficients[inner] = np.diff(levels) / (u[inner] - u[inner - 1])
        coefficients[0] = levels[0] / u[0] if u[0] != 0.0 else 1.0
        learned |= {"alpha_": float(problem.restore_penalty(alpha))}
        learned |= {"coef_": coefficients, "support_": support}
        return Solution(levels, learned=learned)

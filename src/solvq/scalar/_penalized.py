"""Sparse least squares at a penalty or a wanted count."""

from __future__ import annotations

from abc import abstractmethod

from solvq.scalar._base import ClipRange, Solution, check_flag, check_positive
from solvq.scalar._reduce import Problem
from solvq.scalar._sparse import SparseQuantizer


class PenalizedQuantizer(SparseQuantizer):
    """Least squares in a step basis with a penalty on the steps.

    ``1/2 sum_i w_i (x_i - u_i)^2 + alpha * penalty(a)`` is minimised, in the notation of
    `SparseQuantizer`.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values; not used if ``alpha`` is given.
    alpha : float or None, default None
        Penalty, in the units of half a sum of squared errors.
    penalize_first : bool, default False
        Penalise the first coefficient, too: the form of the paper, which pulls the values to zero.
    """

    def __init__(
        self,
        n_values: int = 16,
        alpha: float | None = None,
        penalize_first: bool = False,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, unweighted, clip)
        self.alpha = alpha
        self.penalize_first = penalize_first

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_flag("penalize_first", self.penalize_first)
        check_positive("alpha", self.alpha)

    @abstractmethod
    def _solve_penalty(self, problem: Problem, alpha: float) -> Solution:
        """Solution at a penalty in the problem's units."""

    def _solve(self, problem: Problem) -> Solution:
        if self.alpha is None:
            return super()._solve(problem)
        return self._solve_penalty(problem, problem.penalty(float(self.alpha)))

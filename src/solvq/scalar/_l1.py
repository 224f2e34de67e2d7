"""The l1 penalty: values are shared by shrinking the steps between neighbours."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from solvq.scalar._base import ClipRange, Solution, check_flag
from solvq.scalar._kernels import Float64, Int32
from solvq.scalar._l1_kernels import Levels, anchored, block_values, kkt_residual, refitted, shrunk
from solvq.scalar._merges import merges
from solvq.scalar._penalized import PenalizedQuantizer
from solvq.scalar._reduce import Problem
from solvq.scalar._sparse import largest_penalty, searched


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
        Penalty, in the units of half a sum of squared errors; scikit-learn's ``Lasso(alpha=A)`` has
        ``alpha = A * sum(w)``.
    refit : bool, default True
        Solve least squares on the nonzero coefficients, which takes the shrinkage back: each shared
        value becomes the mean of its data.
    penalize_first : bool, default False
        Add ``alpha |a_1|``, as the paper does. A wanted count is then found by bisection of the
        penalty, and is not met where values tie.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    Attributes
    ----------
    alpha_, coef_, support_
        As in `SparseQuantizer`; the coefficients are those of the values returned.
    path_ : Path
        Knots from no penalty to the solution, if a count was wanted and the first value is free.
    kkt_residual_ : float
        Largest violation of the optimality conditions before the refit, relative to the penalty.

    References
    ----------
    Wang et al., Scalar Quantization as Sparse Least Square Optimization, TPAMI 2019 (l1 form, with
    and without refit).
    """

    def __init__(
        self,
        n_values: int = 16,
        alpha: float | None = None,
        refit: bool = True,
        penalize_first: bool = False,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, alpha, penalize_first, unweighted, clip)
        self.refit = refit

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_flag("refit", self.refit)

    def _solve_penalty(self, problem: Problem, alpha: float) -> Solution:
        levels = (anchored if self.penalize_first else shrunk)(
            problem.values, problem.weights, alpha
        )
        return self._finished(problem, levels, alpha)

    def _solve_count(self, problem: Problem) -> Solution:
        u, w = problem.values, problem.weights
        if self.penalize_first:
            top = largest_penalty(u, w, anchor=True)
            return self._finished(problem, *searched(partial(anchored, u, w), top, self.n_values))
        alphas, losses, removed = merges(u, w, self.n_values)
        breaks = np.delete(np.arange(u.size + 1, dtype=np.int32), removed)
        levels = Levels(breaks, block_values(u, w, breaks, alphas[-1]))
        knots = Path(
            problem.restore_penalty(alphas),
            np.arange(u.size - 1, self.n_values - 1, -1, dtype=np.int32),
            problem.mean_loss(losses),
        )
        return self._finished(problem, levels, alphas[-1], path_=knots)

    def _finished(
        self, problem: Problem, levels: Levels, alpha: float, **learned: Path
    ) -> Solution:
        """Solution with the levels, or what the refit makes of them."""
        u, w = problem.values, problem.weights
        residual = kkt_residual(u, w, levels, alpha, 0.0, self.penalize_first)
        if self.refit:
            levels = refitted(u, w, levels, self.penalize_first)
        return self._described(problem, levels, alpha, kkt_residual_=residual, **learned)

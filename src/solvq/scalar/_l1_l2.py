"""The l1 penalty with a squared one added or taken away."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from solvq.scalar._base import ClipRange, Solution, check_flag
from solvq.scalar._kernels import Float64
from solvq.scalar._l1_kernels import (
    Levels,
    anchored,
    anchored_gaps,
    inverse_gaps,
    kkt_residual,
    refitted,
    shrunk,
)
from solvq.scalar._l1_l2_kernels import ridged
from solvq.scalar._penalized import PenalizedQuantizer
from solvq.scalar._reduce import Problem
from solvq.scalar._sparse import largest_penalty, searched

HUGE = 1e26  # a ridge beyond it leaves one value all the same, but would overflow


def smallest_square(w: Float64, inverse: Float64) -> float:
    """Least ``sum_i w_i x_i^2`` of all ``x`` whose coefficients have squares that add up to 1.

    It is the smallest squared singular value of ``W^(1/2) V``, a free first column projected out;
    0 where there is no coefficient.
    """
    steepest, last = np.abs(inverse).max(), w.size - 1
    if steepest == 0.0:
        return 0.0
    squares = (inverse / steepest) ** 2
    diagonal = (squares[:-1] + squares[1:]) / w
    beside = -squares[1:-1] / np.sqrt(w[1:] * w[:-1])
    largest = eigvalsh_tridiagonal(diagonal, beside, select="i", select_range=(last, last))[0]
    return float(1.0 / (largest * steepest**2))


class Net(NamedTuple):
    """Problem with the squares chosen; ``least`` is `smallest_square`."""

    values: Float64
    weights: Float64
    inverse: Float64
    least: float
    square: float

    def solve(self, alpha: float) -> Levels:
        """Solution at a penalty."""
        u, w, inverse = self.values, self.weights, self.inverse
        start = (anchored if inverse[0] != 0.0 else shrunk)(u, w, alpha)
        return ridged(u, w, start, inverse, np.array([alpha, self.square]))


class L1L2Quantizer(PenalizedQuantizer):
    """Values shared by the elastic net in a step basis, or by its concave counterpart.

    Solves ``min_a 1/2 sum_i w_i (u_i - (V a)_i)^2 + alpha sum_(j>1) |a_j| +
    (ridge - beta sigma^2) / 2 sum_(j>1) a_j^2`` exactly, for the sorted distinct data
    ``u`` with weights ``w``, where ``sigma`` is the smallest singular value of ``W^(1/2) V``. With
    ``ridge`` it is the elastic net: larger steps cost more, so more, smaller ones remain. With
    ``beta`` it is the generalised form of the paper: fewer and larger coefficients, but ``sigma``
    is of the size of the smallest gap, so that the result differs little from ``l1``. From
    ``beta = 1`` on the problem has no solution (the squares taken away outweigh the least squares
    along one direction), and is refused.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values; not used if ``alpha`` is given. Found by bisection of the penalty;
        fewer where values tie.
    alpha : float or None, default None
        Penalty, in the units of half a sum of squared errors.
    ridge : float, default 0.0
        Weight of the added squares, in the units of ``alpha``; scikit-learn's
        ``ElasticNet(alpha=A, l1_ratio=R)`` has ``alpha = A R sum(w)``, ``ridge = A (1-R) sum(w)``.
    beta : float, default 0.5
        Weight of the squares taken away, a fraction of ``sigma^2``, in [0, 1).
    refit : bool, default True
        Solve least squares on the nonzero coefficients.
    penalize_first : bool, default False
        Penalise ``a_1`` as the others.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    Attributes
    ----------
    alpha_, coef_, support_
        As in `SparseQuantizer`; the coefficients are those of the values returned.
    sigma_ : float
        Smallest singular value, in the units of the data; 0 where there is but one datum.
    kkt_residual_ : float
        Largest violation of the optimality conditions before the refit, relative to the penalty.

    References
    ----------
    Wang et al., Scalar Quantization as Sparse Least Square Optimization, TPAMI 2019 (l1 + l2 form).
    """

    def __init__(
        self,
        n_values: int = 16,
        alpha: float | None = None,
        ridge: float = 0.0,
        beta: float = 0.5,
        refit: bool = True,
        penalize_first: bool = False,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, alpha, penalize_first, unweighted, clip)
        self.ridge = ridge
        self.beta = beta
        self.refit = refit

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_flag("refit", self.refit)
        for name in ("ridge", "beta"):
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool):
                raise TypeError(f"{name} is {value!r}; give a number >= 0")
            if not 0.0 <= float(value) < np.inf:
                raise ValueError(f"{name} is {value}; give a finite number >= 0")
        if float(self.beta) >= 1.0:
            raise ValueError(
                f"beta is {self.beta}, a fraction of the smallest squared singular value of the "
                "step basis; give less than 1: from 1 on the squares taken away outweigh the least "
                "squares along one direction, and the problem is unbounded below"
            )

    def _net(self, problem: Problem) -> Net:
        """Problem with everything but the penalty on the steps."""
        u, w = problem.values, problem.weights
        inverse = (anchored_gaps if self.penalize_first else inverse_gaps)(u)
        least = smallest_square(w, inverse)
        square = min(problem.penalty(float(self.ridge)), HUGE) - float(self.beta) * least
        return Net(u, w, inverse, least, square)

    def _solve_count(self, problem: Problem) -> Solution:
        net = self._net(problem)
        top = largest_penalty(net.values, net.weights, self.penalize_first)
        return self._finished(problem, net, *searched(net.solve, top, self.n_values))

    def _solve_penalty(self, problem: Problem, alpha: float) -> Solution:
        net = self._net(problem)
        return self._finished(problem, net, net.solve(alpha), alpha)

    def _finished(self, problem: Problem, net: Net, levels: Levels, alpha: float) -> Solution:
        """Solution with the levels, or what the refit makes of them."""
        u, w, anchor = net.values, net.weights, self.penalize_first
        residual = kkt_residual(u, w, levels, alpha, net.square, anchor)
        if self.refit:
            levels = refitted(u, w, levels, anchor)
        sigma = float(problem.restore_penalty(net.least)) ** 0.5
        return self._described(problem, levels, alpha, kkt_residual_=residual, sigma_=sigma)

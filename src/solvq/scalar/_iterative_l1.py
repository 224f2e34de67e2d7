"""The l1 penalty raised step by step until few enough values are left."""

from __future__ import annotations

from numbers import Real

import numpy as np

from solvq.scalar._base import ClipRange, Solution, check_flag
from solvq.scalar._kernels import Float64
from solvq.scalar._l1_kernels import (
    Levels,
    anchored,
    block_sums,
    first_meeting,
    inverse_gaps,
    pool,
    refitted,
)
from solvq.scalar._reduce import Problem
from solvq.scalar._sparse import SparseQuantizer


class IterativeL1Quantizer(SparseQuantizer):
    """Values shared by the Lasso at penalties that are raised until few enough are left.

    Solves the problem of `L1Quantizer` at ``alpha, growth * alpha, growth^2 * alpha, ...``, each
    from the solution before it, and stops at the first that has at most ``n_values`` values: the
    paper's way to a wanted count, of which it may fall short. ``l1`` reaches every count at once,
    along the path.

    Parameters
    ----------
    n_values : int, default 16
        Largest number of values.
    growth : float, default 1.2
        Factor from one penalty to the next. The first is the least at which two values meet.
    refit : bool, default True
        Solve least squares on the nonzero coefficients at the end.
    penalize_first : bool, default False
        Add ``alpha |a_1|``, as the paper does; each penalty is then solved from the data, since
        values that met at zero can part again.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    Attributes
    ----------
    n_iter_ : int
        Number of penalties solved.
    alpha_, coef_, support_
        As in `SparseQuantizer`.

    References
    ----------
    Wang et al., Scalar Quantization as Sparse Least Square Optimization, TPAMI 2019 (iterative
    method).
    """

    def __init__(
        self,
        n_values: int = 16,
        growth: float = 1.2,
        refit: bool = True,
        penalize_first: bool = False,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, unweighted, clip)
        self.growth = growth
        self.refit = refit
        self.penalize_first = penalize_first

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_flag("refit", self.refit)
        check_flag("penalize_first", self.penalize_first)
        if not isinstance(self.growth, Real) or isinstance(self.growth, bool):
            raise TypeError(f"growth is {self.growth!r}; give a number above 1")
        if not 1.0 < float(self.growth) < np.inf:
            raise ValueError(f"growth is {self.growth}; give a finite number above 1")

    def _solve_count(self, problem: Problem) -> Solution:
        u, w = problem.values, problem.weights
        alpha, solves = first_meeting(u, w), 0
        levels = Levels(np.arange(u.size + 1, dtype=np.int32), u)
        while levels.values.size > self.n_values:
            alpha *= float(self.growth) if solves else 1.0
            levels = anchored(u, w, alpha) if self.penalize_first else raised(u, w, levels, alpha)
            solves += 1
        if self.refit:
            levels = refitted(u, w, levels, self.penalize_first)
        return self._described(problem, levels, alpha)._replace(n_iter=solves)


def raised(u: Float64, w: Float64, levels: Levels, alpha: float) -> Levels:
    """Solution at a penalty from that at a smaller one, whose blocks stay together."""
    weight, mean = block_sums(u, w, levels.breaks)
    breaks, values = pool(mean, weight, inverse_gaps(u)[levels.breaks], alpha)
    return Levels(levels.breaks[breaks], values)

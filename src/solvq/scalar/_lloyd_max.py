"""Lloyd's alternation from the codebook of high-rate theory."""

from __future__ import annotations

import numpy as np

from solvq.scalar._base import ClipRange, ScalarQuantizer, Solution
from solvq.scalar._iteration import check_limits, unit, warn_stopped
from solvq.scalar._kernels import Float64
from solvq.scalar._lloyd import filled_means, lloyd
from solvq.scalar._partition import group_means
from solvq.scalar._reduce import Problem


def companded(x: Float64, w: Float64, k: int) -> Float64:
    """Means of ``k`` cells of equal integral of density^(1/3).

    A gap between neighbours holds half the weight of both. A wide gap can pass several cells,
    which are then refilled.
    """
    part = np.cbrt(np.diff(x) ** 2 * (0.5 * (w[1:] + w[:-1])))
    reached = np.concatenate([[0.0], np.cumsum(part)])
    inner = np.searchsorted(reached, reached[-1] * np.arange(1, k) / k)
    breaks = np.concatenate([[0], inner, [x.size]]).astype(np.int32)
    return filled_means(x, w, breaks)


class LloydMaxQuantizer(ScalarQuantizer):
    """Local optimum of k-means from the codebook of high-rate theory.

    Improves ``min sum_i w_i (x_i - q(x_i))^2`` by Lloyd's alternation: each datum to its nearest
    value, each value to the mean of its data. The start has cells of equal integral of the cube
    root of the density (Panter and Dite), the best for many values, so nothing is random. A cell
    that falls empty is refilled: the cell with the largest mass times squared width is halved,
    which always lowers the error. A step takes O(n_values log n).

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values.
    max_iter : int, default 1000
        Largest number of steps; a ConvergenceWarning says if it was reached.
    tol : float, default 1e-7
        Share of the start's error; a step whose means save no more is the last. 0 goes on to a
        fixed point.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    References
    ----------
    Lloyd, Least squares quantization in PCM, 1982. Max, Quantizing for minimum distortion, 1960.
    Panter and Dite, Quantization distortion in pulse-count modulation with nonuniform spacing of
    levels, 1951 (the start).
    """

    def __init__(
        self,
        n_values: int = 16,
        max_iter: int = 1000,
        tol: float = 1e-7,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, unweighted, clip)
        self.max_iter = max_iter
        self.tol = tol

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_limits(self.max_iter, self.tol)

    def _solve(self, problem: Problem) -> Solution:
        data = unit(problem)
        start = companded(data.values, data.weights, self.n_values)
        found = lloyd(data.values, data.weights, start, self.max_iter, self.tol)
        if not found.converged:
            warn_stopped("lloyd-max", self.max_iter)
        means, _ = group_means(problem.values, problem.weights, found.breaks)
        return Solution(means, n_iter=found.n_iter)

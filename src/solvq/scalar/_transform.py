"""Clustering of artificial data that is turned into the true data step by step."""

from __future__ import annotations

import numpy as np

from solvq.scalar._base import ClipRange, ScalarQuantizer, Solution, check_count
from solvq.scalar._iteration import check_limits, unit, warn_stopped
from solvq.scalar._kernels import Float64
from solvq.scalar._lloyd import cells, lloyd
from solvq.scalar._partition import group_means
from solvq.scalar._reduce import Problem


def _slice_medians(x: Float64, w: Float64, k: int) -> Float64:
    """Weighted median of each of ``k`` slices of sorted points, equally many points in each."""
    edges = np.arange(k + 1) * x.size // k
    medians = np.empty(k)
    for c in range(k):
        reached = np.cumsum(w[edges[c] : edges[c + 1]])
        medians[c] = x[edges[c] + np.searchsorted(reached, 0.5 * reached[-1])]
    return medians


class TransformQuantizer(ScalarQuantizer):
    """Data-transformation clustering: k-means that follows easy data to the true data.

    Improves ``min sum_i w_i (x_i - q(x_i))^2``: the sorted distinct data are cut into ``n_values``
    slices of equally many; the centre of a slice is its point of smallest summed distance to the
    others, the weighted median. Artificial data have each datum at its nearest centre. They move
    to the true data in equal steps, and Lloyd's alternation follows from step to step. Nothing is
    random. Slices of equally many leave too few values in the tails, which Lloyd's steps do not
    repair: with many values it can be worse than even spacing.

    The source sorts by norm, which for nonnegative numbers is their order. Here all numbers are
    sorted by value, so that a shift of the data only shifts the result: our decision. An empty
    cell is refilled as in `LloydMaxQuantizer`.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values.
    n_steps : int, default 10
        Equal steps from the artificial to the true data.
    max_iter : int, default 10000
        Largest number of Lloyd's steps per data; a ConvergenceWarning says if the last had it.
    tol : float, default 1e-7
        Share of the error of a step's start; Lloyd's means that save no more are its last.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    References
    ----------
    Azimi, Ghayekhloo, Ghofrani, Sajedi, A novel clustering algorithm based on data transformation
    approaches, Expert Systems with Applications 2017, doi 10.1016/j.eswa.2017.01.024.
    """

    def __init__(
        self,
        n_values: int = 16,
        n_steps: int = 10,
        max_iter: int = 10000,
        tol: float = 1e-7,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, unweighted, clip)
        self.n_steps = n_steps
        self.max_iter = max_iter
        self.tol = tol

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("n_steps", self.n_steps)
        check_limits(self.max_iter, self.tol)

    def _solve(self, problem: Problem) -> Solution:
        data = unit(problem)
        x, w = data.values, data.weights
        values = _slice_medians(x, w, self.n_values)
        artificial = np.repeat(values, np.diff(cells(x, values)))
        n_iter = 0
        for step in range(1, self.n_steps + 1):
            share = step / self.n_steps
            between = artificial + share * (x - artificial) if step < self.n_steps else x
            found = lloyd(between, w, values, self.max_iter, self.tol)
            values, n_iter = found.values, n_iter + found.n_iter
        if not found.converged:
            warn_stopped("transform", self.max_iter)
        means, _ = group_means(problem.values, problem.weights, found.breaks)
        return Solution(means, n_iter=n_iter)

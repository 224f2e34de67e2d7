"""Means of a Gaussian mixture, fitted to weighted data."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import kmeans_plusplus
from sklearn.utils import check_random_state

from solvq.scalar._base import ClipRange, ScalarQuantizer, Solution
from solvq.scalar._iteration import check_limits, unit, warn_stopped
from solvq.scalar._kernels import Float64, kernel
from solvq.scalar._lloyd import cells
from solvq.scalar._reduce import Problem

FLOOR = 1e-6  # least variance of a component, of the squared range per component
DEAD = 1e-200  # share at which a component is taken out


@kernel
def _log_scales(share: Float64, variance: Float64) -> Float64:
    """Logarithm of each component's peak."""
    scales = np.full(share.size, -np.inf)
    for c in range(share.size):
        if share[c] > 0.0:
            scales[c] = np.log(share[c]) - 0.5 * np.log(2.0 * np.pi * variance[c])
    return scales


@kernel
def _expect(x: Float64, w: Float64, share: Float64, mean: Float64, variance: Float64) -> Any:
    """Mean log-likelihood, and per component the moments of its data about its mean."""
    scales = _log_scales(share, variance)
    moments, logs = np.zeros((3, share.size)), np.empty(share.size)
    total = 0.0
    for i in range(x.size):
        for c in range(share.size):
            logs[c] = scales[c] - 0.5 * (x[i] - mean[c]) ** 2 / variance[c]
        top = logs.max()
        logs = np.exp(logs - top)
        whole = logs.sum()
        total += w[i] * (top + np.log(whole))
        for c in range(share.size):
            r = w[i] * logs[c] / whole
            if r > 0.0:
                d = x[i] - mean[c]
                moments[0, c] += r
                moments[1, c] += r * d
                moments[2, c] += r * d * d
    return total, moments


@kernel
def _maximise(moments: Any, share: Float64, mean: Float64, variance: Float64, floor: float) -> None:
    """Shares, means and variances, written over those about whose means the moments are."""
    for c in range(share.size):
        share[c] = moments[0, c] if moments[0, c] > DEAD else 0.0
        if share[c] > 0.0:
            shift = moments[1, c] / share[c]
            mean[c] += shift
            variance[c] = max(moments[2, c] / share[c] - shift * shift, floor)


@kernel
def expectation_maximisation(
    x: Float64, w: Float64, mean: Float64, breaks: Any, max_iter: int, tol: float
) -> Any:
    """Means of the components left, iterations, and whether the likelihood settled.

    Starts from cells, given by node indices about their seeds ``mean``.
    """
    k = mean.size
    share, variance, floor = np.zeros(k), np.ones(k), FLOOR / k**2
    moments = np.zeros((3, k))
    for c in range(k):
        for i in range(breaks[c], breaks[c + 1]):
            d = x[i] - mean[c]
            moments[0, c] += w[i]
            moments[1, c] += w[i] * d
            moments[2, c] += w[i] * d * d
    _maximise(moments, share, mean, variance, floor)
    before = -np.inf
    for step in range(1, max_iter + 1):
        likelihood, moments = _expect(x, w, share, mean, variance)
        _maximise(moments, share, mean, variance, floor)
        if abs(likelihood - before) <= tol:
            return mean[share > 0.0], step, True
        before = likelihood
    return mean[share > 0.0], max_iter, False


class MixtureQuantizer(ScalarQuantizer):
    """Means of a Gaussian mixture fitted by expectation maximisation.

    Raises the weighted likelihood ``sum_i w_i log sum_c share_c N(x_i; mean_c, variance_c)`` from
    k-means++ seeds; the means are the values. A soft clustering: it fits the density and not the
    squared error, and many components blur into each other. The weights count in full, which
    scikit-learn's mixture cannot do. No component is narrower than ``0.001 / n_values`` of the
    range of the data; one that loses all data is dropped. A step takes O(n_values n).

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values.
    max_iter : int, default 300
        Largest number of steps; a ConvergenceWarning says if it was reached.
    tol : float, default 1e-3
        Change of the mean log-likelihood at which the steps end.
    random_state : int, RandomState or None, default None
        Source of the seeds.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    References
    ----------
    Dempster, Laird, Rubin, Maximum likelihood from incomplete data via the EM algorithm, 1977.
    """

    def __init__(
        self,
        n_values: int = 16,
        max_iter: int = 300,
        tol: float = 1e-3,
        random_state: Any = None,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, unweighted, clip)
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_limits(self.max_iter, self.tol)
        check_random_state(self.random_state)

    def _solve(self, problem: Problem) -> Solution:
        data = unit(problem)
        x, w = data.values, data.weights
        seeds, _ = kmeans_plusplus(
            x[:, None], int(self.n_values), sample_weight=w, random_state=self.random_state
        )
        start = np.unique(seeds)
        means, n_iter, settled = expectation_maximisation(
            x, w, start, cells(x, start), self.max_iter, self.tol
        )
        if not settled:
            warn_stopped("mixture", self.max_iter)
        return Solution(data.restore(means), n_iter=n_iter)

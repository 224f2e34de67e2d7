"""Least squares on the partition that k-means found."""

from __future__ import annotations

from typing import Any

import numpy as np

from solvq.scalar._base import ClipRange, ScalarQuantizer, Solution
from solvq.scalar._kmeans import KMeansQuantizer
from solvq.scalar._lloyd import cells
from solvq.scalar._partition import group_means
from solvq.scalar._reduce import Problem


class ClusterLSQuantizer(ScalarQuantizer):
    """Least-squares values on the partition of k-means.

    Solves ``min sum_i w_i (x_i - q(x_i))^2`` over the values of a fixed partition, that of
    scikit-learn's k-means on the distinct data: its solution is the weighted mean of each part.
    That is one more centroid step: nothing where k-means has converged, an improvement where it
    stopped early.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values.
    n_init : int, default 1
        Starts from k-means++ seeds, the best of which is kept.
    max_iter : int, default 300
        Lloyd's steps per start.
    tol : float, default 1e-4
        Relative movement of the values at which a start stops.
    random_state : int, RandomState or None, default None
        Source of the seeds.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    References
    ----------
    Wang et al., Scalar Quantization as Sparse Least Square Optimization, TPAMI 2019 (the
    clustering-based method).
    """

    def __init__(
        self,
        n_values: int = 16,
        n_init: int = 1,
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, unweighted, clip)
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _clustering(self) -> KMeansQuantizer:
        """K-means with the same parameters."""
        return KMeansQuantizer(**self.get_params(deep=False))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._clustering()._check_parameters()

    def _solve(self, problem: Problem) -> Solution:
        found = self._clustering()._solve(problem)
        origin = problem.values[problem.values.size // 2]
        parts = cells(problem.values - origin, np.unique(found.codebook) - origin)
        means, _ = group_means(problem.values, problem.weights, np.unique(parts))
        return Solution(means, n_iter=found.n_iter)

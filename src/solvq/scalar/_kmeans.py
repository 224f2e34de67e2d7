"""Lloyd's k-means, as scikit-learn solves it."""

from __future__ import annotations

from typing import Any

from sklearn.cluster import KMeans

from solvq.scalar._base import ClipRange, ScalarQuantizer, Solution
from solvq.scalar._reduce import Problem


class KMeansQuantizer(ScalarQuantizer):
    """Local optimum of k-means from random starts (scikit-learn).

    Improves ``min sum_i w_i (x_i - q(x_i))^2`` by Lloyd's steps on the distinct values, with
    their counts as weights. What the exact method is compared with.

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

    def _model(self) -> KMeans:
        """Return scikit-learn's estimator with the same parameters."""
        return KMeans(
            n_clusters=int(self.n_values),
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=self.random_state,
        )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._model()._validate_params()

    def _solve(self, problem: Problem) -> Solution:
        model = self._model()
        values, weights = problem.values, problem.weights
        middle = values[values.size // 2]  # its distances lose precision far from 0
        model.fit(values[:, None] - middle, sample_weight=weights)
        return Solution(model.cluster_centers_[:, 0] + middle, n_iter=model.n_iter_)

"""flash1dkmeans's kernel, called on sorted data and prefix sums: its fast path, without labels."""

from typing import final

import numpy as np

from bench.methods._base import Fit, Method
from bench.problem import Array

MAX_ITER = 300


@final
class Flash1DKMeansFast(Method):
    """`numba_kmeans_1d_k_cluster` and its unweighted twin, as SqueezeLLM-like users call them."""

    name = "flash1dkmeans-fast"
    package = "flash1dkmeans"
    module = "flash1dkmeans"
    exact = False
    accepts_weights = True

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Sort, sum and cluster."""
        flash = self.library()
        if weights is None:
            ordered = np.sort(x)
            values = ordered.astype(np.float64)
            centroids, _ = flash.numba_kmeans_1d_k_cluster_unweighted(
                ordered, n_values, MAX_ITER, values.cumsum(), (values**2).cumsum(), 0, x.size, seed
            )
            return Fit(centroids, None)
        order = np.argsort(x)
        ordered, mass = x[order], weights[order].astype(np.float64)
        first = mass * ordered
        sums = (mass.cumsum(), first.cumsum(), (first * ordered).cumsum())
        centroids, _ = flash.numba_kmeans_1d_k_cluster(
            ordered, n_values, MAX_ITER, *sums, 0, x.size, seed
        )
        return Fit(centroids, None)

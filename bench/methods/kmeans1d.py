"""kmeans1d: exact clustering by SMAWK in C++; no weights, O(n k) memory, lists in and out."""

from typing import final

import numpy as np

from bench.methods._base import SLOW_TABLE, Fit, Method
from bench.problem import Array, Problem


@final
class KMeans1D(Method):
    """`kmeans1d.cluster`; a list is its fastest input."""

    name = "kmeans1d"
    package = "kmeans1d"
    module = "kmeans1d"
    exact = True

    def limit(self, problem: Problem) -> str | None:
        """Refuse tables of several gigabytes unless they are wanted."""
        cells = problem.size * problem.n_values
        if cells > SLOW_TABLE and not problem.allow_slow:
            return f"its tables need about {16e-9 * cells:.1f} GB; pass --slow"
        return None

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Cluster and label; the list conversions are part of the price."""
        result = self.library().cluster(x.tolist(), n_values)
        return Fit(np.array(result.centroids), np.array(result.clusters, dtype=np.int32))

"""ckmeans: exact clustering in Rust; no weights, no labels, at most 255 clusters."""

from typing import final

import numpy as np

from bench.methods._base import Fit, Method
from bench.problem import Array, Problem


@final
class Ckmeans(Method):
    """`ckmeans.ckmeans`, whose answer is the list of clusters."""

    name = "ckmeans"
    package = "ckmeans"
    module = "ckmeans"
    exact = True

    def limit(self, problem: Problem) -> str | None:
        """Refuse what the package refuses."""
        return "at most 255 clusters" if problem.n_values > 255 else None

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Cluster, and average each cluster."""
        clusters = self.library().ckmeans(x, n_values)
        return Fit(np.array([cluster.mean() for cluster in clusters]), None)

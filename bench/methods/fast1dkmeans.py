"""fast1dkmeans: exact clustering by a search over a penalty, numba; no weights, labels only."""

from typing import final

import numpy as np

from bench.methods._base import Fit, Method
from bench.problem import Array


@final
class Fast1DKMeans(Method):
    """`fast1dkmeans.cluster` with its default algorithm."""

    name = "fast1dkmeans"
    package = "fast1dkmeans"
    module = "fast1dkmeans"
    exact = True

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Label, and average each cluster."""
        labels = self.library().cluster(x, n_values)
        counts = np.bincount(labels)
        sums = np.bincount(labels, weights=x)
        return Fit(sums / np.maximum(counts, 1), labels)

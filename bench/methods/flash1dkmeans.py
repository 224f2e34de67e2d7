"""flash1dkmeans: k-means++ and Lloyd on prefix sums, numba; weights; a local optimum."""

from typing import final

from bench.methods._base import Fit, Method
from bench.problem import Array


@final
class Flash1DKMeans(Method):
    """`flash1dkmeans.kmeans_1d`, the package's public function."""

    name = "flash1dkmeans"
    package = "flash1dkmeans"
    module = "flash1dkmeans"
    exact = False
    accepts_weights = True

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Cluster and label."""
        centroids, labels = self.library().kmeans_1d(
            x, n_values, sample_weights=weights, random_state=seed
        )
        return Fit(centroids, labels)

"""scikit-learn's KMeans with one start: what most papers' code calls; a local optimum."""

from typing import final

from bench.methods._base import SLOW_TABLE, Fit, Method
from bench.problem import Array, Problem


@final
class SklearnKMeans(Method):
    """`sklearn.cluster.KMeans(n_init=1)` on a single column."""

    name = "scikit-learn"
    package = "scikit-learn"
    module = "sklearn.cluster"
    exact = False
    accepts_weights = True

    def limit(self, problem: Problem) -> str | None:
        """Refuse runs of minutes unless they are wanted."""
        slow = problem.size * problem.n_values > SLOW_TABLE
        return "may take minutes; pass --slow" if slow and not problem.allow_slow else None

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Cluster and label."""
        model = self.library().KMeans(n_values, n_init=1, random_state=seed)
        model.fit(x.reshape(-1, 1), sample_weight=weights)
        return Fit(model.cluster_centers_.ravel(), model.labels_)

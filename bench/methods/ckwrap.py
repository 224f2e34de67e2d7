"""ckwrap: exact clustering with weights, a wrapper of the C++ of the R package Ckmeans.1d.dp."""

from typing import final

from bench.methods._base import SLOW_TABLE, Fit, Method
from bench.problem import Array, Problem


@final
class Ckwrap(Method):
    """`ckwrap.ckmeans` at a fixed number of clusters, its fastest algorithm."""

    name = "ckwrap"
    package = "ckwrap"
    module = "ckwrap"
    exact = True
    accepts_weights = True

    def limit(self, problem: Problem) -> str | None:
        """Refuse tables of several gigabytes unless they are wanted."""
        cells = problem.size * problem.n_values
        if cells > SLOW_TABLE and not problem.allow_slow:
            return f"its tables need about {16e-9 * cells:.1f} GB; pass --slow"
        return None

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Cluster and label."""
        result = self.library().ckmeans(x, n_values, weights=weights, method="linear")
        return Fit(result.centers, result.labels)

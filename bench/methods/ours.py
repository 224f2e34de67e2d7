"""solvq, this repository: the exact method, labels and codebook in the dtype of the data."""

from typing import final

import numpy as np

from bench.methods._base import Fit, Method
from bench.problem import Array


@final
class Ours(Method):
    """`solvq.quantize` on vectors, `solvq.scalar.quantize_rows` on matrices."""

    name = "ours"
    package = "solvq"
    module = "solvq.scalar"
    exact = True
    accepts_weights = True
    accepts_bfloat16 = True
    takes_matrix = True

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Fit and label in one call."""
        code = self.library().quantize(
            x, n_values=n_values, method="optimal", sample_weight=weights
        )
        return Fit(code.codebook, code.indices)

    def run_rows(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Fit and label all rows in one call."""
        code = self.library().quantize_rows(x, n_values=n_values, sample_weight=weights)
        return Fit(code.codebooks, code.indices)

    def precise_codebook(self, x: Array, n_values: int) -> Array | None:
        """Return the estimator's codebook, which is not rounded to the dtype of the data."""
        estimator = self.library().METHODS["optimal"](n_values=n_values)
        fitted = estimator.fit(x.astype(np.float32).reshape(-1, 1))
        return np.asarray(fitted.codebook_, dtype=np.float64).ravel()

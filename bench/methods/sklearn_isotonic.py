"""scikit-learn's isotonic regression on the transformed data: the l1 problem at one penalty."""

from typing import final

import numpy as np

from bench.methods._base import Fit, Method
from bench.problem import Array

ALPHA = 1e-6
"""Penalty of the l1 runs at one penalty, in the units of half a sum of squared errors."""


@final
class SklearnIsotonic(Method):
    """`sklearn.isotonic.isotonic_regression` of ``u - alpha (1/d - 1/d_next) / w``."""

    name = "isotonic"
    package = "scikit-learn"
    module = "sklearn.isotonic"
    exact = False

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Solve the l1 problem without labels and without the refit; ``n_values`` is not met."""
        values, counts = np.unique(x.astype(np.float64), return_counts=True)
        inverse = np.concatenate([[0.0], 1.0 / np.diff(values), [0.0]])
        bent = values + ALPHA * np.diff(inverse) / counts
        fitted = self.library().isotonic_regression(bent, sample_weight=counts)
        return Fit(np.unique(fitted), None)

"""Judges every codebook of the study: no number of a method about itself is used.

The distortion is the weighted mean squared error of the data decoded from the codebook and the
indices that a method returned, in float64. It is divided by that of the exact optimum, whose
codebook is judged in the same way, and held against the lower bound of `solvq.certificate`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

import solvq
from bench.objective import EXACT_TOLERANCE
from bench.paper_scalar.study import Array, Record


def distortion(x: Array, weights: Array | None, codebook: Array, indices: Array) -> float:
    """Return the weighted mean squared distance of `x` to the entries its indices name."""
    decoded = np.asarray(codebook, dtype=np.float64)[indices]
    return float(np.average((x.astype(np.float64) - decoded) ** 2, weights=weights))


def ratio(value: float, optimum: float) -> float:
    """Return the quotient of two distortions; 1 if both are 0."""
    if optimum > 0:
        return value / optimum
    return 1.0 if value == 0 else float("inf")


def coefficients(values: Array, decoded: Array) -> Array:
    """Return the coefficients of decoded values in the step basis of the sorted distinct data.

    ``a_j = (x_j - x_(j-1)) / (u_j - u_(j-1))``; the first one is left out, since it is free. A
    coefficient of zero is a shared value, and 1 everywhere gives the data back.
    """
    return np.diff(decoded) / np.diff(values)


class Judge:
    """Scores codebooks for one array.

    Parameters
    ----------
    x : ndarray
        The data; flattened.
    weights : ndarray, optional
        Nonnegative weights; 1 by default, so that copies count.
    """

    def __init__(self, x: Array, weights: Array | None = None) -> None:
        self.x = np.asarray(x).ravel()
        self.weights = None if weights is None else np.asarray(weights, dtype=np.float64).ravel()
        self._optima: dict[int, tuple[float, float]] = {}

    @cached_property
    def distinct(self) -> int:
        """Number of distinct values."""
        return int(self._order[0].size)

    @cached_property
    def _order(self) -> tuple[Array, Array]:
        """Sorted distinct data, and where the first of each is."""
        return np.unique(self.x.astype(np.float64), return_index=True)

    def optimum(self, n_values: int) -> tuple[float, float]:
        """Return the distortion of the exact optimum, and the bound that certifies it."""
        if n_values not in self._optima:
            x = self.x.astype(np.float64)
            code = solvq.quantize(x, n_values, "optimal", sample_weight=self.weights)
            reached = distortion(x, self.weights, code.codebook, code.indices)
            proof = solvq.certificate(x, code.codebook, self.weights)
            self._optima[n_values] = reached, proof.lower_bound
        return self._optima[n_values]

    def score(self, codebook: Array, indices: Array, n_values: int) -> Record:
        """Judge an answer for a wanted count.

        ``refuted`` tells that it is below the certified bound, which would prove that wrong.
        """
        indices = np.asarray(indices).ravel()
        used = np.unique(codebook[indices])
        reached = distortion(self.x, self.weights, codebook, indices)
        optimum, bound = self.optimum(n_values)
        return {
            "distortion": reached,
            "ratio": ratio(reached, optimum),
            "count": int(used.size),
            "refuted": bool(used.size <= n_values and reached < bound * (1 - EXACT_TOLERANCE)),
            "above_optimum": bool(used.size > n_values),
        }

    def outside(self, codebook: Array) -> int:
        """Count the entries beyond the range of the data."""
        tolerance = 1e-6 * float(np.ptp(self.x))
        low, high = float(self.x.min()) - tolerance, float(self.x.max()) + tolerance
        return int(np.sum((codebook < low) | (codebook > high)))

    def empty(self, codebook: Array, n_values: int) -> int:
        """Count the entries that are nearest to no datum, and those missing from the count."""
        entries = np.sort(np.asarray(codebook, dtype=np.float64))
        cells = np.searchsorted((entries[1:] + entries[:-1]) / 2, self._order[0])
        return max(0, min(n_values, self.distinct) - int(np.unique(cells).size))

    def steps(self, codebook: Array, indices: Array) -> Record:
        """Describe the coefficients of an answer: how many are zero, and a histogram of the rest.

        The histogram counts ``log10 |a|`` in bins of a quarter decade from -2 to 8; what lies
        beyond is counted in the outermost bins.
        """
        values, first = self._order
        decoded = np.asarray(codebook, dtype=np.float64)[np.asarray(indices).ravel()[first]]
        a = coefficients(values, decoded)
        logs = np.log10(np.abs(a[a != 0]))
        counts = np.histogram(np.clip(logs, -2, 7.99), bins=np.linspace(-2, 8, 41))[0]
        return {
            "zero_share": float(np.mean(a == 0)) if a.size else 0.0,
            "log10_median": float(np.median(logs)) if logs.size else None,
            "histogram": counts.tolist(),
        }


def any_refuted(records: Any) -> bool:
    """Tell whether some record says that the certified bound was wrong."""
    return any(record.get("refuted", False) for record in records)

"""The rate-distortion curve: the best error at every count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import checked_weight
from solvq.scalar._assign import thresholds
from solvq.scalar._base import check_count
from solvq.scalar._counts import solve_counts
from solvq.scalar._kernels import Float64
from solvq.scalar._partition import group_means
from solvq.scalar._reduce import Problem, checked, reduce

LAST = 256  # largest count where none is given


@dataclass(frozen=True, eq=False)
class Curve:
    """Least error at each count, with a proof; see `rate_distortion`.

    Attributes
    ----------
    n_values : ndarray of int64
        The counts, ascending.
    distortion : ndarray of float64
        Weighted mean of squared errors of the codebook of each count.
    lower_bound : ndarray of float64
        Proven lower bound of it for any codebook of so many values.
    entropy : ndarray of float64
        Empirical entropy of the indices at each count, in bits per value.
    penalty : ndarray of float64
        Price of a value, in units of the distortion, at which the count is the best: of all
        counts ``j``, ``distortion + penalty * j`` is least there. Infinite at one value, 0 where
        the data come back exactly.
    codebooks : tuple of ndarray of float64
        Codebook of each count, ascending.
    """

    n_values: NDArray[np.int64]
    distortion: Float64
    lower_bound: Float64
    entropy: Float64
    penalty: Float64
    codebooks: tuple[Float64, ...]

    @property
    def gap(self) -> Float64:
        """``distortion / lower_bound - 1`` of each count; 0 where the error is 0."""
        bound = np.where(self.distortion > self.lower_bound, self.lower_bound, 1.0)
        excess = self.distortion - self.lower_bound
        with np.errstate(divide="ignore"):
            return excess / bound

    def codebook(self, n_values: int) -> Float64:
        """Codebook of a count on the curve.

        Raises
        ------
        ValueError
            If the curve does not hold the count.
        """
        place = int(np.searchsorted(self.n_values, n_values))
        if place == self.n_values.size or self.n_values[place] != n_values:
            raise ValueError(
                f"n_values is {n_values}; the curve has {self.n_values.size} counts from "
                f"{self.n_values[0]} to {self.n_values[-1]}"
            )
        return self.codebooks[place]


def checked_counts(n_values: Any, distinct: int) -> list[int]:
    """Ascending distinct counts; all up to `LAST` or the number of distinct values by default."""
    if n_values is None:
        return list(range(1, min(LAST, distinct) + 1))
    if isinstance(n_values, Integral | str) or not isinstance(n_values, Iterable):
        raise TypeError(f"n_values is {n_values!r}; give a sequence of counts, as range(1, 257)")
    counts = list(n_values)
    if not counts:
        raise ValueError("n_values is empty; give at least one count")
    for count in counts:
        check_count("an entry of n_values", count)
    return sorted({int(count) for count in counts})


def checked_tol(tol: Any) -> float:
    """Tolerance as a number; 0 for None."""
    if tol is None:
        return 0.0
    if not isinstance(tol, Real) or isinstance(tol, bool):
        raise TypeError(f"tol is {tol!r}; give a number in (0, 1), or None for the exact curve")
    if not 0.0 < float(tol) < 1.0:
        raise ValueError(f"tol is {tol}; give a number in (0, 1), or None for the exact curve")
    return float(tol)


def entropies(plain: Problem, codebooks: Iterable[Float64]) -> Float64:
    """Bits per index of codebooks in the units of the data, from the counts of its values."""
    below = np.concatenate([[0.0], np.cumsum(plain.weights)])
    bits = []
    for codebook in codebooks:
        edges = thresholds(plain.scale(codebook))
        places = np.searchsorted(plain.values, edges, side="right")
        counts = np.diff(below[np.concatenate([[0], places, [plain.values.size]])])
        share = counts[counts > 0.0] / below[-1]
        bits.append(max(0.0, -float(np.sum(share * np.log2(share)))))
    return np.array(bits)


def curve_of(problem: Problem, plain: Problem, counts: list[int], tol: float) -> Curve:
    """Curve of a problem; ``plain`` has the same data and the number of times each occurs."""
    u, w = problem.values, problem.weights
    found = solve_counts(u, w, [k for k in counts if k < u.size], tol)
    codebooks, sums = [], []
    for k in counts:
        if k in found:
            codebooks.append(problem.restore(group_means(u, w, found[k].breaks)[0]))
            sums.append((found[k].loss, min(found[k].bound, found[k].loss), found[k].penalty))
        else:
            codebooks.append(problem.restore(u))
            sums.append((0.0, 0.0, 0.0))
    loss, bound, penalty = (problem.mean_loss(column) for column in np.array(sums).T)
    bits = entropies(plain, codebooks)
    return Curve(np.array(counts), loss, bound, bits, penalty, tuple(codebooks))


def rate_distortion(
    x: Any, n_values: Any = None, sample_weight: Any = None, tol: float | None = None
) -> Curve:
    """Least mean squared error of an array at every count of shared values, with a proof.

    For each count the (weighted) mean of squared errors is minimised over all codebooks, in
    float64: what `solvq.quantize` finds for one count.

    Parameters
    ----------
    x : array_like of any shape, or torch tensor
        Finite numbers, as for `solvq.quantize`.
    n_values : sequence of int, optional
        Counts, in any order. 1 to 256 by default, or to the number of distinct values.
    sample_weight : array_like of the shape of ``x``, optional
        Nonnegative weights of the squared errors.
    tol : float in (0, 1), optional
        Let each error be up to this much above its bound, relatively; it takes less time on
        many data. By default only rounding stands between them.

    Returns
    -------
    Curve
        Error, bound, entropy of the indices, price of a value and codebook of each count.

    Raises
    ------
    ValueError
        If ``x`` is empty or has NaN or infinite values, or an argument is out of range.
    TypeError
        If ``x`` does not hold real numbers of at most 64 bits, or counts are no integers.

    Examples
    --------
    >>> import numpy as np, solvq
    >>> curve = solvq.rate_distortion(np.array([0.0, 0.0, 1.0, 5.0]), range(1, 4))
    >>> curve.distortion, curve.codebook(2)
    (array([4.25      , 0.16666667, 0.        ]), array([0.33333333, 5.        ]))
    """
    tolerance = checked_tol(tol)
    data = checked(x)
    weight = checked_weight(sample_weight, data.shape)
    problem = reduce(data, weight)
    counts = checked_counts(n_values, problem.values.size)
    plain = problem if weight is None else reduce(data)
    return curve_of(problem, plain, counts, tolerance)

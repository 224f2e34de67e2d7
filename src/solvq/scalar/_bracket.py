"""Two problems between which the problem of binned data lies.

For a codebook ``c`` the loss of a number is ``min_j (x - c_j)^2 = x^2 + g(x)`` with the concave
``g(x) = min_j (c_j^2 - 2 c_j x)``. Of the numbers of a bin their weight, mean, sum of squares,
least and largest are known. The sum of ``g`` over them is at most that of as much weight at the
mean, and at least that of the weight at the least and the largest number that has the same mean.
The sums of squares are known, so the least loss over all codebooks lies between those of two
ordinary problems.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import scaled
from solvq.scalar._assign import nearest_loss
from solvq.scalar._bins import HIGH, LOW, SQUARE, SUM, WEIGHT, Edges, Sums, edges
from solvq.scalar._kernels import Float64, workspace
from solvq.scalar._partition import partition
from solvq.scalar._probe import probe
from solvq.scalar._reduce import Problem

ROUNDING = 2.0**-40  # of a summed penalised cost, far above what rounding can make of it


class Moments(NamedTuple):
    """What is known of the bins that are in use, in the order of their means.

    ``low``, ``mean`` and ``high`` are numbers less ``origin``, scaled by ``2**-exponent``;
    ``weight`` is scaled too. ``scatter`` is the weighted sum of squares about the mean, ``spread``
    that of the weight moved to ``low`` and ``high``.
    """

    bins: NDArray[np.int64]
    weight: Float64
    low: Float64
    mean: Float64
    high: Float64
    scatter: Float64
    spread: Float64
    origin: float
    exponent: int

    def scale(self, data: Float64) -> Float64:
        """Numbers in the units of the data in those of the moments."""
        return np.ldexp(data - self.origin, -self.exponent)

    def restore(self, values: Float64) -> Float64:
        """Numbers in the units of the moments in those of the data."""
        return self.origin + np.ldexp(values, self.exponent)


def _origin(left: Float64, right: Float64) -> float:
    """Number that can be taken off all others without rounding, and makes them small."""
    low, high = float(left.min()), float(right.max())
    if low > 0.0 and 0.5 * high <= low:
        return low
    return high if high < 0.0 and 0.5 * low >= high else 0.0


def moments(sums: Sums) -> tuple[Moments, Edges]:
    """Moments of the bins in use, and where these lie.

    Raises
    ------
    ValueError
        If nothing of positive weight was added, or the weights are too large for a float64.
    """
    bins = sums.bins()
    if bins.size == 0:
        raise ValueError("the histogram is empty; feed it numbers of positive weight first")
    place, rows = edges(sums.tree, bins), sums.rows[bins]
    if not np.isfinite(rows).all():
        raise ValueError("the sum of the weights is infinite; scale them down")
    low, high = 1.0 - rows[:, LOW], rows[:, HIGH]
    first, last = (place.left + t * place.width for t in (low, high))
    origin = _origin(first, last)
    ends = first.min() - origin, last.max() - origin, place.width.max()
    exponent = int(np.frexp(np.abs(ends).max())[1])
    left, width = np.ldexp(place.left - origin, -exponent), np.ldexp(place.width, -exponent)
    weight, _ = scaled(rows[:, WEIGHT])
    mean = np.clip(rows[:, SUM] / rows[:, WEIGHT], low, high)
    square = np.maximum(rows[:, SQUARE] / rows[:, WEIGHT] - mean * mean, 0.0)
    spread = (high - mean) * (mean - low)
    scatter = np.minimum(square, spread)
    area = weight * width * width
    low, mean, high = (left + t * width for t in (low, mean, high))
    at = np.argsort(mean, kind="stable")
    scatter, spread = (scatter * area)[at], (spread * area)[at]
    found = Moments(
        bins[at], weight[at], low[at], mean[at], high[at], scatter, spread, origin, exponent
    )
    return found, Edges(place.key[at], place.shift[at], place.left[at], place.width[at])


def _merged(values: Float64, weights: Float64) -> tuple[Float64, Float64, NDArray[np.int64]]:
    """Distinct values, their summed weights, and where each value went; no weight is zero."""
    distinct, where = np.unique(values, return_inverse=True)
    summed = np.bincount(where, weights, distinct.size)
    return distinct, np.maximum(summed, 1e-300), where


class Spread(NamedTuple):
    """Problem of the weight moved to the ends of its bins.

    The ends of bin ``b`` are the points ``first[b]`` and ``last[b]``; ``excess`` is what moving has
    added to the sum of squares.
    """

    values: Float64
    weights: Float64
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    excess: float


def spread_problem(found: Moments) -> Spread:
    """Problem whose least loss, less its excess, is a lower bound of that of the data."""
    span = found.high - found.low
    share = np.divide(found.mean - found.low, span, out=np.zeros(span.size), where=span > 0.0)
    upper = found.weight * share
    values, weights, where = _merged(
        np.concatenate([found.low, found.high]), np.concatenate([found.weight - upper, upper])
    )
    excess = float(np.sum(found.spread - found.scatter))
    return Spread(values, weights, where[: span.size], where[span.size :], excess)


def mean_problem(found: Moments) -> Problem:
    """Problem whose least loss, with the scatter in the bins, is an upper bound."""
    values, weights, _ = _merged(found.mean, found.weight)
    return Problem(values, weights, found.exponent)


def most_loss(found: Moments, problem: Problem, codebook: Float64) -> float:
    """Upper bound of the summed loss of an ascending codebook, of the problem of the means."""
    inside = nearest_loss(problem.values, problem.weights, codebook)
    return inside + float(found.scatter.sum())


def least_loss(spread: Spread, k: int) -> tuple[float, float]:
    """Lower bound of the summed loss of every codebook of ``k`` values, and its penalty."""
    if spread.values.size <= k:
        return max(0.0, -spread.excess), 0.0
    work = workspace(spread.values.size)
    _, bound, penalty, _ = partition(spread.values, spread.weights, k, work)
    return max(0.0, bound - spread.excess), penalty


def may_be_cut(spread: Spread, k: int, penalty: float, loss: float) -> NDArray[np.bool_]:
    """Bins in which a codebook of ``k`` values of at most this loss can have a boundary.

    The cheapest penalised partition with a boundary behind point ``i`` is the cheapest one of the
    points up to ``i`` and that of the others; less ``k`` penalties it bounds the loss of such
    codebooks.
    """
    m = spread.values.size
    if m <= k or not np.isfinite(penalty):
        return spread.first < spread.last
    work, back = workspace(m), workspace(m)
    probe(spread.values, spread.weights, penalty, work)
    probe(-spread.values[::-1], np.ascontiguousarray(spread.weights[::-1]), penalty, back)
    cost = work.best + back.best[::-1] - k * penalty - spread.excess
    allowed = cost <= loss + ROUNDING * (work.best[m] + spread.excess)
    allowed[[0, -1]] = False
    before = np.concatenate([[0], np.cumsum(allowed)])  # boundaries at nodes below each
    return before[spread.last + 1] > before[spread.first + 1]

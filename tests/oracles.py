"""Slow, obvious twins of the fast code: each follows from a definition, none is clever."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def rounding(x: Float64, w: Float64) -> float:
    """What rounding may move a summed squared error of the points by: eps * range^2 * weight.

    Relative bounds alone cannot hold where the error is tiny beside the range of the data, as
    for two tight clusters far apart or weights that span more than the 53 bits of a float64.
    """
    return float(2.0**-52 * (x.max() - x.min()) ** 2 * w.sum())


def distinct(x: NDArray[Any], weight: Any = None) -> tuple[Float64, Float64]:
    """Sorted distinct values of positive weight, and their summed weights."""
    flat = np.asarray(x).astype(np.float64).ravel()
    weights = np.ones(flat.size) if weight is None else np.asarray(weight, np.float64).ravel()
    values, inverse = np.unique(flat[weights > 0], return_inverse=True)
    return values, np.bincount(inverse, weights[weights > 0]).astype(np.float64)


def interval_cost(x: Float64, w: Float64) -> float:
    """Weighted squared error of points to their mean, in two passes from the first point."""
    d = x - x[0]
    mean = (w @ d) / w.sum()
    return float(w @ (d - mean) ** 2)


def interval_costs(x: Float64, w: Float64) -> Float64:
    """Matrix of `interval_cost` of ``x[i:j]`` for all ``i < j``; zero elsewhere."""
    costs = np.zeros((x.size + 1, x.size + 1))
    for i in range(x.size):
        for j in range(i + 1, x.size + 1):
            costs[i, j] = interval_cost(x[i:j], w[i:j])
    return costs


def partition_cost(x: Float64, w: Float64, breaks: Any) -> float:
    """Summed error of the clusters between consecutive breaks."""
    return sum(interval_cost(x[i:j], w[i:j]) for i, j in pairwise(breaks))


def brute_force(x: Float64, w: Float64, k: int) -> float:
    """Least cost over every partition of sorted points into ``k`` intervals (n <= 10)."""
    return min(
        partition_cost(x, w, (0, *inner, x.size)) for inner in combinations(range(1, x.size), k - 1)
    )


def counted_costs(costs: Float64) -> Float64:
    """``D[k, j]``: least cost of the first ``j`` points in ``k`` intervals, from interval costs."""
    n = costs.shape[0] - 1
    best = np.full((n + 1, n + 1), np.inf)
    best[0, 0] = 0.0
    for k in range(1, n + 1):
        for j in range(k, n + 1):
            best[k, j] = (best[k - 1, k - 1 : j] + costs[k - 1 : j, j]).min()
    return best


def penalised_costs(costs: Float64, penalty: float) -> Float64:
    """Least cost of the first ``j`` points plus a penalty per interval, for every ``j``."""
    n = costs.shape[0] - 1
    best = np.zeros(n + 1)
    for j in range(1, n + 1):
        best[j] = (best[:j] + costs[:j, j]).min() + penalty
    return best


def step_basis(u: Float64) -> Float64:
    """Dense basis of the sparse methods: column ``j`` is ``u_j - u_(j-1)`` from row ``j`` on."""
    return np.tril(np.ones((u.size, u.size))) * np.diff(u, prepend=0.0)


def adaptive_merges(u: Float64, w: Float64, k: int) -> list[float]:
    """Means left when the pair of the least l1 meeting merges, all gaps and weights made anew."""
    means, weights = [float(v) for v in u], [float(v) for v in w]
    while len(means) > k:
        inverse = [0.0, *(1.0 / (b - a) for a, b in pairwise(means)), 0.0]
        slopes = [(inverse[i + 1] - inverse[i]) / weights[i] for i in range(len(means))]
        meetings = [
            (means[i + 1] - means[i]) / (slopes[i] - slopes[i + 1])
            if slopes[i] > slopes[i + 1]
            else np.inf
            for i in range(len(means) - 1)
        ]
        i = int(np.argmin(meetings))
        weight = weights[i] + weights[i + 1]
        means[i : i + 2] = [(means[i] * weights[i] + means[i + 1] * weights[i + 1]) / weight]
        weights[i : i + 2] = [weight]
    return means


def nearest(x: NDArray[Any], codebook: NDArray[Any]) -> NDArray[np.intp]:
    """Index of the nearest entry for each value, the lowest one on ties."""
    distance = np.abs(x.astype(np.float64)[..., None] - codebook.astype(np.float64))
    return np.argmin(distance, axis=-1)


def nearest_exactly(x: NDArray[Any], codebook: NDArray[Any]) -> NDArray[np.intp]:
    """`nearest` in rational arithmetic, for flat values whose distances a float64 would round."""
    entries = [Fraction(float(entry)) for entry in codebook]
    distances = [[abs(Fraction(float(value)) - entry) for entry in entries] for value in x]
    return np.array([row.index(min(row)) for row in distances])


def mean_squared_error(x: NDArray[Any], y: NDArray[Any], weight: Any = None) -> float:
    """Weighted mean of squared differences."""
    error = (x.astype(np.float64) - y.astype(np.float64)) ** 2
    return float(np.average(error, weights=weight))


def entropy(masses: Float64) -> float:
    """Bits per index of cells of these masses."""
    share = masses[masses > 0] / masses.sum()
    return float(-np.sum(share * np.log2(share)))


def entropy_partitions(x: Float64, w: Float64) -> list[tuple[float, float, tuple[int, ...]]]:
    """Mean squared error, entropy in bits and breaks of every partition into intervals."""
    found = []
    for k in range(x.size):
        for cuts in combinations(range(1, x.size), k):
            breaks = (0, *cuts, x.size)
            masses = np.array([w[i:j].sum() for i, j in pairwise(breaks)])
            error = partition_cost(x, w, breaks) / float(w.sum())
            found.append((error, entropy(masses), breaks))
    return found


def best_subset(x: Float64, w: Float64, grid: Float64, k: int, allowed: Any = None) -> float:
    """Least summed error over all tables of at most ``k`` entries of a grid, if ``allowed``."""
    losses = w[:, None] * (x[:, None] - grid) ** 2
    best = np.inf
    for size in range(1, k + 1):
        for chosen in combinations(range(grid.size), size):
            if allowed is None or allowed(set(grid[list(chosen)])):
                best = min(best, float(losses[:, chosen].min(axis=1).sum()))
    return best


def least_bits(counts: list[int], total: int) -> float:
    """Bits of symbols coded with the best of all positive integers that sum to ``total``."""
    seen = [c for c in counts if c]
    best = np.inf
    for cuts in combinations(range(1, total), len(seen) - 1):
        parts = np.diff([0, *cuts, total])
        best = min(best, -sum(c * np.log2(f / total) for c, f in zip(seen, parts, strict=True)))
    return float(best)


def rans_words(symbols: list[int], frequencies: list[int], bits: int, lanes: int) -> list[int]:
    """Words of 16 bits of interleaved rANS, by its definition, in whole numbers."""
    starts = [sum(frequencies[:k]) for k in range(len(frequencies))]
    states, words = [1 << 16] * lanes, []
    for i in reversed(range(len(symbols))):
        f, x = frequencies[symbols[i]], states[i % lanes]
        while x >= f << (32 - bits):
            words.append(x & 0xFFFF)
            x >>= 16
        states[i % lanes] = ((x // f) << bits) + starts[symbols[i]] + x % f
    return [half for x in states for half in (x & 0xFFFF, x >> 16)] + words[::-1]


def rows_of(tables: Float64, rows: int, columns: int, length: int) -> Float64:
    """Tables of every weight, (M, N, K), from those of groups of ``length`` columns."""
    full = np.repeat(tables, length, axis=1)[:, :columns]
    return np.broadcast_to(full, (rows, columns, tables.shape[2]))


def spread_errors(w: Float64, hessian: Float64, tables: Float64, length: int) -> NDArray[np.intp]:
    """Feedback as its paper writes it: each column's error is spread by the inverse's factor."""
    full = rows_of(tables, *w.shape, length)
    order = np.argsort(-np.diag(hessian), kind="stable")
    damped = hessian + 0.01 * np.diag(hessian).mean() * np.eye(order.size)
    inverse = np.linalg.inv(damped[np.ix_(order, order)])
    factor = np.linalg.cholesky(inverse).T
    left, indices = w[:, order].copy(), np.zeros(w.shape, np.intp)
    for place, column in enumerate(order):
        for row in range(w.shape[0]):
            entries = full[row, column]
            index = int(nearest(left[row, [place]], entries)[0])
            error = (left[row, place] - entries[index]) / factor[place, place]
            left[row, place:] -= error * factor[place, place:]
            indices[row, column] = index
    return indices


def best_indices(w: Float64, hessian: Float64, entries: Float64) -> float:
    """Least ``(w - q) H (w - q)`` of one row over every choice of entries (N, K)."""
    choices = np.stack(np.meshgrid(*entries, indexing="ij"), axis=-1).reshape(-1, w.size)
    errors = w - choices
    return float(((errors @ hessian) * errors).sum(axis=1).min())

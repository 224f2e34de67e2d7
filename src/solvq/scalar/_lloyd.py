"""Lloyd's alternation on sorted points with prefix sums: O(k log m) per step."""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, Int32, kernel


@kernel
def cells(x: Float64, values: Float64) -> Int32:
    """Node indices of the cells of ascending values: nearest points, the lower value on ties."""
    breaks = np.empty(values.size + 1, np.int32)
    breaks[0], breaks[values.size] = 0, x.size
    for c in range(1, values.size):
        middle = values[c - 1] + 0.5 * (values[c] - values[c - 1])
        breaks[c] = np.searchsorted(x, middle, side="right")
    return breaks


@kernel
def _spread(x: Float64, mass: Float64, first: int, last: int) -> float:
    """Mass times squared width of a cell."""
    return (mass[last] - mass[first]) * (x[last - 1] - x[first]) ** 2


@kernel
def _refilled(x: Float64, mass: Float64, breaks: Int32) -> Int32:
    """Cells without the empty ones, for each of which the cell of the largest spread is halved.

    A cell whose points cannot be told apart is not halved: then fewer cells are left.
    """
    used = np.unique(breaks).astype(np.int64)
    if used.size == breaks.size:
        return breaks
    heap = []
    for c in range(used.size - 1):
        first, last = int(used[c]), int(used[c + 1])
        heap.append((-_spread(x, mass, first, last), first, last))
    heapq.heapify(heap)
    while len(heap) < breaks.size - 1 and heap[0][0] < 0.0:
        _, first, last = heapq.heappop(heap)
        middle = x[first] + 0.5 * (x[last - 1] - x[first])
        right = first + int(np.searchsorted(x[first:last], middle, side="right"))
        cut = min(right, last - 1)
        heapq.heappush(heap, (-_spread(x, mass, first, cut), first, cut))
        heapq.heappush(heap, (-_spread(x, mass, cut, last), cut, last))
    full = np.empty(len(heap) + 1, np.int32)
    for c in range(len(heap)):
        full[c] = heap[c][1]
    full[len(heap)] = x.size
    return np.sort(full)


@kernel
def _cell_means(x: Float64, mass: Float64, sums: Float64, breaks: Int32) -> Float64:
    """Mean of each cell, kept inside it; its middle where its mass drowns in rounding."""
    means = np.empty(breaks.size - 1)
    for c in range(means.size):
        first, last = breaks[c], breaks[c + 1]
        low, high = x[first], x[last - 1]
        weight = mass[last] - mass[first]
        mean = (sums[last] - sums[first]) / weight if weight > 0.0 else 0.5 * (low + high)
        means[c] = min(max(mean, low), high)
    return means


@kernel
def _running(x: Float64, w: Float64) -> tuple[Float64, Float64]:
    """Prefix sums of the weights and of weight times value."""
    mass, sums = np.zeros(x.size + 1), np.zeros(x.size + 1)
    for i in range(x.size):
        mass[i + 1] = mass[i] + w[i]
        sums[i + 1] = sums[i] + w[i] * x[i]
    return mass, sums


@kernel
def filled_means(x: Float64, w: Float64, breaks: Int32) -> Float64:
    """Means of cells, the empty ones refilled."""
    mass, sums = _running(x, w)
    return _cell_means(x, mass, sums, _refilled(x, mass, breaks))


@kernel
def _steps(x: Float64, w: Float64, values: Float64, max_iter: int, enough: float) -> Any:
    """Alternate cells and means until a step saves at most ``enough``.

    Returns the means, their cells, the number of steps and whether it converged.
    """
    mass, sums = _running(x, w)
    breaks = cells(x, values)
    for step in range(1, max_iter + 1):
        breaks = cells(x, values)
        full = _refilled(x, mass, breaks)
        same = np.array_equal(full, breaks)
        means = _cell_means(x, mass, sums, full)
        saved = 0.0
        if same:
            for c in range(means.size):
                saved += (mass[full[c + 1]] - mass[full[c]]) * (means[c] - values[c]) ** 2
        values, breaks = means, full
        if same and saved <= enough:
            return values, breaks, step, True
    return values, breaks, max_iter, False


class Alternation(NamedTuple):
    """Means of the last cells, the cells as node indices, steps taken, and whether it converged."""

    values: Float64
    breaks: Int32
    n_iter: int
    converged: bool


def lloyd(x: Float64, w: Float64, values: Float64, max_iter: int, tol: float) -> Alternation:
    """Lloyd's steps from ascending values until the means save ``tol`` of the start's loss.

    Points are sorted, near zero, and may repeat; a cell that falls empty is refilled.
    """
    start = np.repeat(values, np.diff(cells(x, values)))
    return Alternation(*_steps(x, w, values, max_iter, tol * float(w @ (x - start) ** 2)))

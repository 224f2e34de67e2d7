"""Sorted rows of weights: how many values each has, whether they are evenly spaced, who is nearest.

The rows are groups of weights that may share a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.scalar._kernels import Float64, kernel

MOST_STEPS = 256  # places of an even grid
ARITHMETIC = 3 * 2.0**-24  # of a range: the roundings of a product and a sum in float32
DIVISORS = 3  # the step is the least distance of two values, or half or a third of it


@kernel
def count_ranks(ordered: NDArray[Any], limit: int, counts: NDArray[np.int64]) -> int:
    """Add to ``counts[r]`` how often the ``r``-th distinct value of a sorted row occurs.

    Returns the most distinct values of a row, or ``limit + 1`` at the first row that has more
    than ``limit``; ``counts`` has at least ``limit`` entries.
    """
    most = 0
    for r in range(ordered.shape[0]):
        rank = 0
        for i in range(ordered.shape[1]):
            if i > 0 and ordered[r, i] != ordered[r, i - 1]:
                rank += 1
                if rank >= limit:
                    return limit + 1
            counts[rank] += 1
        most = max(most, rank + 1)
    return most


@kernel
def count_known(flat: NDArray[Any], values: NDArray[Any], times: NDArray[np.int64]) -> bool:
    """Add to ``times`` how often each of the ascending ``values`` occurs; False at another one."""
    for x in flat:
        low, high = 0, values.size
        while low < high:
            middle = (low + high) >> 1
            if values[middle] < x:
                low = middle + 1
            else:
                high = middle
        if low == values.size or values[low] != x:
            return False
        times[low] += 1
    return True


@kernel
def take_distinct(ordered: NDArray[Any], tables: Float64) -> None:
    """Write the distinct values of each sorted row; the last one fills the rest."""
    for r in range(ordered.shape[0]):
        rank = 0
        tables[r, :] = ordered[r, ordered.shape[1] - 1]
        for i in range(ordered.shape[1]):
            if i > 0 and ordered[r, i] != ordered[r, i - 1]:
                rank += 1
            tables[r, rank] = ordered[r, i]


@kernel
def _places(row: NDArray[Any], step: float, slack: float, places: NDArray[np.int64]) -> float:
    """Write the places of sorted numbers on an even grid of about this step.

    Returns the step that fits best, or 0 where a number lies farther than ``slack`` off the grid,
    or the grid is too fine or too long to be told from chance.
    """
    places[0] = 0
    for i in range(1, row.size):
        ahead = (row[i] - row[i - 1]) / step
        if ahead > MOST_STEPS or places[i - 1] + ahead > MOST_STEPS:
            return 0.0
        places[i] = places[i - 1] + int(ahead + 0.5)
    step = (row[row.size - 1] - row[0]) / places[row.size - 1]
    if step < 4.0 * slack or places[row.size - 1] >= MOST_STEPS:
        return 0.0
    for i in range(row.size):
        if abs(row[i] - row[0] - step * places[i]) > slack:
            return 0.0
    return step


@kernel
def _gap(row: NDArray[Any]) -> float:
    """Least distance of two numbers of a sorted row that differ; infinite if all are equal."""
    least = np.inf
    for i in range(1, row.size):
        if row[i] != row[i - 1]:
            least = min(least, row[i] - row[i - 1])
    return least


@kernel
def find_grids(ordered: Float64, eps: float, counts: NDArray[np.int64], found: Any) -> bool:
    """Whether the numbers of each sorted row are evenly spaced, up to roundings of ``eps``.

    ``counts[0]`` gets how often each place above a row's smallest number occurs, ``counts[1]``
    each multiple of the step, 256 for zero, where rows may be mirrored so that the farther end
    is below zero. ``found`` is (most places, lowest multiple, highest multiple, rows whose grid
    misses zero, distinct values that chance would not have put on the grid); it starts with zeros.
    """
    places = np.empty(ordered.shape[1], np.int64)
    for r in range(ordered.shape[0]):
        row, gap, step = ordered[r], _gap(ordered[r]), 0.0
        slack = (1.5 * eps + ARITHMETIC) * max(abs(row[0]), abs(row[row.size - 1]))
        if gap == np.inf:
            continue
        for divisor in range(1, DIVISORS + 1):
            if step == 0.0:
                step = _places(row, gap / divisor, slack, places)
        if step == 0.0:
            return False
        low = int(np.rint(max(row[0] / step, -2.0 * MOST_STEPS)))
        low = min(low, MOST_STEPS)
        high = low + places[row.size - 1]
        if abs(row[0] - low * step) > 0.25 * step or low < -MOST_STEPS or high > MOST_STEPS:
            found[3] += 1
            low, high = 0, places[row.size - 1]
        sign = -1 if -low < high else 1
        found[0] = max(found[0], places[row.size - 1] + 1)
        found[1] = min(found[1], low if sign > 0 else -high)
        found[2] = max(found[2], high if sign > 0 else -low)
        for i in range(row.size):
            counts[0, places[i]] += 1
            counts[1, MOST_STEPS + sign * (low + places[i])] += 1
            found[4] += i > 0 and row[i] != row[i - 1]
        found[4] -= 1
    return True


@kernel
def _nearest(table: Float64, x: float) -> int:
    """Index of the entry of an ascending table that is nearest."""
    low, high = 0, table.size - 1
    while low < high:
        middle = (low + high) >> 1
        if table[middle] < x:
            low = middle + 1
        else:
            high = middle
    if low > 0 and x - table[low - 1] <= table[low] - x:
        return low - 1
    return low


@kernel
def add_cells(a: Any, b: Any, tables: Float64, cells: Float64) -> float:
    """Add to ``cells`` the numbers of weights and sums of ``a - b`` of each entry of each table.

    ``b`` holds entries of the table of its row, exactly. ``cells`` is (2, rows, entries).
    Returns the sum of squared distances of ``a`` to the nearest entries.
    """
    total = 0.0
    for r in range(a.shape[0]):
        table = tables[r]
        for i in range(a.shape[1]):
            own = _nearest(table, b[r, i])
            cells[0, r, own] += 1.0
            cells[1, r, own] += a[r, i] - b[r, i]
            total += (a[r, i] - table[_nearest(table, a[r, i])]) ** 2
    return total

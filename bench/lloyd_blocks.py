"""Lloyd's alternation with E4M3 entries for blocks, compiled: what fits LUT-B tables elsewhere.

The fit of compressed-tensors (pull request 801), written anew after its description: the mean and
then, one by one, the datum farthest from all entries; a given number of steps that assign, take
means and round these to E4M3. Two forms with the same result but for rounding: one counts the
midpoints below each datum, the other sorts the data first and works on prefix sums.
"""

from typing import Any

import ml_dtypes
import numpy as np
from numba import njit
from numpy.typing import NDArray

compiled = njit(cache=True, nogil=True, error_model="numpy")


def e4m3() -> NDArray[np.float64]:
    """All finite E4M3 values, ascending."""
    patterns = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float64)
    return np.unique(patterns[np.isfinite(patterns)])


@compiled
def _round(grid: Any, values: Any) -> None:
    """Round values to the nearest entry of a grid, in place, and sort them."""
    for j in range(values.size):
        above = min(np.searchsorted(grid, values[j]), grid.size - 1)
        below = max(above - 1, 0)
        nearer = values[j] - grid[below] <= grid[above] - values[j]
        values[j] = grid[below] if nearer else grid[above]
    values.sort()


@compiled
def _start(x: Any, distance: Any, table: Any) -> None:
    """Write the mean and the data that are farthest from all entries before them."""
    total = 0.0
    for i in range(x.size):
        total += x[i]
    table[0] = total / x.size
    distance[:] = np.inf
    for j in range(1, table.size):
        farthest, at, entry = -1.0, 0, np.float32(table[j - 1])
        for i in range(x.size):
            d = abs(x[i] - entry)
            d = d if d < distance[i] else distance[i]
            distance[i] = d
            at = i if d > farthest else at
            farthest = d if d > farthest else farthest
        table[j] = x[at]


@compiled
def _assigned(x: Any, table: Any, edges: Any, indices: Any) -> None:
    """Count the midpoints of the entries below each datum."""
    for j in range(edges.size):
        edges[j] = 0.5 * (table[j] + table[j + 1])
    for i in range(x.size):
        index = 0
        for j in range(edges.size):
            index += x[i] > edges[j]
        indices[i] = index


@compiled
def lloyd_counting(x: Any, grid: Any, steps: int, tables: Any, indices: Any) -> None:
    """Fit a table to each row of ``x``; writes tables and indices."""
    k = tables.shape[1]
    distance, edges = np.empty(x.shape[1], np.float32), np.empty(k - 1, np.float32)
    for r in range(x.shape[0]):
        row, table = x[r], tables[r]
        _start(row, distance, table)
        _round(grid, table)
        for _ in range(steps):
            _assigned(row, table, edges, indices[r])
            sums, counts = np.zeros(k), np.zeros(k)
            for i in range(row.size):
                sums[indices[r, i]] += row[i]
                counts[indices[r, i]] += 1.0
            for j in range(k):
                table[j] = sums[j] / counts[j] if counts[j] > 0.0 else table[j]
            _round(grid, table)
        _assigned(row, table, edges, indices[r])


@compiled
def _sorted_steps(ordered: Any, grid: Any, steps: int, sums: Any, table: Any) -> None:
    """Alternate on one sorted row with prefix sums."""
    breaks = np.zeros(table.size + 1, np.int64)
    breaks[-1] = ordered.size
    for i in range(ordered.size):
        sums[i + 1] = sums[i] + ordered[i]
    for _ in range(steps):
        for j in range(1, table.size):
            edge = np.float32(0.5 * (table[j - 1] + table[j]))
            breaks[j] = np.searchsorted(ordered, edge, side="right")
        for j in range(table.size):
            first, last = breaks[j], breaks[j + 1]
            if last > first:
                table[j] = (sums[last] - sums[first]) / (last - first)
        _round(grid, table)


@compiled
def _lloyd_ordered(x: Any, ordered: Any, grid: Any, steps: int, tables: Any, indices: Any) -> None:
    """Fit a table to each row, which ``ordered`` has sorted; writes tables and indices."""
    distance, sums = np.empty(x.shape[1], np.float32), np.zeros(x.shape[1] + 1)
    edges = np.empty(tables.shape[1] - 1, np.float32)
    for r in range(x.shape[0]):
        _start(x[r], distance, tables[r])
        _round(grid, tables[r])
        _sorted_steps(ordered[r], grid, steps, sums, tables[r])
        _assigned(x[r], tables[r], edges, indices[r])


def lloyd_sorting(x: Any, grid: Any, steps: int, tables: Any, indices: Any) -> None:
    """`lloyd_counting` by way of a sort."""
    _lloyd_ordered(x, np.sort(x, axis=1), grid, steps, tables, indices)

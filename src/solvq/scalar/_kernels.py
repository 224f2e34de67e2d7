"""The penalised partition problem on sorted weighted points, one probe at a time.

For points ``x[0] < x[1] < ...`` with weights ``w`` and a penalty ``alpha``, find node indices
``0 = b_0 < b_1 < ... < b_k = m`` that minimise ``sum_i [cost(b_i, b_{i+1}) + alpha]``, where
``cost(i, j)`` is the weighted sum of squared distances of ``x[i:j]`` to its mean. The count ``k``
is free here; `solvq.scalar._partition` searches the penalty that gives a wanted count.

The cost has the concave Monge property, so the row that is best for a column never moves back
as the column grows. A block of columns is opened behind each solved node ``j``: as long as
``best(column) <= best(j + 1) + alpha``, no row inside the block can be the better start of a last
cluster, because ``best`` never falls. All rows of the block are then known, and divide and
conquer over its columns costs one vectorised pass over the rows per level; the last levels are
done at once, on tiles of neighbouring columns. Prefix sums are made anew for each block around
the value at its start, so that neither an offset nor a far outlier costs precision.
``tests/oracles.py`` holds the quadratic twin.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

kernel = njit(cache=True, nogil=True, error_model="numpy")

SHORT = 48  # below this many rows, scan one by one
CHUNK = 32  # rows compared with the best so far in one vectorised pass
NARROW = 64  # up to this many rows, columns are solved in turn
TILE = 8  # neighbouring columns that are solved at once
FAINT = 2.0**-500  # stands for a weight that rounding has lost


class Workspace(NamedTuple):
    """Scratch of a probe over ``m`` points, of length ``m + 1``.

    ``best[j]`` is the cheapest penalised cost of the first ``j`` points and ``back[j]`` the start
    of its last cluster; ``s``, ``w``, ``q`` are prefix sums of weight times value, weight, and
    weight times squared value within the current block, and ``g`` is ``best - q`` of its rows.
    ``tile`` has six runs of `TILE`: ``s`` and ``w`` of some columns, then, twice, their best values
    so far and the rows of these.
    """

    best: Any
    back: Any
    s: Any
    w: Any
    q: Any
    g: Any
    tile: Any


def workspace(m: int) -> Workspace:
    """Scratch for problems of at most ``m`` points; NumPy's allocator takes large pages."""
    best, s, w, q, g = (np.empty(m + 1) for _ in range(5))
    return Workspace(best, np.empty(m + 1, np.int32), s, w, q, g, np.empty(6 * TILE))


@kernel
def _saved(work: Workspace, row: int, s: float, w: float) -> float:
    """``best - q`` at a row less what its cluster up to a column with sums ``s, w`` saves."""
    d = s - work.s[row]
    weight = w - work.w[row]
    return work.g[row] - d * d / (weight if weight > 0.0 else np.inf)


@kernel
def _best_row(work: Workspace, first: int, last: int, column: int) -> tuple[int, float]:
    """Row of ``first..last`` at which the last cluster up to ``column`` should start, and value.

    Many rows are compared without a quotient: ``g - d^2 / w < v`` is ``(g - v) w < d^2``.
    """
    s, w = work.s[column], work.w[column]
    if last - first < SHORT:
        row, value = first, np.inf
        for r in range(first, last + 1):
            v = _saved(work, r, s, w)
            if v < value:
                row, value = r, v
        return row, value
    row = (first + last) >> 1  # a good first value lets most chunks pass without a second look
    value = _saved(work, row, s, w)
    for start in range(first, last + 1, CHUNK):
        stop = min(start + CHUNK, last + 1)
        better = 0
        for r in range(np.uint64(start), np.uint64(stop)):
            d, weight = s - work.s[r], w - work.w[r]
            better += (work.g[r] - value) * (weight if weight > 0.0 else FAINT) < d * d
        if better > 0:
            for r in range(start, stop):
                v = _saved(work, r, s, w)
                if v < value:
                    row, value = r, v
    return row, value


@kernel
def _accumulate(x: Float64, w: Float64, work: Workspace, lo: int, centre: float, span: Any) -> None:
    """Prefix sums of the local nodes ``span[0] + 1 .. span[1]``, values taken from ``centre``."""
    s, weight, q = work.s[span[0]], work.w[span[0]], work.q[span[0]]
    start, one = np.uint64(lo), np.uint64(1)  # unsigned: no wrap-around test
    for i in range(np.uint64(span[0]), np.uint64(span[1])):
        d = x[start + i] - centre
        a = w[start + i]
        s += a * d
        weight += a
        q += a * d * d
        work.s[i + one], work.w[i + one], work.q[i + one] = s, weight, q


@kernel
def _cost(work: Workspace, i: int, j: int) -> float:
    """Weighted squared error of the points between the local nodes ``i < j``."""
    d = work.s[j] - work.s[i]
    weight = work.w[j] - work.w[i]
    return work.q[j] - work.q[i] - d * d / (weight if weight > 0.0 else np.inf)


@kernel
def _reach(
    x: Float64, w: Float64, work: Workspace, lo: int, row: int, state: Any
) -> tuple[int, int]:
    """Last local column at which a cluster from ``row`` costs at most ``state``'s limit.

    ``state`` is (column known to qualify, last node with prefix sums, first step, centre, limit).
    Returns that column and the last node with prefix sums.
    """
    good, known, step, centre, limit = state
    end = x.size - lo
    bad = end + 1
    while good < end:
        node = min(good + step, end)
        if node > known:
            _accumulate(x, w, work, lo, centre, (known, node))
            known = node
        if _cost(work, row, node) > limit:
            bad = node
            break
        good = node
        step *= 2
    while bad - good > 1:
        node = (good + bad) >> 1
        if _cost(work, row, node) > limit:
            bad = node
        else:
            good = node
    return good, known


@kernel
def _open_rows(x: Float64, w: Float64, work: Workspace, lo: int, start: int) -> float:
    """Sums of the rows ``lo..start`` and of the column behind them; returns their centre."""
    rows, centre = start - lo, x[start]
    work.s[0] = work.w[0] = work.q[0] = 0.0
    _accumulate(x, w, work, lo, centre, (0, rows + 1))
    for r in range(rows + 1):
        work.g[r] = work.best[lo + r] - work.best[lo] - work.q[r]
    return centre


@kernel
def _settle(work: Workspace, lo: int, row: int, column: int, value: float) -> None:
    """Write the solution of a local column: its best row, and its value above ``best[lo]``."""
    work.best[lo + column] = work.best[lo] + value
    work.back[lo + column] = lo + row


@kernel
def _open(x: Float64, w: Float64, work: Workspace, start: int) -> tuple[int, float]:
    """Sums of the rows that may be the best behind node ``start``; returns the first, and centre.

    After a far jump rows in front of the best are done with, and would blur the sums.
    """
    lo = work.back[start]
    centre = _open_rows(x, w, work, lo, start)
    if start > lo and x[start] - x[start - 1] > x[start - 1] - x[lo]:
        row, _ = _best_row(work, 0, start - lo, start - lo + 1)
        if row > 0:
            lo += row
            centre = _open_rows(x, w, work, lo, start)
    return lo, centre


@kernel
def _open_block(
    x: Float64, w: Float64, penalty: float, work: Workspace, start: int, step: int
) -> tuple[int, int]:
    """Solve the first and the last column of the block behind node ``start``.

    Returns the first row and the last node of the block.
    """
    lo, centre = _open(x, w, work, start)
    rows, column = start - lo, start - lo + 1
    row, value = _best_row(work, 0, rows, column)
    known = column
    limit = value + work.q[column] + penalty  # best(start + 1), from best(lo)
    _settle(work, lo, row, column, limit)
    while True:
        room = limit - (work.g[row] + work.q[row])
        reached, known = _reach(x, w, work, lo, row, (column, known, step, centre, room))
        grown, column = reached - column, reached
        if grown == 0:
            return lo, lo + column
        row, value = _best_row(work, row, rows, column)
        _settle(work, lo, row, column, value + work.q[column] + penalty)
        if 8 * grown < column - rows:
            return lo, lo + column


@kernel
def _scan_tile(work: Workspace, above: int, below: int, width: int) -> None:
    """Try the rows ``above..below`` on all columns of the tile; leaves the best values and rows.

    The loop over the columns is vectorised: ``width`` is `TILE`, since a constant number of steps
    would be unrolled; what is better goes, by turns, to another place, since a conditional store
    is slow; and as rows ascend, the best one so far is the largest of those that were better.
    """
    tile = work.tile
    for first in range(above, below + 1, 2):
        for turn in range(2):
            r = min(first + turn, below)
            s, w, g = work.s[r], work.w[r], work.g[r]
            old, new = (2 * TILE, 4 * TILE) if turn == 0 else (4 * TILE, 2 * TILE)
            for c in range(np.uint64(width)):
                d = tile[c] - s
                weight = tile[TILE + c] - w
                v = g - d * d / (weight if weight > 0.0 else np.inf)
                best, row = tile[old + c], tile[old + TILE + c]
                better = float(r) if v < best else 0.0
                tile[new + c] = v if v < best else best
                tile[new + TILE + c] = better if better > row else row


@kernel
def _solve_tile(work: Workspace, lo: int, first: int, last: int, rows: Any) -> None:
    """Find the best of the rows ``rows[0]..rows[1]`` for the columns ``first..last``."""
    tile = work.tile
    for c in range(TILE):
        column = min(first + c, last) - lo
        tile[c], tile[TILE + c] = work.s[column], work.w[column]
        tile[2 * TILE + c], tile[3 * TILE + c] = np.inf, rows[0]
    _scan_tile(work, rows[0], rows[1], tile.size // 6)


@kernel
def _fill_tile(penalty: float, work: Workspace, lo: int, first: int, last: int) -> None:
    """Solve the fewer than `TILE` columns between two solved ones."""
    _solve_tile(work, lo, first + 1, last, (work.back[first] - lo, work.back[last] - lo))
    for column in range(first + 1 - lo, last - lo):
        c = column - (first + 1 - lo)
        value = work.tile[2 * TILE + c] + work.q[column] + penalty
        _settle(work, lo, int(work.tile[3 * TILE + c]), column, value)


@kernel
def _narrow_block(x: Float64, w: Float64, penalty: float, work: Workspace, start: int) -> int:
    """Solve the block behind node ``start``, of few rows, tile by tile; returns its last node."""
    lo, centre = _open(x, w, work, start)
    row, rows, column = 0, start - lo, start - lo
    limit = np.inf  # what a row inside the block costs at least
    while lo + column < x.size:
        last = min(column + TILE, x.size - lo)
        _accumulate(x, w, work, lo, centre, (max(column, rows + 1), last))
        _solve_tile(work, lo, lo + column + 1, lo + last, (row, rows))
        for c in range(last - column):
            value = work.tile[2 * TILE + c] + work.q[column + 1] + penalty
            if value > limit:
                return lo + column
            if column == rows:
                limit = value + penalty
            column += 1
            row = int(work.tile[3 * TILE + c])
            _settle(work, lo, row, column, value)
    return lo + column


@kernel
def _fill_block(penalty: float, work: Workspace, lo: int, first: int, last: int) -> None:
    """Solve the columns between two solved ones by halving, the rows bounded on both sides."""
    stride = TILE
    while 2 * stride < last - first:
        stride *= 2
    while stride >= TILE:
        for node in range(first + stride, last, 2 * stride):
            above = work.back[node - stride] - lo
            below = work.back[min(node + stride, last)] - lo
            row, value = _best_row(work, above, below, node - lo)
            _settle(work, lo, row, node - lo, value + work.q[node - lo] + penalty)
        stride //= 2
    for node in range(first, last, TILE):
        _fill_tile(penalty, work, lo, node, min(node + TILE, last))


@kernel
def probe(x: Float64, w: Float64, penalty: float, work: Workspace) -> int:
    """Cheapest partition at one penalty; fills ``work.best`` and ``work.back``.

    Returns the number of clusters of the partition. O(m log m) time, O(m) memory.
    """
    work.best[0] = 0.0
    work.back[0] = 0
    node, step = 0, 8
    while node < x.size:
        if node - work.back[node] <= NARROW:
            node = _narrow_block(x, w, penalty, work, node)
            continue
        lo, last = _open_block(x, w, penalty, work, node, step)
        _fill_block(penalty, work, lo, node + 1, last)
        step = max(8, (last - node) // 4)
        node = last
    count = 0
    while node > 0:
        node = work.back[node]
        count += 1
    return count


@kernel
def traced(work: Workspace, m: int, count: int) -> Int32:
    """Node indices ``0 = b_0 < ... < b_count = m`` of the partition that `probe` found."""
    breaks = np.empty(count + 1, np.int32)
    node = m
    for i in range(count, -1, -1):
        breaks[i] = node
        node = work.back[node]
    return breaks

"""The cheapest penalised partition of sorted weighted points at one penalty.

The cost has the concave Monge property, so the row that is best for a column never moves back
as the column grows. A block of columns is opened behind each solved node ``j``: as long as
``best(column) <= best(j + 1) + alpha``, no row inside the block can be the better start of a last
cluster, because ``best`` never falls. All rows of the block are then known, and divide and
conquer over its columns costs one vectorised pass over the rows per level; the last levels are
done at once, on tiles of neighbouring columns. Where the rows are few, as in short problems, tiles
are compared with all of them in turn, until a column is too dear.
``tests/oracles.py`` holds the quadratic twin.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from solvq.scalar._kernels import (
    TILE,
    Float64,
    Int32,
    Workspace,
    _accumulate,
    _best_row,
    _open_rows,
    _reach,
    _settle,
    kernel,
)

NARROW = 64  # up to this many rows, columns are solved in turn


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

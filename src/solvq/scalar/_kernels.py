"""Sums and comparisons of the penalised partition problem on sorted weighted points.

For points ``x[0] < x[1] < ...`` with weights ``w`` and a penalty ``alpha``, find node indices
``0 = b_0 < b_1 < ... < b_k = m`` that minimise ``sum_i [cost(b_i, b_{i+1}) + alpha]``, where
``cost(i, j)`` is the weighted sum of squared distances of ``x[i:j]`` to its mean. The count ``k``
is free here; `solvq.scalar._partition` searches the penalty that gives a wanted count.

`solvq.scalar._probe` solves it block by block: what is here has the rows of one block, the starts
of a last cluster, and the columns behind them, its ends. Prefix sums are made anew for each block
around the value at its start, so that neither an offset nor a far outlier costs precision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.kernels import kernel

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

SHORT = 48  # below this many rows, scan one by one
CHUNK = 32  # rows compared with the best so far in one vectorised pass
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

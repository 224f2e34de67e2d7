"""Cells within cells: each is cut in two where that saves the most error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.scalar._batch import merge_row
from solvq.scalar._kernels import Float64, Int32, Workspace, kernel
from solvq.scalar._partition import partition


@kernel
def cut(x: Float64, w: Float64, first: int, last: int) -> int:
    """Node at which two cells of the points ``first .. last - 1`` have least error.

    The lowest on ties, and ``last`` where there are fewer than two points.
    """
    mass = s = 0.0
    for i in range(first, last):
        mass += w[i]
        s += w[i] * (x[i] - x[first])
    mean = s / mass if mass > 0.0 else 0.0
    node, most = last, -1.0
    left = s = 0.0
    for i in range(first, last - 1):
        left += w[i]
        s += w[i] * ((x[i] - x[first]) - mean)
        rest = left * (mass - left)
        saved = s * s / rest if rest > 0.0 else 0.0
        if saved > most:
            node, most = i + 1, saved
    return node


@kernel
def nest(x: Float64, w: Float64, k: int, times: int, work: Workspace) -> Int32:
    """Best ``k`` cells, each cut in two ``times`` times: node indices of the finest.

    The cells of a coarser level end at every second, fourth, … of them. A cell of one point keeps
    it on the left; cells that have no point end where they start.
    """
    breaks = np.full(k + 1, x.size, np.int32)
    if x.size > k:
        breaks[:] = partition(x, w, k, work)[0]
    else:
        breaks[: x.size] = np.arange(x.size)
    for _ in range(times):
        finer = np.empty(2 * breaks.size - 1, np.int32)
        for c in range(breaks.size - 1):
            finer[2 * c] = breaks[c]
            finer[2 * c + 1] = cut(x, w, breaks[c], breaks[c + 1])
        finer[-1] = x.size
        breaks = finer
    return breaks


@kernel
def cell_values(x: Float64, w: Float64, breaks: Int32, values: Float64) -> None:
    """Write the mean of each cell; that before it where a cell is empty."""
    for c in range(values.size):
        first, last = breaks[c], breaks[c + 1]
        if first == last:
            values[c] = values[c - 1]
            continue
        mass = s = 0.0
        for i in range(first, last):
            mass += w[i]
            s += w[i] * (x[i] - x[first])
        values[c] = min(x[first] + s / mass, x[last - 1])


@kernel
def _nest_row(
    x: Float64, w: Float64, work: Workspace, table: Float64, edges: Float64, bounds: Float64
) -> None:
    """Codebooks of all levels one after another, finest edges, and mean bounds of one row.

    The data and the weights are scaled in place.
    """
    unit = 2.0 ** min(1000, max(-1000, math.frexp(max(abs(x[0]), abs(x[-1])))[1]))
    x *= 1.0 / unit
    w *= 1.0 / 2.0 ** math.frexp(w.max())[1]
    levels, finest = bounds.size, edges.size + 1
    k = finest >> (levels - 1)
    breaks = nest(x, w, k, levels - 1, work)
    for c in range(edges.size):
        edges[c] = x[breaks[c + 1] - 1] * unit
    start = 0
    for level in range(levels):
        size = k << level
        own = breaks[:: finest // size].copy()
        cell_values(x, w, own, table[start : start + size])
        start += size
        bounds[level] = 0.0
        if x.size > size:
            bounds[level] = partition(x, w, size, work)[1] / w.sum() * unit * unit
    table *= unit


@kernel
def nest_sorted_rows(
    ordered: Any, weight: Float64, work: Workspace, tables: Float64, edges: Float64, bounds: Float64
) -> None:
    """`_nest_row` for each row of a sorted matrix; empty ``weight`` counts."""
    room = np.empty((2, ordered.shape[1]))
    for r in range(ordered.shape[0]):
        m = merge_row(ordered, weight, r, room)
        _nest_row(room[0, :m], room[1, :m], work, tables[r], edges[r], bounds[r])


@kernel
def level_losses(
    x: NDArray[Any], weight: Any, codebooks: Float64, indices: Any, shift: int
) -> Float64:
    """Mean loss of each row at a level, of which an index is a finest one less ``shift`` bits."""
    losses = np.empty(x.shape[0])
    for r in range(x.shape[0]):
        total = mass = 0.0
        for i in range(x.shape[1]):
            w = weight[r, i] if weight.size else 1.0
            total += w * (x[r, i] - codebooks[r, indices[r, i] >> shift]) ** 2
            mass += w
        losses[r] = total / mass if mass > 0.0 else 0.0
    return losses

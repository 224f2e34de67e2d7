"""Many small problems of the exact optimum in one compiled call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.scalar._assign import _cell, thresholds
from solvq.scalar._kernels import Float64, Workspace, kernel, workspace
from solvq.scalar._partition import group_means, partition
from solvq.scalar._reduce import merge_equal, sorted_pairs


@kernel
def _solve_row(data: Float64, weights: Float64, k: int, work: Workspace, out: Float64) -> float:
    """Optimal codebook of one row's distinct data, written to ``out``; returns the mean bound.

    The data and the weights are scaled in place.
    """
    out[:] = data[-1]
    if data.size <= k:
        out[: data.size] = data
        return 0.0
    widest = max(abs(data[0]), abs(data[-1]))
    unit = 2.0 ** min(1000, max(-1000, math.frexp(widest)[1]))
    data *= 1.0 / unit
    weights *= 1.0 / 2.0 ** math.frexp(weights.max())[1]
    breaks, bound, _, _ = partition(data, weights, k, work)
    means, loss = group_means(data, weights, breaks)
    out[:k] = means * unit
    return min(bound, loss) / weights.sum() * unit * unit


@kernel
def merge_row(ordered: Any, weight: Float64, r: int, room: Float64) -> int:
    """`merge_equal` of a row; one of no weight counts, since any codebook will do for it."""
    none = np.empty(0)
    m = merge_equal(ordered[r], weight[r] if weight.size else none, room)
    return m if m > 0 else merge_equal(ordered[r], none, room)


@kernel
def _solve_sorted_rows(
    ordered: Any, weight: Float64, work: Workspace, codebooks: Float64, bounds: Float64
) -> None:
    """Codebook and mean lower bound of each row, sorted; empty ``weight`` counts."""
    room = np.empty((2, ordered.shape[1]))
    for r in range(ordered.shape[0]):
        m = merge_row(ordered, weight, r, room)
        bounds[r] = _solve_row(room[0, :m], room[1, :m], codebooks.shape[1], work, codebooks[r])


def solve_rows(x: NDArray[Any], weight: Float64 | None, k: int) -> tuple[Float64, Float64]:
    """Optimal codebooks (R, k) and mean lower bounds (R,) of the rows of ``x``.

    Rows with fewer than ``k`` distinct values repeat their largest.
    """
    if x.dtype.itemsize <= 2 or x.dtype.kind not in "fiu":
        x = x.astype(np.float32)
    codebooks, bounds = np.empty((x.shape[0], k)), np.empty(x.shape[0])
    if weight is None:
        ordered, weight = np.sort(x, axis=1), np.empty((0, 0))
    else:
        ordered, weight = sorted_pairs(x, weight)
    _solve_sorted_rows(ordered, weight, workspace(x.shape[1]), codebooks, bounds)
    return codebooks, bounds


@kernel
def _bucket(x: float, low: float, scale: float, last: int) -> int:
    """Number of an even division of the range that ``x`` falls into; never falls as ``x`` grows."""
    place = (x - low) * scale  # NaN where infinite differences meet a range without width
    if place >= last:
        return last
    return int(place) if place > 0.0 else 0


@kernel
def _guide(edges: Float64, first: Any) -> float:
    """Write the number of edges below each bucket, and of all of them; returns buckets per unit."""
    span = edges[-1] - edges[0] if edges.size else 0.0
    scale = (first.size - 1) / span if span > 1e-300 else 0.0
    first[:] = 0
    for edge in edges:
        first[_bucket(edge, edges[0], scale, first.size - 2) + 1] += 1
    for b in range(1, first.size):
        first[b] += first[b - 1]
    return scale


@kernel
def row_thresholds(codebooks: Float64) -> Float64:
    """Edges of the cells of nearest values of each row's codebook."""
    edges = np.empty((codebooks.shape[0], codebooks.shape[1] - 1))
    for r in range(codebooks.shape[0]):
        edges[r] = thresholds(codebooks[r])
    return edges


@kernel
def assign_rows(
    x: NDArray[Any], weight: Any, codebooks: Float64, cells: Float64, indices: Any
) -> Float64:
    """Indices of the cells of each row, given by their edges; returns the rows' mean losses.

    A table by even buckets answers most values, since a search mispredicts half of its branches.
    """
    losses = np.empty(x.shape[0])
    first = np.empty(2 + min(512, x.shape[1] // 4), np.int64)
    for r in range(x.shape[0]):
        codebook, edges = codebooks[r], cells[r]
        scale, low = _guide(edges, first), edges[0] if edges.size else 0.0
        total, mass = 0.0, 0.0
        for i in range(x.shape[1]):
            b = _bucket(x[r, i], low, scale, first.size - 2)
            c = _cell(x[r, i], edges, first[b], first[b + 1])
            indices[r, i] = c
            w = weight[r, i] if weight.size else 1.0
            total += w * (x[r, i] - codebook[c]) ** 2
            mass += w
        losses[r] = total / mass if mass > 0.0 else 0.0
    return losses

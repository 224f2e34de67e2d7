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

FEW = 32  # up to this many edges are all compared with each number


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
def _narrowed(edges: Float64, cuts: Any) -> None:
    """Largest numbers of the type of ``cuts`` that are not above the edges, and infinite ones."""
    cuts[:] = -np.inf
    for j in range(edges.size):
        down = cuts[j]
        cuts[j] = edges[j]
        if cuts[j] > edges[j]:
            cuts[j] = np.nextafter(cuts[j], down)
    cuts[edges.size :] = np.inf


@kernel
def _count_below(x: Any, cuts: Any, indices: Any) -> None:
    """Number of cuts below each of some numbers; four at once, without a branch."""
    indices[:] = 0
    for j in range(0, cuts.size, 4):
        a, b, c, d = cuts[j], cuts[j + 1], cuts[j + 2], cuts[j + 3]
        for i in range(np.uint64(x.size)):
            y = x[i]
            indices[i] += np.uint8(y > a) + np.uint8(y > b) + np.uint8(y > c) + np.uint8(y > d)


@kernel
def _look_up(x: Any, edges: Float64, first: Any, indices: Any) -> None:
    """Number of edges below each of some numbers.

    A table by even buckets answers most values, since a search mispredicts half of its branches.
    """
    scale, low = _guide(edges, first), edges[0] if edges.size else 0.0
    for i in range(x.size):
        b = _bucket(x[i], low, scale, first.size - 2)
        indices[i] = _cell(x[i], edges, first[b], first[b + 1])


@kernel
def _row_loss(x: Any, weight: Any, codebook: Float64, indices: Any) -> float:
    """Mean squared error of a row; empty ``weight`` counts.

    Four sums in a given order: no wait for each addition, and the same bits for any kind of array.
    """
    sums, mass = np.zeros(4), 0.0
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = x.size // 4 * 4 if weight.size == 0 else 0
    for i in range(np.uint64(0), np.uint64(whole), np.uint64(4)):
        j, k, m = i + np.uint64(1), i + np.uint64(2), i + np.uint64(3)
        a += (x[i] - codebook[indices[i]]) ** 2
        b += (x[j] - codebook[indices[j]]) ** 2
        c += (x[k] - codebook[indices[k]]) ** 2
        d += (x[m] - codebook[indices[m]]) ** 2
    for i in range(whole, x.size):
        w = weight[i] if weight.size else 1.0
        sums[i % 4] += w * (x[i] - codebook[indices[i]]) ** 2
        mass += w
    mass += whole
    total = (a + sums[0]) + (b + sums[1]) + ((c + sums[2]) + (d + sums[3]))
    return total / mass if mass > 0.0 else 0.0


@kernel
def assign_rows(
    x: NDArray[Any], weight: Any, codebooks: Float64, cells: Float64, indices: Any
) -> Float64:
    """Indices of the cells of each row of floats, given by their edges; returns the mean losses."""
    losses, none = np.empty(x.shape[0]), np.empty(0)
    first = np.empty(2 + min(512, x.shape[1] // 4), np.int64)
    cuts = np.empty((cells.shape[1] + 3) // 4 * 4, x.dtype)
    for r in range(x.shape[0]):
        if cells.shape[1] <= FEW:
            _narrowed(cells[r], cuts)
            _count_below(x[r], cuts, indices[r])
        else:
            _look_up(x[r], cells[r], first, indices[r])
        row = weight[r] if weight.size else none
        losses[r] = _row_loss(x[r], row, codebooks[r], indices[r])
    return losses

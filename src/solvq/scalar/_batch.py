"""Many small problems of the exact optimum in one compiled call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.scalar._assign import _cell, thresholds
from solvq.scalar._kernels import Float64, Workspace, kernel, workspace
from solvq.scalar._partition import group_means, partition
from solvq.scalar._reduce import merge_equal


@kernel
def _solve_row(data: Float64, weights: Float64, k: int, work: Workspace, out: Float64) -> float:
    """Optimal codebook of one row's distinct data, written to ``out``; returns the mean bound."""
    out[:] = data[-1]
    if data.size <= k:
        out[: data.size] = data
        return 0.0
    widest = max(abs(data[0]), abs(data[-1]))
    unit = 2.0 ** min(1000, max(-1000, math.frexp(widest)[1]))
    values = data / unit
    weights = weights / 2.0 ** math.frexp(weights.max())[1]
    breaks, bound, _, _ = partition(values, weights, k, work)
    means, loss = group_means(values, weights, breaks)
    out[:k] = means * unit
    return min(bound, loss) / weights.sum() * unit * unit


@kernel
def _solve_sorted_rows(
    ordered: Any, weight: Float64, work: Workspace, codebooks: Float64, bounds: Float64
) -> None:
    """Codebook and mean lower bound of each row, sorted; empty ``weight`` counts."""
    none, room = np.empty(0), np.empty((2, ordered.shape[1]))
    for r in range(ordered.shape[0]):
        m = merge_equal(ordered[r], weight[r] if weight.size else none, room)
        if m == 0:  # a row of no weight: any codebook will do, so the plain one
            m = merge_equal(ordered[r], none, room)
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
        order = np.argsort(x, axis=1)
        ordered = np.take_along_axis(x, order, axis=1)
        weight = np.take_along_axis(weight, order, axis=1)
    _solve_sorted_rows(ordered, weight, workspace(x.shape[1]), codebooks, bounds)
    return codebooks, bounds


@kernel
def assign_rows(x: NDArray[Any], weight: Any, codebooks: Float64, indices: Any) -> Float64:
    """Indices of the nearest entries of each row's codebook; returns the rows' mean losses."""
    losses = np.empty(x.shape[0])
    for r in range(x.shape[0]):
        codebook = codebooks[r]
        edges = thresholds(codebook)
        total, mass = 0.0, 0.0
        for i in range(x.shape[1]):
            c = _cell(x[r, i], edges, 0, edges.size)
            indices[r, i] = c
            w = weight[r, i] if weight.size else 1.0
            total += w * (x[r, i] - codebook[c]) ** 2
            mass += w
        losses[r] = total / mass if mass > 0.0 else 0.0
    return losses

"""Paths of merges: neighbouring blocks become one, the pair of the least penalty first.

Blocks are runs of sorted distinct values and are named by their first value; the node between two
blocks has the name of the right one. ``before`` and ``end`` link a block to its neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, Int32, kernel
from solvq.scalar._l1_kernels import STEEPEST, inverse_gaps
from solvq.scalar._queue import change, pop, queued


class Blocks(NamedTuple):
    """Weight, mean, block in front, and end of the block that starts at each value."""

    weight: Float64
    mean: Float64
    before: Int32
    end: Int32


@kernel
def _singles(u: Float64, w: Float64) -> Blocks:
    """Every value a block."""
    m = u.size
    before = np.arange(-1, m - 1).astype(np.int32)
    return Blocks(w.copy(), u.copy(), before, np.arange(1, m + 1).astype(np.int32))


@kernel
def _join(blocks: Blocks, a: int, b: int) -> float:
    """Make ``a`` and ``b`` one block, ``a``; returns the squared error that it adds."""
    share = blocks.weight[b] / (blocks.weight[a] + blocks.weight[b])
    gap = blocks.mean[b] - blocks.mean[a]
    added = blocks.weight[a] * share * gap * gap
    blocks.mean[a] += gap * share
    blocks.weight[a] += blocks.weight[b]
    blocks.end[a] = blocks.end[b]
    if blocks.end[a] < blocks.end.size:
        blocks.before[blocks.end[a]] = a
    return added


@kernel
def _meeting(blocks: Blocks, inverse: Float64, b: int) -> float:
    """Penalty at which a block takes the value of the one in front; infinite if they part."""
    a = blocks.before[b]
    slope = (inverse[b] - inverse[a]) / blocks.weight[a]
    slope -= (inverse[blocks.end[b]] - inverse[b]) / blocks.weight[b]
    return (blocks.mean[b] - blocks.mean[a]) / slope if slope > 0.0 else np.inf


@kernel
def _inverse(blocks: Blocks, b: int) -> float:
    """Inverse of the distance between the means of a block and the one in front; 0 at the ends."""
    if not 0 < b < blocks.end.size:
        return 0.0
    return min(1.0 / (blocks.mean[b] - blocks.mean[blocks.before[b]]), STEEPEST)


@kernel
def _refitted_meeting(blocks: Blocks, b: int) -> float:
    """`_meeting` with the distances between the means for the gaps of the data."""
    a = blocks.before[b]
    between = _inverse(blocks, b)
    slope = (between - _inverse(blocks, a)) / blocks.weight[a]
    slope += (between - _inverse(blocks, blocks.end[b])) / blocks.weight[b]
    return (blocks.mean[b] - blocks.mean[a]) / slope if slope > 0.0 else np.inf


@kernel
def merges(u: Float64, w: Float64, count: int) -> tuple[Float64, Float64, Int32]:
    """Follow the l1 path from no penalty until ``count`` blocks are left.

    Returns the penalty of each of the ``m - count`` merges, the sum of squared errors at the block
    means after it, and the node that it removed. O(m log m).
    """
    m, inverse, blocks = u.size, inverse_gaps(u), _singles(u, w)
    keys = np.zeros(m)
    for b in range(1, m):
        keys[b] = _meeting(blocks, inverse, b)
    queue = queued(keys)
    alpha, loss, removed = np.empty(m - count), np.empty(m - count), np.empty(m - count, np.int32)
    level, total = 0.0, 0.0
    for done in range(m - count):
        size = m - 1 - done
        key, b = pop(queue, size)
        a = blocks.before[b]
        level = max(level, key)  # rounding may put a knot in front of the one before
        total += _join(blocks, a, b)
        alpha[done], loss[done], removed[done] = level, total, b
        if a > 0:
            change(queue, size - 1, a, _meeting(blocks, inverse, a))
        if blocks.end[a] < m:
            change(queue, size - 1, blocks.end[a], _meeting(blocks, inverse, blocks.end[a]))
    return alpha, loss, removed


@kernel
def refitted_merges(u: Float64, w: Float64, count: int) -> tuple[float, Int32]:
    """Merge by the l1 penalty of the means as they are, until ``count`` blocks are left.

    After each merge the means, their weights and their distances take the place of the data.
    Returns the penalty of the last merge and the nodes removed. O(m log m).
    """
    m, blocks = u.size, _singles(u, w)
    keys = np.zeros(m)
    for b in range(1, m):
        keys[b] = _refitted_meeting(blocks, b)
    queue = queued(keys)
    alpha, removed = 0.0, np.empty(m - count, np.int32)
    for done in range(m - count):
        size = m - 1 - done
        alpha, b = pop(queue, size)
        a = blocks.before[b]
        _join(blocks, a, b)
        removed[done] = b
        node = blocks.before[a] if a > 0 else a  # the distances to two neighbours have changed,
        for _ in range(4):  # which bears on four pairs
            if 0 < node < m:
                change(queue, size - 1, node, _refitted_meeting(blocks, node))
            if node >= m:
                break
            node = blocks.end[node]
    return alpha, removed

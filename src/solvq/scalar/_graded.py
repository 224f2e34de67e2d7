"""A bound on the best partition from few of the points: the others are moved to their neighbours.

Take some of the sorted points as nodes and move the weight of every other point to the two nodes
around it, in the shares that keep its mean. The least squared distance to a codebook is ``x^2``
minus a convex function of ``x``, and moving a weight apart never lowers the mean of a convex
function: the best partition of the nodes, less what their ``x^2`` has grown by, is at most the best
partition of all points, at any count and at any penalty.

What the bound loses is of second order in the width of the cells between nodes in which a cluster
ends, and nothing where a cluster ends between nodes that are neighbouring points. So the nodes are
all points next to where the clusters are thought to end, and fewer with the distance from there
(`graded`): where the thought is right the bound is the optimum, up to rounding, and the proof of
it needs a probe of few nodes. Sums over the points between nodes are made from blocks of points.
``tests/oracles.py`` holds slow twins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, Int32, Workspace, kernel
from solvq.scalar._partition import _rounding, summing
from solvq.scalar._probe import probe, traced

BLOCK = 32  # points whose sums are made once


class Points(NamedTuple):
    """Sorted distinct points, their weights, and the sums of each block of `BLOCK` of them.

    ``mass`` is a block's weight, ``mean`` its weighted mean, ``spread`` its squared error to that.
    """

    x: Any
    w: Any
    mass: Any
    mean: Any
    spread: Any


@summing
def _block_sums(x: Float64, w: Float64, sums: Float64) -> None:
    """Write mass, mean and spread of the whole blocks to the rows of ``sums``."""
    for b in range(sums.shape[1]):
        base, mass, s, q = x[b * BLOCK], 0.0, 0.0, 0.0
        for i in range(np.uint64(b * BLOCK), np.uint64((b + 1) * BLOCK)):
            mass += w[i]
            s += w[i] * (x[i] - base)
        mean = base + s / mass
        for i in range(np.uint64(b * BLOCK), np.uint64((b + 1) * BLOCK)):
            q += w[i] * (x[i] - mean) ** 2
        sums[0, b], sums[1, b], sums[2, b] = mass, mean, q


def points(x: Float64, w: Float64) -> Points:
    """Points with the sums of their blocks."""
    sums = np.empty((3, x.size // BLOCK))
    _block_sums(x, w, sums)
    return Points(x, w, sums[0], sums[1], sums[2])


@summing
def _sums(data: Points, first: int, last: int, base: float) -> tuple[float, float, float]:
    """Weight, first and second moment around ``base`` of the points ``first .. last - 1``."""
    head = min(last, -(-first // BLOCK) * BLOCK)
    tail = max(head, last // BLOCK * BLOCK)
    mass, s, q = 0.0, 0.0, 0.0
    for i in range(np.uint64(first), np.uint64(head)):
        d = data.x[i] - base
        mass += data.w[i]
        s += data.w[i] * d
        q += data.w[i] * d * d
    for b in range(np.uint64(head // BLOCK), np.uint64(tail // BLOCK)):
        d = data.mean[b] - base
        mass += data.mass[b]
        s += data.mass[b] * d
        q += data.mass[b] * d * d + data.spread[b]
    for i in range(np.uint64(tail), np.uint64(last)):
        d = data.x[i] - base
        mass += data.w[i]
        s += data.w[i] * d
        q += data.w[i] * d * d
    return mass, s, q


@kernel
def fitted(data: Points, breaks: Int32) -> tuple[Float64, float]:
    """Weighted mean of each cluster and the squared error to these, from block sums."""
    means, loss = np.empty(breaks.size - 1), 0.0
    for c in range(means.size):
        first, last = breaks[c], breaks[c + 1]
        base = data.x[first]
        mass, s, _ = _sums(data, first, last, base)
        means[c] = base + s / mass
        loss += _sums(data, first, last, means[c])[2]
    return means, loss


@kernel
def _offsets(growth: float, finest: float, most: int) -> Int32:
    """Distances from a break at which a node is taken, at least the one beyond ``most``."""
    offsets = np.empty(most + 2, np.int32)
    offset, size = 0, 0
    while size == 0 or offsets[size - 1] <= most:
        offsets[size] = offset
        size += 1
        offset += max(1, int(np.sqrt(finest**2 + (growth * offset) ** 2) + 0.5))
    return offsets[:size]


@kernel
def graded(breaks: Int32, growth: float, finest: float) -> Int32:
    """Nodes: points whose distance grows by ``growth`` per point away from the nearest break."""
    most = 0
    for c in range(breaks.size - 1):
        most = max(most, (breaks[c + 1] - breaks[c]) >> 1)
    offsets = _offsets(growth, finest, most)
    nodes = np.empty(breaks[-1], np.int32)
    size = 0
    for c in range(breaks.size - 1):
        low, high = breaks[c], breaks[c + 1] - 1
        half, t = (high - low) >> 1, 0
        while offsets[t] <= half:
            nodes[size] = low + offsets[t]
            size += 1
            t += 1
        while t > 0 and offsets[t - 1] >= high - low - half:
            t -= 1
        for back in range(t - 1, -1, -1):
            nodes[size] = high - offsets[back]
            size += 1
    return nodes[:size]


@kernel
def _cell(data: Points, first: int, last: int, base: float) -> tuple[float, float, float]:
    """`_sums`, for the few points of most cells."""
    if last - first > 2 * BLOCK:
        return _sums(data, first, last, base)
    mass, s, q = 0.0, 0.0, 0.0
    for i in range(np.uint64(first), np.uint64(last)):
        d, a = data.x[i] - base, data.w[i]
        mass += a
        s += a * d
        q += a * d * d
    return mass, s, q


@kernel
def moved(data: Points, nodes: Int32) -> tuple[Float64, Float64, float]:
    """Nodes, their weights with those of the points between, and the growth of the sum of x^2."""
    x, w, grown = np.empty(nodes.size), np.empty(nodes.size), 0.0
    for i in range(nodes.size):
        x[i], w[i] = data.x[nodes[i]], data.w[nodes[i]]
    for i in range(nodes.size - 1):
        first, last = nodes[i] + 1, nodes[i + 1]
        if first < last:
            mass, s, q = _cell(data, first, last, x[i])
            width = x[i + 1] - x[i]
            above = min(s / width, mass)
            w[i] += mass - above
            w[i + 1] += above
            grown += max(0.0, width * s - q)
    return x, w, grown


@kernel
def first_above(x: Float64, edge: float, low: int, high: int) -> int:
    """First of the sorted points ``low..high - 1`` that is above an edge; ``high`` if none is."""
    while low < high:
        middle = (low + high) >> 1
        if x[middle] <= edge:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _placed(data: Points, nodes: Int32, ends: Int32, means: Float64) -> Int32:
    """Breaks of all points from those of the nodes: halfway between the means, in the cell."""
    breaks = np.empty(ends.size, np.int32)
    breaks[0], breaks[-1] = 0, data.x.size
    for c in range(1, ends.size - 1):
        edge = means[c - 1] + 0.5 * (means[c] - means[c - 1])
        breaks[c] = first_above(data.x, edge, nodes[ends[c] - 1] + 1, nodes[ends[c]])
    return breaks


@kernel
def refined(
    data: Points, breaks: Int32, k: int, penalty: float, scale: Any, work: Workspace
) -> tuple[Int32, float, int]:
    """Partition found at a penalty near some breaks, the bound for ``k``, and the nodes it took.

    ``scale`` is (growth, finest distance) of the nodes; see `graded`.
    """
    nodes = graded(breaks, scale[0], scale[1])
    x, w, grown = moved(data, nodes)
    count = probe(x, w, penalty, work)
    value = work.best[x.size]
    ends = traced(work, x.size, count)
    means = np.empty(count)
    for c in range(count):
        base, mass, s = x[ends[c]], 0.0, 0.0
        for i in range(ends[c], ends[c + 1]):
            mass += w[i]
            s += w[i] * (x[i] - base)
        means[c] = base + s / mass
    bound = value - k * penalty - grown - _rounding(k, data.x.size) * value
    return _placed(data, nodes, ends, means), bound, nodes.size

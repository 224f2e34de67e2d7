"""Partitions and bounds at many counts to a tolerance, from few cells of the points each.

As in `solvq.scalar._graded` the points between nodes are moved to these for a bound. Here the nodes
stand at the same share of each cluster, which costs every cluster the same share of its bound, and
the sums of a cell are differences of running sums, made once for each short frame of points. A
partition is found on merged cells: those that are wide draw no boundary, as moved points would.
The tests compare the sums with those of the points, and the nodes with `moved`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solvq.scalar._graded import BLOCK, Points, _cell, first_above, fitted
from solvq.scalar._kernels import Float64, Int32, Workspace, kernel
from solvq.scalar._partition import _rounding, search, summing
from solvq.scalar._probe import probe, traced

BITS = BLOCK.bit_length() - 1
TRUST = 2.0**20  # how much larger than a cell's a running sum may be
BLUR = 2.0**-28  # what differences of such may be off, as a share of mass times squared width


class Frames(NamedTuple):
    """Points, and the running sums of each block of them around its first.

    Row ``i + b`` of ``sums`` has point ``i`` of block ``b``, and weight, first and second moment of
    the points of the block that are before it; one more row for each block has them all.
    """

    points: Any
    sums: Any


@kernel
def _running(x: Float64, w: Float64, sums: Float64) -> None:
    """Write the running sums of all blocks."""
    row = np.uint64(0)
    for start in range(0, x.size, BLOCK):
        base, mass, s, q = x[start], 0.0, 0.0, 0.0
        for i in range(np.uint64(start), np.uint64(min(start + BLOCK, x.size))):
            d = x[i] - base
            sums[row, 0], sums[row, 1], sums[row, 2], sums[row, 3] = x[i], mass, s, q
            mass += w[i]
            s += w[i] * d
            q += w[i] * d * d
            row += np.uint64(1)
        sums[row, 0], sums[row, 1], sums[row, 2], sums[row, 3] = base, mass, s, q
        row += np.uint64(1)


def frames(data: Points) -> Frames:
    """Points with their running sums."""
    blocks = -(-data.x.size // BLOCK)
    sums = np.empty((data.x.size + blocks, 4))
    _running(data.x, data.w, sums)
    return Frames(data, sums)


@summing
def _cell_sums(points: Points, sums: Float64, firsts: Int32, lasts: Int32, out: Float64) -> None:
    """Write weight, first and second moment of the points ``first .. last - 1`` of each cell.

    The moments are around the cell's first point. The weight is negative where a running sum is so
    much larger than the cell's that the moments could be off.
    """
    x, masses, means, spreads = points.x, points.mass, points.mean, points.spread
    for t in range(firsts.size):
        first, last = firsts[t], lasts[t]
        b, c = first >> BITS, last >> BITS
        end = last if b == c else (b + 1) << BITS
        i, j = np.uint64(first + b), np.uint64(end + b)
        base, mass = sums[i, 0], sums[j, 1] - sums[i, 1]
        s, q = sums[j, 2] - sums[i, 2], sums[j, 3] - sums[i, 3]
        shift = sums[np.uint64(b * (BLOCK + 1)), 0] - base
        q += shift * (2.0 * s + mass * shift)
        s += mass * shift
        most, far = sums[j, 1], sums[j, 3]
        if b < c:
            for m in range(np.uint64(b + 1), np.uint64(c)):
                d = means[m] - base
                mass += masses[m]
                s += masses[m] * d
                q += masses[m] * d * d + spreads[m]
            j, shift = np.uint64(last + c), sums[np.uint64(c * (BLOCK + 1)), 0] - base
            part = sums[j, 2]
            q += sums[j, 3] + shift * (2.0 * part + sums[j, 1] * shift)
            s += part + sums[j, 1] * shift
            mass += sums[j, 1]
        width = x[np.uint64(last - 1)] - base
        sound = most <= TRUST * mass and far <= TRUST * mass * width * width
        out[0, t], out[1, t], out[2, t] = mass if sound else -1.0, s, q


@kernel
def cell_sums(frame: Frames, firsts: Int32, lasts: Int32) -> Float64:
    """Weight and moments around the first point of the points ``first .. last - 1`` of cells."""
    out, points = np.empty((3, firsts.size)), frame.points
    _cell_sums(points, frame.sums, firsts, lasts, out)
    for t in range(firsts.size):
        first = firsts[t]
        if firsts[t] >= lasts[t]:
            out[:, t] = 0.0
        elif lasts[t] == first + 1:
            out[0, t], out[1, t], out[2, t] = points.w[first], 0.0, 0.0
        elif out[0, t] < 0.0:
            found = _cell(points, first, lasts[t], points.x[first])
            out[0, t], out[1, t], out[2, t] = found
    return out


@kernel
def proportioned(breaks: Int32, growth: float, finest: float) -> Int32:
    """Nodes whose distance is a share of the cluster that grows away from the nearest break."""
    shares, share, size = np.empty(10_000), 0.0, 0
    while share < 0.5 and size < shares.size:
        shares[size] = share
        share += np.sqrt(finest**2 + (growth * share) ** 2)
        size += 1
    nodes, offsets, count = np.empty(breaks[-1], np.int32), np.empty(size, np.int32), 0
    for c in range(breaks.size - 1):
        low, high = breaks[c], breaks[c + 1] - 1
        half, t, offset = (high - low) >> 1, 0, -1
        while t < size:
            offset = max(offset + 1, int(shares[t] * (high - low)))
            if offset > half:
                break
            offsets[t] = offset
            nodes[count + t] = low + offset
            t += 1
        count += t
        while t > 0 and offsets[t - 1] >= high - low - half:
            t -= 1
        for back in range(t - 1, -1, -1):
            nodes[count] = high - offsets[back]
            count += 1
    return nodes[:count]


@kernel
def merged(frame: Frames, nodes: Int32) -> tuple[Float64, Float64]:
    """Mean and weight of the points from each node to the next."""
    lasts = np.append(nodes[1:], np.int32(frame.points.x.size))
    sums = cell_sums(frame, nodes, lasts)
    for i in range(nodes.size):
        sums[1, i] = frame.points.x[nodes[i]] + sums[1, i] / sums[0, i]
    return sums[1], sums[0]


@kernel
def spread(frame: Frames, nodes: Int32) -> tuple[Float64, Float64, float]:
    """Nodes, their weights with those of the points between, and the growth of the sum of x^2.

    The same as `solvq.scalar._graded.moved`, but for rounding, which the growth allows for.
    """
    points, grown = frame.points, 0.0
    x, w = np.empty(nodes.size), np.empty(nodes.size)
    for i in range(nodes.size):
        x[i], w[i] = points.x[nodes[i]], points.w[nodes[i]]
    sums = cell_sums(frame, nodes[:-1] + np.int32(1), nodes[1:])
    for i in range(nodes.size - 1):
        mass, s, q = sums[0, i], sums[1, i], sums[2, i]
        if mass > 0.0:
            shift, width = points.x[nodes[i] + 1] - x[i], x[i + 1] - x[i]
            q += shift * (2.0 * s + mass * shift)
            s += mass * shift
            above = min(s / width, mass)
            w[i] += mass - above
            w[i + 1] += above
            grown += max(0.0, width * s - q) + BLUR * mass * width * width
    return x, w, grown


@kernel
def _placed(points: Points, breaks: Int32, means: Float64) -> Int32:
    """Breaks halfway between the means of neighbouring clusters."""
    placed = breaks.copy()
    for c in range(1, breaks.size - 1):
        edge = means[c - 1] + 0.5 * (means[c] - means[c - 1])
        placed[c] = first_above(points.x, edge, breaks[c - 1] + 1, breaks[c + 1] - 1)
    return placed


@kernel
def settled(
    frame: Frames, centres: Int32, k: int, penalty: float, scale: Any, work: Workspace
) -> Any:
    """Partition into ``k`` found on merged cells near some breaks, and its summed error.

    ``scale`` is (growth, finest share) of the cells; see `proportioned`.
    """
    points = frame.points
    nodes = proportioned(centres, scale[0], scale[1])
    x, w = merged(frame, nodes)
    ends, _, _, _ = search(x, w, k, penalty, work)
    breaks = np.empty(k + 1, np.int32)
    for c in range(k):
        breaks[c] = nodes[ends[c]]
    breaks[k] = points.x.size
    means, loss = fitted(points, breaks)
    moved = _placed(points, breaks, means)
    if np.all(np.diff(moved) > 0):
        _, other = fitted(points, moved)
        if other < loss:
            return moved, other
    return breaks, loss


@kernel
def proved(
    frame: Frames, centres: Int32, k: int, penalty: float, scale: Any, work: Workspace
) -> Any:
    """Partition found at a penalty near some breaks, and the bound for ``k``."""
    nodes = proportioned(centres, scale[0], scale[1])
    x, w, grown = spread(frame, nodes)
    count = probe(x, w, penalty, work)
    value = work.best[x.size]
    ends = traced(work, x.size, count)
    bound = value - k * penalty - grown - _rounding(k, frame.points.x.size) * value
    breaks = np.empty(count + 1, np.int32)
    for c in range(count):
        breaks[c] = nodes[ends[c]]
    breaks[count] = frame.points.x.size
    return breaks, bound

"""Paths of merges: neighbouring blocks become one, the pair of the least penalty first.

Blocks are runs of sorted distinct values, numbered in order; the node between two blocks has the
number of the right one. ``before`` and ``end`` link a block to its neighbours.

The l1 path is followed in stages. The solution at a penalty tells which blocks have met by then,
and until then they meet only among themselves: each such group has a short path of its own, from a
small heap that stays in cache. A stage ends at the lower quartile of the penalties at which
neighbours would meet, so every stage is a fixed share shorter than the one before it; where that is
infinite, as on evenly spaced data, the rest is one group.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, Int32, kernel
from solvq.scalar._l1_kernels import STEEPEST, inverse_gaps, meeting, pool
from solvq.scalar._queue import Queue, change, fill, pop, queue

FEW = 16  # blocks that are one group at once
SAMPLE = 1024  # pairs, at least, of which the quartile is taken where there are more


class Blocks(NamedTuple):
    """Weight, mean, inverse gap in front, block in front, and block behind, of each block.

    There is one more inverse gap: that behind the last block.
    """

    weight: Any
    mean: Any
    inverse: Any
    before: Any
    end: Any


class Merges(NamedTuple):
    """Penalty of each merge, squared error that it adds, and node that it removes."""

    alpha: Any
    added: Any
    node: Any


class Knots(NamedTuple):
    """Merges in order: penalties, sums of squared errors at the means after each, and nodes."""

    alpha: Float64
    loss: Float64
    node: Int32


def _room(m: int) -> Blocks:
    """Room for blocks."""
    links = (np.empty(m, np.int32) for _ in range(2))
    return Blocks(np.empty(m), np.empty(m), np.empty(m + 1), *links)


@kernel
def _load(blocks: Blocks, mean: Float64, weight: Float64, inverse: Float64, span: Any) -> int:
    """Make the blocks those of a span, each linked to its neighbours; how many."""
    first, last = span
    for i in range(last - first):
        blocks.weight[i], blocks.mean[i] = weight[first + i], mean[first + i]
        blocks.inverse[i], blocks.before[i], blocks.end[i] = inverse[first + i], i - 1, i + 1
    blocks.inverse[last - first] = inverse[last]
    return last - first


@kernel
def _join(blocks: Blocks, a: int, b: int, size: int) -> float:
    """Make ``a`` and ``b`` one block, ``a``; returns the squared error that it adds."""
    share = blocks.weight[b] / (blocks.weight[a] + blocks.weight[b])
    gap = blocks.mean[b] - blocks.mean[a]
    added = blocks.weight[a] * share * gap * gap
    blocks.mean[a] += gap * share
    blocks.weight[a] += blocks.weight[b]
    blocks.end[a] = blocks.end[b]
    if blocks.end[a] < size:
        blocks.before[blocks.end[a]] = a
    return added


@kernel
def _meeting(blocks: Blocks, b: int) -> float:
    """`meeting` of a block and the one in front."""
    a, end = blocks.before[b], blocks.end[b]
    return meeting(blocks.mean, blocks.weight, blocks.inverse, a, b, end)


@kernel
def _gather(blocks: Blocks, size: int, heap: Queue, keys: Float64, out: Merges, done: int) -> int:
    """Merge blocks to one along their path and record it behind ``done``; the new ``done``."""
    for b in range(1, size):
        keys[b] = _meeting(blocks, b)
    fill(heap, keys, size - 1)
    level = 0.0
    for left in range(size - 2, -1, -1):
        key, b = pop(heap, left + 1)
        a = blocks.before[b]
        level = max(level, key)  # rounding may put a knot in front of the one before
        out.alpha[done], out.added[done], out.node[done] = level, _join(blocks, a, b, size), b
        done += 1
        if a > 0:
            change(heap, left, a, _meeting(blocks, a))
        if blocks.end[a] < size:
            change(heap, left, blocks.end[a], _meeting(blocks, blocks.end[a]))
    return done


@kernel
def _stage_end(mean: Float64, weight: Float64, inverse: Float64) -> float:
    """Quarter point of the penalties at which neighbours would meet, or at which some would."""
    size = mean.size
    if size <= FEW:
        return np.inf
    step = max(1, size // SAMPLE)
    meetings = np.empty((size - 2) // step + 1)
    for i in range(meetings.size):
        b = 1 + i * step
        meetings[i] = meeting(mean, weight, inverse, b - 1, b, b + 1)
    return np.partition(meetings, meetings.size // 4)[meetings.size // 4]


@kernel
def _stage(solved: Any, room: Blocks, heap: Queue, keys: Float64, out: Merges, done: int) -> Any:
    """Follow the path to the end of a stage; the blocks left and the new ``done``.

    ``solved`` are the means, weights, inverse gaps and first values of the blocks, and the penalty
    at which the stage before ended.
    """
    mean, weight, inverse, first, low = solved
    high = _stage_end(mean, weight, inverse)
    groups = np.array([0, mean.size], np.int32)
    if high < np.inf:
        groups, _ = pool(mean, weight, inverse, high)
    means, weights = np.empty(groups.size - 1), np.empty(groups.size - 1)
    for g in range(means.size):
        means[g], weights[g] = mean[groups[g]], weight[groups[g]]
        if groups[g + 1] == groups[g] + 1:
            continue
        size = _load(room, mean, weight, inverse, (groups[g], groups[g + 1]))
        end = _gather(room, size, heap, keys, out, done)
        for i in range(done, end):
            out.node[i] = first[groups[g] + out.node[i]]
            out.alpha[i] = min(max(out.alpha[i], low), high)
        done = end
        means[g], weights[g] = room.mean[0], room.weight[0]
    return (means, weights, inverse[groups], first[groups], high), done


def _ordered(alpha: Float64) -> Any:
    """Stable order of penalties; the plain sort is faster where none are equal."""
    order = np.argsort(alpha)
    level = alpha[order]
    return np.argsort(alpha, kind="stable") if (level[1:] == level[:-1]).any() else order


def merges(u: Float64, w: Float64, count: int) -> Knots:
    """Follow the l1 path from no penalty until ``count`` blocks are left. O(m log m)."""
    m = u.size
    out = Merges(np.empty(m - 1), np.empty(m - 1), np.empty(m - 1, np.int32))
    room, heap, keys = _room(m), queue(m), np.empty(m)
    solved = (u, w, inverse_gaps(u), np.arange(m + 1, dtype=np.int32), 0.0)
    done = 0
    while done < m - count:
        begun = done
        solved, done = _stage(solved, room, heap, keys, out, done)
        order = _ordered(out.alpha[begun:done])
        for column in out:
            column[begun:done] = column[begun:done][order]
    kept = slice(0, m - count)
    return Knots(out.alpha[kept], np.cumsum(out.added[kept]), out.node[kept])


@kernel
def _distance(blocks: Blocks, b: int, size: int) -> float:
    """Inverse of the distance between the means of a block and the one in front; 0 at the ends."""
    if not 0 < b < size:
        return 0.0
    return min(1.0 / (blocks.mean[b] - blocks.mean[blocks.before[b]]), STEEPEST)


@kernel
def _refitted_meeting(blocks: Blocks, b: int, size: int) -> float:
    """`_meeting` with the distances between the means for the gaps of the data."""
    a = blocks.before[b]
    between = _distance(blocks, b, size)
    slope = (between - _distance(blocks, a, size)) / blocks.weight[a]
    slope += (between - _distance(blocks, blocks.end[b], size)) / blocks.weight[b]
    return (blocks.mean[b] - blocks.mean[a]) / slope if slope > 0.0 else np.inf


@kernel
def _refitted_path(blocks: Blocks, size: int, heap: Queue, keys: Float64, removed: Int32) -> float:
    """Merge blocks by `_refitted_meeting`, write the nodes removed; the last penalty."""
    for b in range(1, size):
        keys[b] = _refitted_meeting(blocks, b, size)
    fill(heap, keys, size - 1)
    alpha = 0.0
    for done in range(removed.size):
        left = size - 2 - done
        alpha, b = pop(heap, left + 1)
        a = blocks.before[b]
        _join(blocks, a, b, size)
        removed[done] = b
        node = blocks.before[a] if a > 0 else a  # the distances to two neighbours have changed,
        for _ in range(4):  # which bears on four pairs
            if node >= size:
                break
            if node > 0:
                change(heap, left, node, _refitted_meeting(blocks, node, size))
            node = blocks.end[node]
    return alpha


def refitted_merges(u: Float64, w: Float64, count: int) -> tuple[float, Int32]:
    """Merge by the l1 penalty of the means as they are, until ``count`` blocks are left.

    After each merge the means, their weights and their distances take the place of the data.
    Returns the penalty of the last merge and the nodes removed. O(m log m).
    """
    m, removed = u.size, np.empty(u.size - count, np.int32)
    blocks = _room(m)
    _load(blocks, u, w, np.zeros(m + 1), (0, m))
    return _refitted_path(blocks, m, queue(m), np.empty(m), removed), removed

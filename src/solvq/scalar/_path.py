"""Best table out of a long grid, as a path of a wanted number of steps.

A table is a path over nodes whose steps have the concave Monge cost
``c(a, c) + c(b, d) <= c(a, d) + c(b, c)`` for ``a <= b <= c <= d``. There are two such paths, and
the one with fewer nodes is taken. The nodes are the grid entries, and a step costs what the data
between two chosen entries cost, cut at their midpoint. Or the nodes are the places between data,
and a step costs what its data cost at the grid entry that is nearest to their mean. An entry 0
that must be there is a large cost of stepping over its node, or a step of its own between the
negative data and the others. Prefix sums run outward from zero, where the grids are finest.
A probe finds the cheapest path at a penalty per step in O(N log N) (Galil, Park, Dynamic
programming with convexity, concavity and sparsity, 1992), and the penalty is searched as in
`solvq.scalar._partition`. ``tests/oracles.py`` tries all subsets.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, Int32, kernel
from solvq.scalar._partition import TIE, _next_penalty, _splice

PROBES = 100  # more than a search ever took; a stop in case rounding makes it go round


class Line(NamedTuple):
    """Sorted data, prefix sums of weight times powers of the value, and the nodes of a path.

    ``place[g]`` is the number of data up to a grid entry; it is empty where the nodes are places
    between data. ``zero`` is the entry, or the number of negative data, where 0 must be in the
    table, else -1. ``far`` is a cost above that of any table.
    """

    x: Any
    sums: Any
    grid: Any
    place: Any
    zero: int
    far: float


def _outward(x: Float64, w: Float64) -> Float64:
    """Prefix sums of ``w``, ``w x``, ``w x^2``, zero at the first datum that is not negative."""
    start = int(np.searchsorted(x, 0.0))
    sums = np.zeros((x.size + 1, 3))
    terms = w[:, None] * x[:, None] ** np.arange(3)
    sums[start + 1 :] = np.cumsum(terms[start:], axis=0)
    sums[:start] = -np.cumsum(terms[:start][::-1], axis=0)[::-1]
    return sums


def line(x: Float64, w: Float64, grid: Float64, keep_zero: bool) -> Line:
    """Path problem of sorted data and an ascending grid that is cut to their span."""
    reach = max(abs(x[0]), abs(x[-1])) + max(abs(grid[0]), abs(grid[-1]))
    far = 4.0 * float(w.sum()) * float(reach) ** 2
    if x.size <= grid.size:
        none = np.empty(0, np.int64)
        zero = int(np.searchsorted(x, 0.0)) if keep_zero else -1
        return Line(x, _outward(x, w), grid, none, zero, far)
    place = np.searchsorted(x, grid, side="right")
    zero = int(np.searchsorted(grid, 0.0)) if keep_zero else -1
    return Line(x, _outward(x, w), grid, place, zero, far)


@kernel
def _loss(sums: Float64, i: int, j: int, centre: float) -> float:
    """Weighted squared distance of the data ``i..j - 1`` to a value."""
    weight, s = sums[j, 0] - sums[i, 0], sums[j, 1] - sums[i, 1]
    return max(0.0, sums[j, 2] - sums[i, 2] - centre * (2.0 * s - centre * weight))


@kernel
def nearest_entry(grid: Float64, value: float) -> int:
    """Grid entry nearest to a value, the lower one on ties."""
    above = int(np.searchsorted(grid, value))
    if above == grid.size:
        return above - 1
    if above > 0 and value - grid[above - 1] <= grid[above] - value:
        return above - 1
    return above


@kernel
def _cell(line: Line, i: int, j: int) -> tuple[int, int]:
    """Data between two nodes that are places between data."""
    if line.zero < 0:
        return i, j
    return i - (i > line.zero), j - (j > line.zero)


@kernel
def best_entry(line: Line, i: int, j: int) -> int:
    """Grid entry nearest to the mean of the data ``i..j - 1``, of which there is one at least."""
    weight, s = line.sums[j, 0] - line.sums[i, 0], line.sums[j, 1] - line.sums[i, 1]
    low, high = line.x[i], line.x[j - 1]
    mean = min(max(s / weight, low), high) if weight > 0.0 else low
    return nearest_entry(line.grid, mean)


@kernel
def _cost(line: Line, i: int, j: int) -> float:
    """Cost of a step between two nodes."""
    sums, grid = line.sums, line.grid
    if line.place.size == 0:
        first, last = _cell(line, i, j)
        if line.zero >= 0 and i <= line.zero < j:
            return sums[last, 2] - sums[first, 2]
        return _loss(sums, first, last, grid[best_entry(line, first, last)])
    end = grid.size + 1
    cost = line.far if j - i == end else 0.0  # a table without entries
    if line.zero >= 0 and i < line.zero + 1 < j:
        cost += line.far
    if i == 0:
        cut = 0
    elif j == end:
        cut = line.x.size
    else:
        cut = np.searchsorted(line.x, grid[i - 1] + 0.5 * (grid[j - 1] - grid[i - 1]), side="right")
    if i > 0:
        cost += _loss(sums, line.place[i - 1], cut, grid[i - 1])
    if j < end:
        cost += _loss(sums, cut, line.place[j - 1], grid[j - 1])
    return cost


@kernel
def _last_node(line: Line) -> int:
    """Number of the node at which every path ends."""
    if line.place.size == 0:
        return line.x.size + (line.zero >= 0)
    return line.grid.size + 1


@kernel
def _push(line: Line, best: Float64, queue: Int32, tail: int, j: int) -> int:
    """Let node ``j`` start steps from where it is better than all before; returns the new tail.

    Row 0 of ``queue`` holds starts of steps, row 1 the first node for which each is the best.
    """
    end, good = best.size - 1, j + 1
    while tail > 0:
        other, bad = queue[0, tail - 1], max(queue[1, tail - 1], j + 1)
        if best[j] + _cost(line, j, bad) >= best[other] + _cost(line, other, bad):
            if best[j] + _cost(line, j, end) >= best[other] + _cost(line, other, end):
                return tail
            good = end
            while good - bad > 1:
                node = (good + bad) >> 1
                if best[j] + _cost(line, j, node) < best[other] + _cost(line, other, node):
                    good = node
                else:
                    bad = node
            break
        tail -= 1
    queue[0, tail], queue[1, tail] = j, good
    return tail + 1


@kernel
def cheapest(line: Line, penalty: float) -> tuple[float, Int32]:
    """Cheapest path with a penalty per step: its penalised cost, and its nodes."""
    end = _last_node(line)
    best, back = np.zeros(end + 1), np.zeros(end + 1, np.int32)
    queue = np.zeros((2, end + 1), np.int32)
    queue[1, 0] = 1
    head, tail = 0, 1
    for j in range(1, end + 1):
        while head + 1 < tail and queue[1, head + 1] <= j:
            head += 1
        head = min(head, tail - 1)
        best[j] = best[queue[0, head]] + _cost(line, queue[0, head], j) + penalty
        back[j] = queue[0, head]
        if j < end:
            tail = head + _push(line, best, queue[:, head:], tail - head, j)
    nodes = [end]
    while nodes[-1] > 0:
        nodes.append(back[nodes[-1]])
    return best[end], np.array(nodes[::-1], np.int32)


@kernel
def _path_cost(line: Line, nodes: Int32) -> float:
    """Cost of a path without penalties."""
    total = 0.0
    for i in range(nodes.size - 1):
        total += _cost(line, nodes[i], nodes[i + 1])
    return total


@kernel
def best_path(line: Line, steps: int) -> Int32:
    """Nodes of the cheapest path of ``steps`` steps, or of one step a node if these are fewer."""
    end = _last_node(line)
    few, many = np.array([0, end], np.int32), np.arange(end + 1).astype(np.int32)
    if steps >= end:
        return many
    fewer = np.array([1.0, _path_cost(line, few), np.inf])
    if steps == 1:
        return few
    more = np.array([float(end), _path_cost(line, many), 0.0])
    last, chord = np.zeros(3), False
    penalty = line.far / (8.0 * steps**3)
    for _ in range(PROBES):
        value, nodes = cheapest(line, penalty)
        count = nodes.size - 1
        if count == steps:
            return nodes
        flat = value >= (fewer[1] + fewer[0] * penalty) * (1.0 - TIE)
        if chord and (flat or not fewer[0] < count < more[0]):
            break
        before, last = last, np.array([count, _path_cost(line, nodes), penalty])
        if count < steps:
            few, fewer = nodes, last
        else:
            many, more = nodes, last
        penalty = _next_penalty(steps, fewer, more, before, last)
        chord = penalty == 0.0
        if chord:
            penalty = max(0.0, (fewer[1] - more[1]) / (more[0] - fewer[0]))
    return _splice(few, many, steps)


def path_table(line: Line, n_values: int) -> Float64:
    """Best table of at most ``n_values`` entries, ascending; not all need be of use."""
    if line.place.size:
        return np.asarray(line.grid[best_path(line, n_values + 1)[1:-1] - 1])
    nodes = best_path(line, n_values)
    table = []
    for i, j in pairwise(nodes):
        first, last = _cell(line, int(i), int(j))
        zero = line.zero >= 0 and i <= line.zero < j
        table.append(0.0 if zero else line.grid[best_entry(line, first, last)])
    return np.unique(table)

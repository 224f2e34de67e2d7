"""The best free values beside a zero.

An entry 0 parts the data: no negative datum is nearest to a positive entry, nor the reverse. Each
side is a partition of its magnitudes whose lowest part has the value 0 and no price; for a penalty
per value a probe of the mirrored magnitudes finds the best such partition. Its cost is convex in
the count, as it is without the zero, so one penalty serves both sides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, Int32, Workspace, workspace
from solvq.scalar._partition import TIE, _next_penalty, _splice, first_penalty, group_means
from solvq.scalar._probe import probe

PROBES = 100  # more than a search ever took; a stop in case rounding makes it go round


class _Side(NamedTuple):
    """Magnitudes of one sign from the largest down, negated, with what a zero would cost them."""

    x: Float64
    w: Float64
    at_zero: Float64
    work: Workspace


class _Tables(NamedTuple):
    """Nodes of the parts of each side, the last one of value 0; their count, loss and penalty."""

    nodes: list[Int32]
    state: Float64


def _side(x: Float64, w: Float64) -> _Side:
    """Side of ascending positive values; empty ones too."""
    costs = np.concatenate([[0.0], np.cumsum(w * x * x)])[::-1]
    return _Side(-x[::-1], w[::-1].copy(), costs, workspace(x.size))


def _probed(side: _Side, penalty: float) -> tuple[float, Int32]:
    """Least penalised cost of a side, and its nodes."""
    m = side.x.size
    probe(side.x, side.w, penalty, side.work)
    costs = side.work.best[: m + 1] + side.at_zero
    nodes = [m + 1, int(np.argmin(costs))]
    while nodes[-1] > 0:
        nodes.append(int(side.work.back[nodes[-1]]))
    return float(costs.min()), np.array(nodes[::-1], np.int32)


def _described(sides: list[_Side], nodes: list[Int32], penalty: float) -> _Tables:
    """Tables with their count, the zero included, loss and penalty."""
    loss = 0.0
    for side, path in zip(sides, nodes, strict=True):
        loss += side.at_zero[path[-2]]
        if path.size > 2:
            loss += group_means(side.x, side.w, path[:-1])[1]
    count = 1 + sum(path.size - 2 for path in nodes)
    return _Tables(nodes, np.array([float(count), loss, penalty]))


def _between(fewer: _Tables, more: _Tables, n_values: int) -> list[Int32]:
    """Nodes for ``n_values`` from two tables that are optimal at one penalty."""
    missing, found = n_values - int(fewer.state[0]), []
    for short, long in zip(fewer.nodes, more.nodes, strict=True):
        extra = min(missing, max(0, long.size - short.size))
        found.append(_splice(short, long, short.size - 1 + extra) if extra else short)
        missing -= extra
    return found


def _search(sides: list[_Side], n_values: int) -> list[Int32]:
    """Nodes of the best table of ``n_values`` values, the zero included."""
    sizes = [side.x.size for side in sides]
    fewer = _described(sides, [np.array([0, m + 1], np.int32) for m in sizes], np.inf)
    more = _described(sides, [np.arange(m + 2).astype(np.int32) for m in sizes], 0.0)
    if n_values == 1:
        return fewer.nodes
    last, chord = np.zeros(3), False
    longest = max(sides, key=lambda side: side.x.size)
    penalty = first_penalty(longest.x, longest.w, min(n_values, max(sizes)))
    for _ in range(PROBES):
        probes = [_probed(side, penalty) for side in sides]
        tried = _described(sides, [nodes for _, nodes in probes], penalty)
        count, value = tried.state[0], penalty + sum(cost for cost, _ in probes)
        if count == n_values:
            return tried.nodes
        flat = value >= (fewer.state[1] + fewer.state[0] * penalty) * (1.0 - TIE)
        if chord and (flat or not fewer.state[0] < count < more.state[0]):
            break
        before, last = last, tried.state
        fewer, more = (tried, more) if count < n_values else (fewer, tried)
        penalty = _next_penalty(n_values, fewer.state, more.state, before, last)
        chord = penalty == 0.0
        if chord:
            drop = fewer.state[1] - more.state[1]
            penalty = max(0.0, drop / (more.state[0] - fewer.state[0]))
    return _between(fewer, more, n_values)


def anchored_table(x: Float64, w: Float64, n_values: int) -> Float64:
    """Best table of ``n_values`` values, one of them 0, for sorted distinct data."""
    if np.count_nonzero(x) < n_values:
        return np.unique(np.append(x, 0.0))
    ends = [(-x[x < 0.0][::-1], w[x < 0.0][::-1], -1.0), (x[x > 0.0], w[x > 0.0], 1.0)]
    ends = [end for end in ends if end[0].size]
    sides = [_side(magnitudes, weights) for magnitudes, weights, _ in ends]
    table = [np.zeros(1)]
    for side, nodes, end in zip(sides, _search(sides, n_values), ends, strict=True):
        if nodes.size > 2:
            table.append(-end[2] * group_means(side.x, side.w, nodes[:-1])[0])
    return np.unique(np.concatenate(table))

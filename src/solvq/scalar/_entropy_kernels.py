"""Cheapest intervals of sorted weighted points when an index costs its entropy.

Masses are fractions of the whole. A cell of mass ``p`` costs its weighted squared error about its
mean minus ``price * p ln p``, so that the cells together cost the mean squared error plus ``price``
times the entropy of the indices, in nats. ``docs/scalar.md`` has the mathematics;
``tests/oracles.py`` the twin that tries every partition.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, Int32, kernel

LIGHTEST = 1e-300  # stands for a mass that rounding has lost
STRIDE = 8  # starts between two tests whether any that is left can be best


class Scratch(NamedTuple):
    """Room for ``m`` points, of length ``m + 1``.

    ``best[j]`` is the least cost of the first ``j`` points, ``back[j]`` where its last cell starts,
    and ``mass[j]`` their mass.
    """

    best: Any
    back: Any
    mass: Any


def scratch(w: Float64) -> Scratch:
    """Room for points of such masses."""
    mass = np.concatenate([[0.0], np.cumsum(w)])
    return Scratch(np.zeros(w.size + 1), np.zeros(w.size + 1, np.int32), mass)


@kernel
def _nats(p: float) -> float:
    """Share of a cell of mass ``p`` in the entropy."""
    p = p if p > LIGHTEST else LIGHTEST
    return -p * np.log(p)


@kernel
def _limits(before: float, near: float, price: float) -> tuple[float, float]:
    """For a cell of mass ``near`` behind points of mass ``before``: prices of entropy.

    The most that making it a cell of its own adds to that of a longer one, and the least that a
    longer one pays: that share of the entropy is concave in the mass, hence least at an end.
    """
    whole = _nats(before + near)
    added = _nats(before) + _nats(near) - whole
    return 1.000001 * price * max(0.0, added), 0.999999 * price * max(0.0, min(_nats(near), whole))


@kernel
def _last_cell(x: Float64, w: Float64, price: float, work: Scratch, j: int) -> tuple[int, float]:
    """Start of the last cell of the first ``j`` points, and their least cost.

    Starts are tried downwards. Let ``t`` be the best so far: cutting a longer cell there saves the
    more error the longer it is, and adds at most what it adds to a cell from the first point on.
    Where the error saved is more, no longer cell can be best.
    """
    row, value, limit, paid, settled = j, np.inf, 0.0, 0.0, j
    p = s = q = 0.0  # mass and moments about x[j - 1]
    near = near_s = far = far_s = 0.0  # those behind the best start, and in front of it
    for i in range(j - 1, -1, -1):
        d = x[i] - x[j - 1]
        p += w[i]
        s += w[i] * d
        q += w[i] * d * d
        far += w[i]
        far_s += w[i] * d
        mass = p if p > LIGHTEST else LIGHTEST
        error = q - s * s / mass
        cost = work.best[i] + (error if error > 0.0 else 0.0)
        if cost + paid < value:
            cost -= price * mass * np.log(mass)
            if cost < value:
                row, value, near, near_s, paid = i, cost, p, s, 0.0
                far = far_s = 0.0
                continue
        if i % STRIDE == 0:
            if settled != row:
                limit, paid = _limits(work.mass[row], near, price)
                settled = row
            across = far_s * near - near_s * far
            if across * across > limit * (near * far * p):
                break
    return row, value


@kernel
def cheapest(x: Float64, w: Float64, price: float, work: Scratch) -> Int32:
    """Node indices of the cheapest cells; their cost is then ``work.best[-1]``.

    Exact, for O(m) points times those of a few cells.
    """
    m = x.size
    work.best[0] = 0.0
    for j in range(1, m + 1):
        work.back[j], work.best[j] = _last_cell(x, w, price, work, j)
    count, node = 0, m
    while node > 0:
        node = work.back[node]
        count += 1
    breaks, node = np.empty(count + 1, np.int32), m
    for c in range(count, -1, -1):
        breaks[c] = node
        node = work.back[node]
    return breaks


@kernel
def spread_out(x: Float64, w: Float64, nodes: Int32) -> tuple[Float64, float]:
    """Mass of each datum divided among the two chosen data around it, its mean kept.

    Returns the masses of the chosen data, which include the first and the last, and by how much
    the division raises the second moment.
    """
    mass, raised = np.zeros(nodes.size), 0.0
    for c in range(nodes.size - 1):
        low, high = x[nodes[c]], x[nodes[c + 1]]
        for i in range(nodes[c], nodes[c + 1]):
            share = (x[i] - low) / (high - low)
            mass[c] += w[i] * (1.0 - share)
            mass[c + 1] += w[i] * share
            raised += w[i] * (high - x[i]) * (x[i] - low)
    mass[-1] += w[nodes[-1]]
    return mass, raised


@kernel
def threshold(values: Float64, masses: Float64, price: float, low: int, high: int) -> float:
    """Where the lower of two values stops being the cheaper one, length of its index included."""
    a, b = values[low], values[high]
    lengths = np.log(max(masses[low], LIGHTEST)) - np.log(max(masses[high], LIGHTEST))
    return a + 0.5 * (b - a) + 0.5 * price * lengths / (b - a)


@kernel
def _redrawn(x: Float64, values: Float64, masses: Float64, price: float) -> Int32:
    """Cells of the points at their cheapest values; values that no point takes are left out."""
    kept, starts = np.empty(values.size, np.int32), np.empty(values.size)
    size = 0
    for c in range(values.size):
        start = -np.inf
        while size > 0:
            start = threshold(values, masses, price, kept[size - 1], c)
            if start > starts[size - 1]:
                break
            size -= 1
            start = -np.inf
        kept[size], starts[size] = c, start
        size += 1
    breaks = np.empty(size + 1, np.int32)
    breaks[0] = 0
    for c in range(1, size):
        breaks[c] = np.searchsorted(x, starts[c], side="right")
    breaks[size] = x.size
    return np.unique(breaks)


@kernel
def described(mass: Float64, sums: Float64, breaks: Int32) -> tuple[Float64, Float64]:
    """Means and masses of cells, from prefix sums."""
    values, masses = np.empty(breaks.size - 1), np.empty(breaks.size - 1)
    for c in range(values.size):
        masses[c] = mass[breaks[c + 1]] - mass[breaks[c]]
        s = sums[breaks[c + 1]] - sums[breaks[c]]
        values[c] = s / (masses[c] if masses[c] > 0.0 else LIGHTEST)
    return values, masses


@kernel
def descended(
    x: Float64, mass: Float64, sums: Float64, breaks: Int32, price: float, max_iter: int
) -> Int32:
    """Cells after alternating values and lengths with cells, until none moves or ``max_iter``."""
    for _ in range(max_iter):
        values, masses = described(mass, sums, breaks)
        ascending = True
        for c in range(values.size - 1):
            ascending &= values[c] < values[c + 1]
        if not ascending:  # cells that rounding cannot tell apart
            break
        moved = _redrawn(x, values, masses, price)
        if np.array_equal(moved, breaks):
            break
        breaks = moved
    return breaks

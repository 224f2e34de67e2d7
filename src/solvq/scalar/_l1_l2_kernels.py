"""Least squares with ``alpha |a| + square / 2 a^2`` on the steps, on sorted distinct values.

The notation is that of `solvq.scalar._l1_kernels`, with ``a_j = (x_j - x_(j-1)) / d_j`` and, in the
anchored form, ``a_0 = x_0 / u_0``. Given the signs of the steps, the blocks between them solve a
tridiagonal system: masses on a line, joined by springs of stiffness ``square / d^2``. The signs are
found by an active set: the solution moves towards that of the present signs until a step vanishes,
which then stays closed; where no step vanishes on the way, the steps whose multipliers exceed
``alpha`` are opened. The objective falls, so it ends; from the solution for ``square = 0`` it
seldom needs more than three rounds. With ``square < 0`` close to where the problem ceases to be
convex, steps may be negative.
"""

from __future__ import annotations

import numpy as np

from solvq.scalar._kernels import Float64, Int32, kernel
from solvq.scalar._l1_kernels import Levels, block_sums

ROUND = 1e-12  # relative excess of a multiplier that is taken for rounding
ROUNDS = 10_000  # a stop in case that rounding makes the active set go in circles


@kernel
def _chain(weight: Float64, mean: Float64, pull: Float64, spring: Float64) -> Float64:
    """Values of blocks with forces and springs at their ends, the first joined to a fixed zero.

    Solved for the distances to the means, by an elimination that adds stiffnesses in series: for
    positive springs nothing cancels.
    """
    k = weight.size
    stiff, force, moved = np.empty(k), np.empty(k), np.zeros(k + 1)
    for c in range(k):
        force[c] = pull[c + 1] - pull[c] - spring[c] * (mean[c] - (mean[c - 1] if c > 0 else 0.0))
        if c + 1 < k:
            force[c] += spring[c + 1] * (mean[c + 1] - mean[c])
        share = spring[c] / (stiff[c - 1] + spring[c]) if c > 0 else 0.0
        stiff[c] = weight[c] + (stiff[c - 1] * share if c > 0 else spring[0])
        force[c] += force[c - 1] * share if c > 0 else 0.0
    for c in range(k - 1, -1, -1):
        behind = spring[c + 1] if c + 1 < k else 0.0
        moved[c] = (force[c] + behind * moved[c + 1]) / (stiff[c] + behind)
    return mean + moved[:k]


@kernel
def _levels(u: Float64, w: Float64, sign: Int32, inverse: Float64, cost: Float64) -> Levels:
    """Solution of the present signs; ``inverse[0]`` is 0 if the first value is free."""
    alpha, square = cost
    marks = sign != 0
    marks[0] = marks[-1] = True
    breaks = np.flatnonzero(marks).astype(np.int32)
    weight, mean = block_sums(u, w, breaks)
    ends = inverse[breaks]
    pull, spring = alpha * sign[breaks] * ends, square * ends * ends
    if inverse[0] == 0.0 or sign[0] != 0:
        return Levels(breaks, _chain(weight, mean, pull, spring))
    values = np.zeros(mean.size)  # a first value that is penalised, and closed, is zero
    values[1:] = _chain(weight[1:], mean[1:], pull[1:], spring[1:])
    return Levels(breaks, values)


@kernel
def _coefficients(levels: Levels, inverse: Float64) -> Float64:
    """Steps of a solution over their gaps; that of a free first value is 0."""
    a = np.zeros(inverse.size)
    for c in range(levels.values.size):
        before = levels.values[c - 1] if c > 0 else 0.0
        node = levels.breaks[c]
        a[node] = (levels.values[c] - before) * inverse[node]
    return a


@kernel
def _advance(a: Float64, towards: Float64, sign: Int32) -> bool:
    """Move coefficients until one vanishes, which is closed; whether one did."""
    share = 1.0
    for j in range(sign.size):
        if sign[j] != 0 and towards[j] * sign[j] <= 0.0:
            share = min(share, a[j] / (a[j] - towards[j]) if a[j] != 0.0 else 0.0)
    closed = False
    for j in range(sign.size):
        moved = a[j] + share * (towards[j] - a[j])
        if sign[j] != 0 and towards[j] * sign[j] <= 0.0 and moved * sign[j] <= 1e-15 * abs(a[j]):
            sign[j], moved, closed = 0, 0.0, True
        a[j] = moved
    return closed


@kernel
def _open(u: Float64, w: Float64, levels: Levels, sign: Int32, limit: Float64) -> int:
    """Open the closed steps whose multipliers exceed their limit; how many."""
    opened, behind = 0, 0.0
    c = levels.values.size - 1
    for j in range(u.size - 1, -1, -1):
        behind += w[j] * (u[j] - levels.values[c])
        if levels.breaks[c] == j:
            c -= 1
        if sign[j] == 0 and abs(behind) > limit[j]:
            sign[j] = np.int32(np.sign(behind) * (np.sign(u[0]) if j == 0 else 1.0))
            opened += 1
    return opened


@kernel
def ridged(u: Float64, w: Float64, start: Levels, inverse: Float64, cost: Float64) -> Levels:
    """Solve for ``cost = (alpha, square)`` from the solution for ``square = 0``.

    ``inverse`` holds the inverse gaps, the first 0 or, in the anchored form, that to zero.
    """
    a = _coefficients(start, inverse)
    sign = np.sign(a).astype(np.int32)
    limit = cost[0] * (1.0 + ROUND) * np.abs(inverse)
    if inverse[0] == 0.0:
        limit[0] = np.inf
    levels = start
    for _ in range(ROUNDS):
        levels = _levels(u, w, sign, inverse, cost)
        closed = _advance(a, _coefficients(levels, inverse), sign)
        if not closed and _open(u, w, levels, sign, limit) == 0:
            break
    return levels

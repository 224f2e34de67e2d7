"""Which option each tensor gets, within a limit on the sum of a cost.

Of every tensor one option is chosen: a point (cost, loss). Over the lower hulls of the points the
best choice is that of equal slope; the slope at which the limit is met also gives a lower bound of
the loss of every choice within the limit (Lagrange). What the hulls leave of the limit is filled
with the single changes that save most; `refined` solves the whole problem, a multiple-choice
knapsack, by dynamic programming over a grid of costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64

Points = Float64  # (n, 2): cost, loss
STEPS = 100  # of the grid per tensor, at least, and
LEAST, MOST = 1 << 12, 1 << 16  # in all


class Allocation(NamedTuple):
    """Chosen point of each tensor, the proven least loss within the limit, and the slope there.

    ``slope`` is what the loss falls by for a unit of the cost.
    """

    chosen: list[int]
    loss: float
    bound: float
    slope: float


def hull(points: Points) -> list[int]:
    """Indices of the lower left convex hull, by ascending cost and falling loss."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    found: list[int] = []
    for i in order:
        if found and points[i, 1] >= points[found[-1], 1]:
            continue
        while len(found) > 1:
            (x0, y0), (x1, y1), (x2, y2) = points[found[-2]], points[found[-1]], points[i]
            if (y0 - y1) * (x2 - x1) > (y1 - y2) * (x1 - x0):
                break
            found.pop()
        found.append(int(i))
    return found


def _steps(hulls: list[tuple[Points, list[int]]]) -> list[tuple[float, int, int]]:
    """Slope, tensor and place of every step along the hulls, the steepest first."""
    steps = []
    for t, (points, corners) in enumerate(hulls):
        for place in range(1, len(corners)):
            cost, loss = points[corners[place]] - points[corners[place - 1]]
            steps.append((-loss / cost, t, place))
    return sorted(steps, key=lambda step: (-step[0], step[1], step[2]))


def _fill(tensors: Sequence[Points], chosen: list[int], room: float) -> None:
    """Change single tensors while that saves loss and fits into the room."""
    while True:
        best, which = 0.0, (-1, -1)
        for t, points in enumerate(tensors):
            cost, loss = points[chosen[t]]
            saved = np.where(points[:, 0] - cost <= room, loss - points[:, 1], 0.0)
            place = int(np.argmax(saved))
            if saved[place] > best:
                best, which = float(saved[place]), (t, place)
        t, place = which
        if t < 0:
            return
        room -= tensors[t][place, 0] - tensors[t][chosen[t], 0]
        chosen[t] = place


def allocate(tensors: Sequence[Points], limit: float) -> Allocation | None:
    """Choice of nearly least loss within a limit on the cost; None if all choices cost more."""
    hulls = [(points, hull(points)) for points in tensors]
    chosen = [corners[0] for _, corners in hulls]
    room = limit - sum(float(points[c, 0]) for points, c in zip(tensors, chosen, strict=True))
    if room < 0.0:
        return None
    slope, stopped = 0.0, set[int]()
    for steep, t, place in _steps(hulls):
        points, corners = hulls[t]
        cost = float(points[corners[place], 0] - points[corners[place - 1], 0])
        if t in stopped or cost > room:
            slope = slope or steep
            stopped.add(t)
            continue
        chosen[t] = corners[place]
        room -= cost
    bound = sum(float((p[:, 1] + slope * p[:, 0]).min()) for p in tensors) - slope * limit
    _fill(tensors, chosen, room)
    return _finished(tensors, chosen, Allocation(chosen, 0.0, max(0.0, bound), slope))


def _finished(tensors: Sequence[Points], chosen: list[int], before: Allocation) -> Allocation:
    """Another choice under the bound of one."""
    loss = sum(float(points[c, 1]) for points, c in zip(tensors, chosen, strict=True))
    return before._replace(chosen=chosen, loss=loss, bound=min(loss, before.bound))


def refined(tensors: Sequence[Points], limit: float, before: Allocation) -> Allocation:
    """The better one of a choice and of the best on a grid of costs, rounded up."""
    cheapest = [float(points[:, 0].min()) for points in tensors]
    room = limit - sum(cheapest)
    steps = int(min(MOST, max(LEAST, STEPS * len(tensors))))
    if room <= 0.0 or before.loss <= before.bound:
        return before
    best = np.zeros(steps + 1)  # least loss of the tensors so far, by grid cost
    taken = np.zeros((len(tensors), steps + 1), np.int32)
    units = [
        np.minimum(np.ceil((points[:, 0] - least) * (steps / room)), steps + 1).astype(int)
        for points, least in zip(tensors, cheapest, strict=True)
    ]
    for t, points in enumerate(tensors):
        found = np.full(steps + 1, np.inf)
        for i, unit in enumerate(units[t]):
            if unit <= steps:
                loss = best[: steps + 1 - unit] + points[i, 1]
                better = np.flatnonzero(loss < found[unit:]) + unit
                found[better], taken[t, better] = loss[better - unit], i
        best = found
    chosen, place = [0] * len(tensors), steps
    for t in reversed(range(len(tensors))):
        chosen[t] = int(taken[t, place])
        place -= int(units[t][chosen[t]])
    spent = sum(float(points[c, 0]) for points, c in zip(tensors, chosen, strict=True))
    if spent > limit:  # by rounding of the grid itself
        return before
    _fill(tensors, chosen, limit - spent)
    after = _finished(tensors, chosen, before)
    return after if after.loss < before.loss else before

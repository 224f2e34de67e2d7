"""The best partition at many counts, each with a proof, for less than a search a count.

All counts of an octave share a coarse problem of a fixed number of groups per cluster. It gives,
for each count, a partition that is nearly right and the middle of the interval of penalties that
give the count. `refined` then solves all points near the breaks and few elsewhere; the partition it
finds moves the nodes, or adds some, until loss and bound meet: up to rounding, or to a tolerance.
Counts whose interval was missed are tried again in the middle of the losses of their neighbours,
and what is left goes to the search for one count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from solvq.scalar._graded import Points, fitted, points, refined
from solvq.scalar._kernels import Float64, Int32, Workspace, workspace
from solvq.scalar._partition import (
    COARSE,
    _coarse,
    _rounding,
    first_penalty,
    group_means,
    search,
)
from solvq.scalar._tolerance import frames, proved, settled

MILD = 2.0  # growth times the count of the nodes of a proof to a tolerance
FEW = 4  # with fewer points per group of the coarse problem, all points are searched at once
GROWTH = 4.0  # growth of the distance of nodes, times the count; less loses more of the bound
STEEPEST = 0.04  # at small counts, where nodes are cheap
ROUNDS = 4


class Found(NamedTuple):
    """Partition, its summed error, a bound for its count, and a penalty that gives the count."""

    breaks: Int32
    loss: float
    bound: float
    penalty: float

    def proved(self, tol: float, size: int) -> bool:
        """Whether loss and bound meet, up to a relative tolerance or to rounding.

        Where the penalty drowns the loss, rounding does not count: the search has a remedy.
        """
        k = self.breaks.size - 1
        noise = 2.0 * _rounding(k, size) * (self.loss + k * min(self.penalty, 4.0 * self.loss))
        return self.loss - self.bound <= max(tol * self.bound, noise)


class Series:
    """Searches of increasing counts on the same points; each starts from those before."""

    def __init__(self, x: Float64, w: Float64, work: Workspace) -> None:
        self.x, self.w, self.work = x, w, work
        self.solved: dict[int, Found] = {}

    def _guess(self, k: int) -> float:
        """Penalty near that of ``k``, by the power law of high rate from the latest counts."""
        before, last = self.solved.get(k - 2), self.solved.get(k - 1)
        if k > 4 and before is not None and last is not None:
            return max((before.loss - last.loss) * ((k - 1.5) / k) ** 3, 1e-300)
        return first_penalty(self.x, self.w, k)

    def solve(self, k: int) -> Found:
        """Partition into ``k`` by the search for one count."""
        if k not in self.solved:
            found = search(self.x, self.w, k, self._guess(k), self.work)
            breaks, bound, penalty, _ = found
            loss = group_means(self.x, self.w, breaks)[1]
            self.solved[k] = Found(breaks, loss, min(bound, loss), penalty)
        return self.solved[k]

    def edges(self, k: int) -> Float64:
        """Midpoints between the neighbouring means of the partition into ``k``."""
        means = group_means(self.x, self.w, self.solve(k).breaks)[0]
        return means[:-1] + 0.5 * np.diff(means)


def _near(data: Points, k: int, coarse: Series) -> Found:
    """Partition of all points from that of the coarse problem; its bound is 0."""
    inner = np.searchsorted(data.x, coarse.edges(k), side="right")
    breaks = np.unique(np.concatenate([[0], inner, [data.x.size]])).astype(np.int32)
    if k == 1:
        loss = fitted(data, breaks)[1]
        return Found(breaks, loss, loss, np.inf)
    penalty = 0.5 * (coarse.solve(k - 1).loss - coarse.solve(k + 1).loss)
    loss = fitted(data, breaks)[1] if breaks.size == k + 1 else np.inf
    return Found(breaks, loss, 0.0, penalty)


def _better(data: Points, best: Found, breaks: Int32) -> Found:
    """The better of a partition and of another, if that has as many clusters."""
    if breaks.size == best.breaks.size:
        loss = fitted(data, breaks)[1]
        if loss < best.loss:
            return best._replace(breaks=breaks, loss=loss)
    return best


def _closed(data: Points, k: int, near: Found, tol: float, work: Workspace) -> Found:
    """Better partition and bound at one penalty, from nodes near those found so far."""
    m, best, centres = data.x.size, near, near.breaks
    growth, finest = min(STEEPEST, GROWTH / k), np.sqrt(tol / 8.0) * m / k
    for turn in range(ROUNDS):
        scale = (growth, finest)
        breaks, bound, size = refined(data, centres, k, near.penalty, scale, work)
        best = best._replace(bound=max(best.bound, bound))
        if breaks.size == k + 1:
            loss = fitted(data, breaks)[1]
            if loss < best.loss:
                best = best._replace(breaks=breaks, loss=loss)
        if size == m or (best.breaks.size == k + 1 and best.proved(tol, m)):
            break
        centres = breaks if turn == 0 else np.union1d(centres, breaks)
        growth, finest = 0.7 * growth, 0.5 * finest
    return best


def _again(k: int, found: dict[int, Found]) -> Found:
    """What is known of ``k``, with the penalty in the middle of the losses of its neighbours."""
    below, above = found.get(k - 1), found.get(k + 1)
    if below is None or above is None:
        return found[k]
    penalty = 0.5 * (below.loss - above.loss)
    return found[k]._replace(penalty=penalty) if 0.0 < penalty < np.inf else found[k]


def _coarse_series(x: Float64, w: Float64, counts: Sequence[int]) -> Iterator[tuple[int, Series]]:
    """Each of ascending counts with the coarse problem of its octave."""
    top, coarse = 0, None
    for k in counts:
        if coarse is None or k > top:
            top = 1 << (k - 1).bit_length()
            groups = _coarse(x, w, max(COARSE * top, 512))
            coarse = Series(*groups, workspace(groups[0].size))
        yield k, coarse


def _loosely(data: Points, near: dict[int, Found], tol: float, work: Workspace) -> dict[int, Found]:
    """Partitions and bounds from few cells; the gap of most is within the tolerance.

    A proof takes the price between the losses of the neighbouring counts, so all partitions are
    found first. Where the neighbours are nearly as cheap at that price, their breaks need nodes
    too.
    """
    frame, finest, found = frames(data), np.sqrt(tol / 6.0), dict(near)
    for k, start in near.items():
        if k > 1 and start.breaks.size == k + 1:
            scale = (0.1, 5.0 * finest)
            breaks, loss = settled(frame, start.breaks, k, max(start.penalty, 1e-300), scale, work)
            found[k] = start._replace(breaks=breaks, loss=loss)
    for turn in range(2):
        for k in near:
            best = _again(k, found)
            if best.breaks.size != k + 1 or best.proved(tol, data.x.size):
                continue
            centres = best.breaks
            if turn:
                around = [found[j].breaks for j in (k - 1, k + 1) if j in found]
                centres = np.unique(np.concatenate([centres, *around]))
            scale = (min(STEEPEST, MILD / k), finest)
            breaks, bound = proved(frame, centres, k, best.penalty, scale, work)
            best = best._replace(bound=max(best.bound, bound))
            found[k] = _better(data, best, breaks)
    return found


def _solve_many(x: Float64, w: Float64, counts: Sequence[int], tol: float) -> dict[int, Found]:
    """Partitions into ascending counts that are small against the number of points."""
    data, work = points(x, w), workspace(x.size)
    found = {k: _near(data, k, coarse) for k, coarse in _coarse_series(x, w, counts)}
    if tol > 0.0:
        found = _loosely(data, found, tol, work)
    else:
        found |= {k: _closed(data, k, found[k], tol, work) for k in counts if k > 1}
    for k in counts:
        if not (found[k].breaks.size == k + 1 and found[k].proved(tol, x.size)):
            found[k] = _closed(data, k, _again(k, found), tol, work)
    for k in counts:
        if not (found[k].breaks.size == k + 1 and found[k].proved(tol, x.size)):
            breaks, bound, penalty, _ = search(x, w, k, found[k].penalty, work)
            loss = group_means(x, w, breaks)[1]
            found[k] = Found(breaks, loss, min(bound, loss), penalty)
    return found


def solve_counts(x: Float64, w: Float64, counts: Sequence[int], tol: float) -> dict[int, Found]:
    """Best partitions of sorted weighted points into each of ascending ``counts``, below ``m``.

    The relative gap of each is at most ``tol``, or what rounding leaves.
    """
    few = [k for k in counts if FEW * COARSE * (1 << (k - 1).bit_length()) <= x.size]
    many = [k for k in counts if k not in set(few)]
    found = _solve_many(x, w, few, tol) if few else {}
    series = Series(x, w, workspace(x.size))
    return found | {k: series.solve(k) for k in many}

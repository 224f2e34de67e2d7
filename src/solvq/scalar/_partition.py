"""Cheapest partition of sorted weighted points into exactly ``k`` clusters, with a proof.

``D_k``, the cost of the best partition into ``k`` clusters, is convex in ``k``; every penalty
``alpha`` therefore gives a bound ``min_j (D_j + alpha j) - alpha k <= D_k`` that is tight at the
right penalty. The search keeps one solved penalty on either side of ``k`` and tries, in turn, the
power law between them and the slope of the chord; when the chord proves that both sides lie on
one straight piece of the curve, the two partitions are spliced (exchange argument: Aggarwal,
Schieber, Tokuyama 1994). See ``docs/scalar.md``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from solvq.scalar._kernels import Float64, Int32, Workspace, kernel, workspace
from solvq.scalar._probe import probe, traced

TIE = 1e-13  # relative difference of two penalised costs that rounding can make
COARSE = 32  # groups per cluster in the coarse problem that finds the first penalty
SMALL = 12  # the coarse problem must be this many times smaller than the whole one

# Sums in any order: several running sums at once, where one would wait for each addition.
summing = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})


@summing
def group_means(x: Float64, w: Float64, breaks: Int32) -> tuple[Float64, float]:
    """Weighted mean of each cluster, and the weighted sum of squared errors to these."""
    means = np.empty(breaks.size - 1)
    loss = 0.0
    for c in range(means.size):
        first, last = np.uint64(breaks[c]), np.uint64(breaks[c + 1])  # no wrap-around test
        base, weight, s = x[first], 0.0, 0.0
        for i in range(first, last):
            weight += w[i]
            s += w[i] * (x[i] - base)
        mean, part = base + s / weight, 0.0
        for i in range(first, last):
            part += w[i] * (x[i] - mean) ** 2
        means[c] = mean
        loss += part
    return means, loss


@summing
def first_penalty(x: Float64, w: Float64, k: int) -> float:
    """Slope of the high-rate law ``D = (integral of density^(1/3))^3 / (12 k^2)`` at ``k``."""
    m = x.size
    step = max(1, min(8, m // (4 * k)), m // 512)  # a single gap tells little
    total = 0.0
    for i in range(0, m - 1, step):
        j = min(i + step, m - 1)
        weight = 0.0
        for t in range(np.uint64(i), np.uint64(j)):
            weight += w[t]
        total += ((x[j] - x[i]) ** 2 * weight) ** (1.0 / 3.0)
    return max(total**3 / (6.0 * k**3), 1e-300)


@kernel
def _rounding(k: int, m: int) -> float:
    """Relative allowance for rounding in a penalised cost, taken off the bound."""
    return 2.0**-49 * (8.0 + np.sqrt(k) + np.sqrt(m))


@kernel
def _splice(short: Int32, long: Int32, k: int) -> Int32:
    """Partition into ``k`` from two that are optimal at one penalty, with fewer and with more."""
    extra = k - (short.size - 1)
    i = 0
    while long[i + extra + 1] > short[i + 1]:
        i += 1
    return np.concatenate((long[: i + extra + 1], short[i + 1 :]))


@kernel
def _next_penalty(k: int, fewer: Float64, more: Float64, before: Float64, last: Float64) -> float:
    """Penalty to try between two solved ``(count, cost, penalty)``; 0 asks for the chord's slope.

    ``before`` and ``last`` are the two latest probes: their secant in log space, or the power law
    of high rate where there is only one.
    """
    if more[0] - fewer[0] <= 2.0 or last[0] == before[0]:
        return 0.0
    slope = -3.0
    if before[2] > 0.0:
        slope = np.log(last[2] / before[2]) / np.log(last[0] / before[0])
    guess = last[2] * (k / last[0]) ** slope
    if not more[2] < guess < fewer[2] and more[2] > 0.0 and fewer[2] < np.inf:
        share = np.log(k / fewer[0]) / np.log(more[0] / fewer[0])
        guess = fewer[2] ** (1.0 - share) * more[2] ** share
    return guess if more[2] < guess < fewer[2] else 0.0


@kernel
def _sharpen(x: Float64, w: Float64, breaks: Int32, penalty: float, work: Workspace) -> float:
    """Bound from a smaller penalty, where that of the solution drowns its loss in rounding.

    ``D_k`` itself is such a penalty: it is at least ``D_k - D_(k+1)``.
    """
    loss, k = group_means(x, w, breaks)[1], breaks.size - 1
    if penalty <= 4.0 * loss:
        return 0.0
    probe(x, w, loss, work)
    value = work.best[x.size]
    return value - k * loss - _rounding(k, x.size) * value


@kernel
def search(x: Float64, w: Float64, k: int, penalty: float, work: Workspace) -> Any:
    """Best partition into ``k`` of ``m > k`` points; (breaks, lower bound, penalty, probes)."""
    m = x.size
    few = np.array([0, m], np.int32)
    _, loss = group_means(x, w, few)
    if k == 1:
        return few, loss, np.inf, 0
    many = np.empty(0, np.int32)
    fewer = np.array([1.0, loss, np.inf])
    more = np.array([float(m), 0.0, 0.0])
    last = np.zeros(3)
    bound, probes, chord = 0.0, 0, False
    while True:
        count = probe(x, w, penalty, work)
        probes += 1
        value = work.best[m]
        bound = max(bound, value - k * penalty - _rounding(k, m) * value)
        breaks = traced(work, m, count)
        if count == k:
            return breaks, max(bound, _sharpen(x, w, breaks, penalty, work)), penalty, probes
        flat = value >= (fewer[1] + fewer[0] * penalty) * (1.0 - TIE)
        if chord and (flat or not fewer[0] < count < more[0]):
            break
        before, last = last, np.array([count, group_means(x, w, breaks)[1], penalty])
        if count < k:
            few, fewer = breaks, last
        else:
            many, more = breaks, last
        penalty = _next_penalty(k, fewer, more, before, last)
        chord = penalty == 0.0
        if chord:
            penalty = (fewer[1] - more[1]) / (more[0] - fewer[0])
    if many.size == 0:
        many = np.arange(m + 1).astype(np.int32)
    return _splice(few, many, k), bound, penalty, probes


@summing
def _coarse(x: Float64, w: Float64, groups: int) -> tuple[Float64, Float64]:
    """Neighbouring points merged into about ``groups`` that share the high-rate measure evenly."""
    m = x.size
    step = max(1, m // (4 * groups))
    share = np.empty((m - 2) // step + 1)
    for c in range(share.size):
        share[c] = ((x[min((c + 1) * step, m - 1)] - x[c * step]) ** 2 * step) ** (1.0 / 3.0)
    share *= groups / share.sum()
    edges, spent = [0], 0.0
    for c in range(share.size):
        i, j = c * step, min((c + 1) * step, m - 1)
        spent += share[c]
        pieces = min(int(spent), j - i)
        spent -= int(spent)
        for t in range(1, pieces + 1):
            edges.append(i + (j - i) * t // pieces)
    if edges[-1] < m:
        edges.append(m)
    means, weights = np.empty(len(edges) - 1), np.empty(len(edges) - 1)
    for c in range(means.size):
        base, weight, s = x[edges[c]], 0.0, 0.0
        for t in range(np.uint64(edges[c]), np.uint64(edges[c + 1])):
            weight += w[t]
            s += w[t] * (x[t] - base)
        means[c], weights[c] = base + s / weight, weight
    return means, weights


@kernel
def _loss_at(x: Float64, w: Float64, k: int, penalty: float, work: Workspace) -> float:
    """``D_k``; for a first penalty near the right one."""
    breaks, _, _, _ = search(x, w, k, penalty, work)
    return group_means(x, w, breaks)[1]


@kernel
def partition(x: Float64, w: Float64, k: int, work: Workspace) -> Any:
    """Best partition into ``k`` of ``m > k`` points: (breaks, lower bound, penalty, probes).

    A coarse problem of a fixed number of groups per cluster is solved first: the middle of the
    interval of penalties that give ``k`` there most often gives ``k`` at once on all points.
    """
    m = x.size
    penalty = first_penalty(x, w, k)
    groups = max(COARSE * k, 512)
    if m >= SMALL * groups and k > 1:
        xc, wc = _coarse(x, w, groups)
        if xc.size > k + 1:
            _, _, penalty, _ = search(xc, wc, k, penalty, work)
            upper = _loss_at(xc, wc, k - 1, penalty * (k / (k - 1.0)) ** 3, work)
            lower = _loss_at(xc, wc, k + 1, penalty * (k / (k + 1.0)) ** 3, work)
            slope = 0.5 * (upper - lower)
            penalty = slope if slope > 0.0 else penalty
    return search(x, w, k, penalty, work)


class Optimum(NamedTuple):
    """Optimal codebook with sums, not means, of squared errors: its loss and the proven bound."""

    codebook: Float64
    loss: float
    lower_bound: float
    probes: int


def solve(x: Float64, w: Float64, k: int) -> Optimum:
    """Optimal codebook of ``k`` values for sorted distinct ``x`` with positive weights.

    With ``k`` at least the number of points the codebook is the points.
    """
    if k >= x.size:
        return Optimum(x.copy(), 0.0, 0.0, 1)
    breaks, bound, _, probes = partition(x, w, k, workspace(x.size))
    codebook, loss = group_means(x, w, breaks)
    return Optimum(codebook, loss, min(bound, loss), max(1, probes))

"""Least squares with an l1 penalty on the steps, on sorted distinct values.

For ``u[0] < u[1] < ...`` with weights ``w``, gaps ``d[j] = u[j] - u[j - 1]`` and a penalty
``alpha``, minimise ``1/2 sum_i w_i (x_i - u_i)^2 + alpha sum_j |x_j - x_(j-1)| / d_j``. The
solution is nondecreasing, so it is an isotonic regression, and as ``alpha`` grows neighbouring
blocks of equal values only ever merge (see ``docs/scalar.md``). A block has the
value ``mean + alpha (1/gap behind - 1/gap before) / weight``, the gaps at the two ends counting
as infinite.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from solvq.scalar._kernels import Float64, Int32, kernel


@kernel
def inverse_gaps(u: Float64) -> Float64:
    """``1 / d`` in front of each value and behind the last one, 0 at both ends."""
    inverse = np.zeros(u.size + 1)
    for j in range(1, u.size):
        inverse[j] = 1.0 / (u[j] - u[j - 1])
    return inverse


@kernel
def pool(u: Float64, w: Float64, alpha: float) -> tuple[Int32, Float64]:
    """Solve at one penalty by pooling adjacent violators: (breaks, value of each block). O(m)."""
    inverse = inverse_gaps(u)
    first = np.empty(u.size + 1, np.int32)
    weight, mean, value = np.empty(u.size), np.empty(u.size), np.empty(u.size)
    last = -1
    for i in range(u.size):
        last += 1
        first[last], weight[last], mean[last] = i, w[i], u[i]
        value[last] = u[i] + alpha * (inverse[i + 1] - inverse[i]) / w[i]
        while last > 0 and value[last - 1] >= value[last]:
            total = weight[last - 1] + weight[last]
            mean[last - 1] += (mean[last] - mean[last - 1]) * (weight[last] / total)
            weight[last - 1] = total
            last -= 1
            bend = inverse[i + 1] - inverse[first[last]]
            value[last] = mean[last] + alpha * bend / total
    first[last + 1] = u.size
    return first[: last + 2].copy(), value[: last + 1].copy()


@kernel
def _meeting(a: int, b: int, blocks: Any, inverse: Float64) -> float:
    """Penalty at which neighbouring blocks take the same value; infinite if they part."""
    weight, mean, end = blocks
    slope_a = (inverse[end[a]] - inverse[a]) / weight[a]
    slope_b = (inverse[end[b]] - inverse[b]) / weight[b]
    return (mean[b] - mean[a]) / (slope_a - slope_b) if slope_a > slope_b else np.inf


@kernel
def _start(u: Float64, w: Float64, inverse: Float64) -> Any:
    """Blocks of single values, and a heap of their meetings."""
    m = u.size
    end = np.arange(1, m + 1)
    blocks = (w.copy(), u.copy(), end)
    heap = [(_meeting(i, i + 1, blocks, inverse), i, end[i], end[i + 1]) for i in range(m - 1)]
    heapify(heap)
    return blocks, heap


@kernel
def merges(u: Float64, w: Float64, count: int) -> tuple[Float64, Float64, Int32]:
    """Follow the path from no penalty until ``count`` blocks are left.

    Returns the penalty of each of the ``m - count`` merges, the sum of squared errors at the block
    means after it, and the node of the break that it removed. O(m log m).
    """
    m, inverse = u.size, inverse_gaps(u)
    before = np.arange(-1, m - 1)  # first value of the block in front
    (weight, mean, end), heap = _start(u, w, inverse)
    blocks = (weight, mean, end)
    alpha, loss = np.zeros(m - count), np.zeros(m - count)
    removed = np.empty(m - count, np.int32)
    done, level, total = 0, 0.0, 0.0
    while done < m - count:
        at, a, end_a, end_b = heappop(heap)
        b = end_a
        if end[a] != end_a or before[b] != a or end[b] != end_b:
            continue  # one of the two has grown since
        level = max(level, at)
        share = weight[b] / (weight[a] + weight[b])
        gap = mean[b] - mean[a]
        total += weight[a] * share * gap * gap
        mean[a] += gap * share
        weight[a] += weight[b]
        end[a] = end_b
        before[b] = -2
        alpha[done], loss[done], removed[done] = level, total, b
        done += 1
        if end_b < m:
            before[end_b] = a
            heappush(heap, (_meeting(a, end_b, blocks, inverse), a, end[a], end[end_b]))
        if before[a] >= 0:
            c = before[a]
            heappush(heap, (_meeting(c, a, blocks, inverse), c, end[c], end[a]))
    return alpha, loss, removed


@kernel
def block_values(u: Float64, w: Float64, breaks: Int32, alpha: float) -> Float64:
    """Value of each block of a solution at a penalty, of its mean where the penalty is 0."""
    inverse = inverse_gaps(u)
    values = np.empty(breaks.size - 1)
    for c in range(values.size):
        a, b = breaks[c], breaks[c + 1]
        weight, s = 0.0, 0.0
        for i in range(a, b):
            weight += w[i]
            s += w[i] * (u[i] - u[a])
        values[c] = u[a] + (s + alpha * (inverse[b] - inverse[a])) / weight
    return values


@kernel
def kkt_residual(u: Float64, w: Float64, breaks: Int32, values: Float64, alpha: float) -> float:
    """Largest violation of the optimality conditions, relative to ``alpha``.

    With ``r_j = d_j sum_(i >= j) w_i (u_i - x_i)``: ``r_j = alpha`` where the solution steps up,
    ``|r_j| <= alpha`` elsewhere, and the sum over all is 0.
    """
    worst, behind = 0.0, 0.0
    c = values.size - 1
    for j in range(u.size - 1, -1, -1):
        behind += w[j] * (u[j] - values[c])
        if j > 0:
            r = (u[j] - u[j - 1]) * behind
            miss = abs(r - alpha) if breaks[c] == j else max(0.0, abs(r) - alpha)
            worst = max(worst, miss)
        if breaks[c] == j:
            c -= 1
    widest = u[u.size - 1] - u[0]
    return max(worst, abs(behind) * widest) / alpha if alpha > 0.0 else 0.0

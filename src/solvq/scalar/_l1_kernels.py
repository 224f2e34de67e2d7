"""Least squares with an l1 penalty on the steps, on sorted distinct values.

For ``u[0] < u[1] < ...`` with weights ``w``, gaps ``d[j] = u[j] - u[j - 1]`` and a penalty
``alpha``, minimise ``1/2 sum_i w_i (x_i - u_i)^2 + alpha sum_j |x_j - x_(j-1)| / d_j``. The
solution is nondecreasing, so it is an isotonic regression, and as ``alpha`` grows neighbouring
blocks of equal values only ever merge (see ``docs/scalar.md``). A block has the
value ``mean + alpha (1/gap behind - 1/gap before) / weight``, the gaps at the two ends counting
as infinite. In the anchored form ``alpha |x_0 / u_0|`` is added: the gap before the first block is
then its distance to zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, Int32, kernel
from solvq.scalar._partition import group_means

STEEPEST = 1e140  # of an inverse gap: its square is finite, and narrower gaps close at once


class Levels(NamedTuple):
    """Nodes between the blocks of a solution, the ends included, and the value of each block."""

    breaks: Int32
    values: Float64


@kernel
def inverse_gaps(u: Float64) -> Float64:
    """``1 / d`` in front of each value and behind the last one, 0 at both ends."""
    inverse = np.zeros(u.size + 1)
    for j in range(1, u.size):
        inverse[j] = min(1.0 / (u[j] - u[j - 1]), STEEPEST)
    return inverse


@kernel
def anchored_gaps(u: Float64) -> Float64:
    """`inverse_gaps`, the first one that to zero, with its sign."""
    inverse = inverse_gaps(u)
    pull = min(1.0 / abs(u[0]), STEEPEST)
    inverse[0] = pull if u[0] >= 0.0 else -pull
    return inverse


@kernel
def pool(u: Float64, w: Float64, inverse: Float64, alpha: float) -> tuple[Int32, Float64]:
    """Solve at one penalty by pooling adjacent violators: (breaks, value of each block). O(m).

    ``u`` and ``w`` are values, or the means and weights of blocks that have met already;
    ``inverse`` holds the inverse gaps at their ends.
    """
    first = np.empty(u.size + 1, np.int32)
    weight, mean, value = np.empty(u.size), np.empty(u.size), np.empty(u.size)
    count = 0
    for i in range(u.size):
        start, own, middle, behind = i, w[i], u[i], inverse[i + 1]
        level = middle + alpha * (behind - inverse[i]) / own
        while count > 0 and value[count - 1] >= level:
            count -= 1
            share = 1.0 / (weight[count] + own)
            middle = mean[count] + (middle - mean[count]) * (own * share)
            own += weight[count]
            start = first[count]
            level = middle + alpha * (behind - inverse[start]) * share
        first[count], weight[count], mean[count], value[count] = start, own, middle, level
        count += 1
    first[count] = u.size
    return first[: count + 1].copy(), value[:count].copy()


@kernel
def block_sums(u: Float64, w: Float64, breaks: Int32) -> tuple[Float64, Float64]:
    """Weight and mean of each block."""
    weight, mean = np.zeros(breaks.size - 1), np.empty(breaks.size - 1)
    for c in range(mean.size):
        base, s = u[breaks[c]], 0.0
        for i in range(breaks[c], breaks[c + 1]):
            weight[c] += w[i]
            s += w[i] * (u[i] - base)
        mean[c] = base + s / weight[c]
    return weight, mean


@kernel
def block_values(u: Float64, w: Float64, breaks: Int32, alpha: float) -> Float64:
    """Value of each block of a solution at a penalty, of its mean where the penalty is 0."""
    inverse = inverse_gaps(u)
    weight, values = block_sums(u, w, breaks)
    for c in range(values.size):
        values[c] += alpha * (inverse[breaks[c + 1]] - inverse[breaks[c]]) / weight[c]
    return values


@kernel
def meeting(u: Float64, w: Float64, inverse: Float64, a: int, b: int, end: int) -> float:
    """Penalty at which block ``a`` takes the value of ``b`` behind it; infinite if they part.

    ``end`` is behind ``b``; each names the inverse gap in front of it.
    """
    slope = (inverse[b] - inverse[a]) / w[a] - (inverse[end] - inverse[b]) / w[b]
    return (u[b] - u[a]) / slope if slope > 0.0 else np.inf


@kernel
def first_meeting(u: Float64, w: Float64) -> float:
    """Least penalty at which two neighbouring values meet; positive."""
    inverse, least = inverse_gaps(u), np.inf
    for j in range(1, u.size):
        least = min(least, meeting(u, w, inverse, j - 1, j, j + 1))
    return max(least, 1e-300)


def shrunk(u: Float64, w: Float64, alpha: float) -> Levels:
    """Solve with a free first value."""
    return Levels(*pool(u, w, inverse_gaps(u), alpha))


def anchored(u: Float64, w: Float64, alpha: float) -> Levels:
    """Solve the anchored form.

    Among nonnegative solutions the added term is linear, and the bound at zero only cuts the free
    solution off; one with a negative first value is the free solution with the term's other sign.
    """
    inverse = anchored_gaps(u)
    if inverse[0] < 0.0:
        levels = Levels(*pool(u, w, inverse, alpha))
        if levels.values[0] < 0.0:
            return levels
        inverse[0] *= -1.0
    breaks, values = pool(u, w, inverse, alpha)
    at_zero = max(0, int(np.searchsorted(values, 0.0, side="right")) - 1)
    return Levels(np.delete(breaks, slice(1, at_zero + 1)), np.maximum(values[at_zero:], 0.0))


def refitted(u: Float64, w: Float64, levels: Levels, anchor: bool) -> Levels:
    """Least squares with the same steps: means, but for a first value that is held at zero."""
    means, _ = group_means(u, w, levels.breaks)
    if anchor and levels.values[0] == 0.0:
        means[0] = 0.0
    return Levels(levels.breaks, means)


@kernel
def kkt_residual(
    u: Float64, w: Float64, levels: Levels, alpha: float, square: float, anchor: bool
) -> float:
    """Largest violation of the optimality conditions, relative to ``alpha``.

    ``square / 2 sum_j a_j^2`` is part of the problem, with ``a_j = (x_j - x_(j-1)) / d_j`` and, in
    the anchored form, ``a_0 = x_0 / u_0``. With ``r_j = d_j sum_(i >= j) w_i (u_i - x_i)``:
    ``r_j = alpha sign(a_j) + square a_j`` where ``a_j`` is not 0, ``|r_j| <= alpha`` elsewhere.
    """
    breaks, values = levels
    worst, behind = 0.0, 0.0
    c = values.size - 1
    for j in range(u.size - 1, -1, -1):
        behind += w[j] * (u[j] - values[c])
        before = u[j - 1] if j > 0 else 0.0
        gap = u[j] - before
        step = 0.0
        if breaks[c] == j:
            step = values[c] - (values[c - 1] if c > 0 else 0.0)
            c -= 1
        if j == 0 and not anchor:  # a free value: the residuals add up to nothing
            worst = max(worst, abs(behind) * (u[-1] - u[0]))
        elif step != 0.0 and gap != 0.0:
            a = step / gap
            worst = max(worst, abs(gap * behind - np.sign(a) * alpha - square * a))
        else:
            worst = max(worst, abs(gap * behind) - alpha)
    return worst / alpha if alpha > 0.0 else 0.0

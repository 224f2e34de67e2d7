"""Exact soft convex weights, one row at a time, by an active set with an updated factor.

A row minimises ``1/2 d^T H d - b^T d`` over the d for which ``p = e + d`` lies on the simplex, with
``H = G + ridge I`` and e the unit vector of the row's start. The support, its weights and the
Cholesky factor L of H on it live in arrays of one thread, ``work``: ``chosen``, ``weights``,
``factor`` L, ``sides``, which are L^-1 times the linear term in p, L^-1 times ones and one over the
diagonal of L, and ``slopes`` (K,) of all weights. There is room for supports of all K codewords;
what is not used is not touched.

Everything is float64; the kernels trust their arguments and hold no lock of Python.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from solvq.vector._kernels import Floats, Int64, kernel

ENTRANTS = 8  # codewords that may join a row's support in its first round
PADDING = 8  # entries of a row of a factor, so that columns do not share lines of the cache
SINGULAR = 64 * 2.0**-52  # of a diagonal entry: a pivot that is nothing but rounding


@kernel
def inner(problem: Any, j: int, k: int) -> float:
    """Inner product of two codewords, looked up if there is a table."""
    gram, words, _ = problem
    if gram.size:
        return gram[j, k]
    total = 0.0
    for f in range(words.shape[1]):
        total += words[j, f] * words[k, f]
    return total


@kernel
def append(problem: Any, work: Any, count: int, j: int, right: float) -> int:
    """Let codeword j join the support, with linear term ``right``, and count it.

    It stays out if rounding leaves the factor no pivot.
    """
    chosen, weights, factor, sides, _ = work
    row = factor[count]
    first, second = right, 1.0
    diagonal = inner(problem, j, j) + problem[2]
    pivot = diagonal
    for i in range(count):
        v = inner(problem, j, chosen[i])
        for k in range(i):
            v -= factor[i, k] * row[k]
        v *= sides[2, i]
        row[i] = v
        pivot -= v * v
        first -= v * sides[0, i]
        second -= v * sides[1, i]
    if not pivot > SINGULAR * diagonal:
        return count
    pivot = math.sqrt(pivot)
    row[count] = pivot
    sides[0, count], sides[1, count], sides[2, count] = first / pivot, second / pivot, 1.0 / pivot
    chosen[count], weights[count] = j, 0.0
    return count + 1


@kernel
def remove(work: Any, count: int, at: int) -> int:
    """Let the entry ``at`` leave the support, by rotations of the factor's columns."""
    chosen, weights, factor, sides, _ = work
    for i in range(at, count - 1):
        chosen[i], weights[i] = chosen[i + 1], weights[i + 1]
        for k in range(i + 2):
            factor[i, k] = factor[i + 1, k]
    for i in range(at, count - 1):
        x, y = factor[i, i], factor[i, i + 1]
        inverse = 1.0 / math.sqrt(x * x + y * y)
        cosine, sine = x * inverse, y * inverse
        sides[2, i] = inverse
        for row in range(i, count - 1):
            x, y = factor[row, i], factor[row, i + 1]
            factor[row, i], factor[row, i + 1] = cosine * x + sine * y, cosine * y - sine * x
        for side in range(2):
            x, y = sides[side, i], sides[side, i + 1]
            sides[side, i], sides[side, i + 1] = cosine * x + sine * y, cosine * y - sine * x
    return count - 1


@kernel
def aim(work: Any, count: int, total: float, goal: Floats) -> float:
    """Minimiser of a given sum on the support, in ``goal``; the slope that all have there."""
    _, _, factor, sides, _ = work
    across, square = -total, 0.0
    for i in range(count):
        across += sides[0, i] * sides[1, i]
        square += sides[1, i] * sides[1, i]
    level = across / square
    for i in range(count):
        goal[i] = sides[0, i] - level * sides[1, i]
    for i in range(count - 1, -1, -1):
        x = goal[i] * sides[2, i]
        goal[i] = x
        for k in range(i):
            goal[k] -= factor[i, k] * x
    return level


@kernel
def settle(work: Any, count: int, goal: Floats) -> tuple[int, float]:
    """Minimise over a face: step towards the minimiser, and drop what reaches zero first."""
    weights = work[1]
    while True:
        level = aim(work, count, 1.0, goal)
        share, at = 1.0, -1
        for i in range(count):
            if goal[i] <= 0:
                v = weights[i] / (weights[i] - goal[i]) if weights[i] > 0 else 0.0
                if at < 0 or v < share:
                    share, at = v, i
        if at < 0 or count == 1:
            weights[:count] = goal[:count]
            return count, level
        for i in range(count):
            weights[i] = max(weights[i] + share * (goal[i] - weights[i]), 0.0)
        count = remove(work, count, at)


@kernel
def price(problem: Any, work: Any, count: int, linear: Floats, start: int) -> tuple[float, float]:
    """Slopes of all weights; the Frank-Wolfe gap, and how far the objective has fallen."""
    gram, _, ridge = problem
    chosen, weights, _, _, slopes = work
    slopes[:] = linear
    missing = 1.0
    for i in range(count):
        j, step = chosen[i], weights[i]
        if j == start:
            step, missing = step - 1.0, 0.0
        row = gram[j]
        for k in range(slopes.size):
            slopes[k] -= step * row[k]
        slopes[j] -= ridge * step
    if missing:
        for k in range(slopes.size):
            slopes[k] += gram[start, k]
        slopes[start] += ridge
    fall = -missing * (linear[start] + slopes[start])
    level = 0.0
    for i in range(count):
        j, step = chosen[i], weights[i]
        level += step * slopes[j]
        fall += (step - 1.0 if j == start else step) * (linear[j] + slopes[j])
    top = slopes[0]
    for k in range(slopes.size):
        top = slopes[k] if slopes[k] > top else top
    return top - level, fall / 2


@kernel
def steepest(work: Any, count: int, entrants: Int64) -> int:
    """Codewords outside the support with the largest slopes above those in it, and how many."""
    chosen, _, _, _, slopes = work
    least = slopes[chosen[0]]
    for i in range(count):
        least = min(least, slopes[chosen[i]])
        slopes[chosen[i]] = -np.inf
    found = 0
    for j in range(slopes.size):
        if slopes[j] > least:
            at = min(found, entrants.size - 1)
            while at > 0 and slopes[entrants[at - 1]] < slopes[j]:
                entrants[at] = entrants[at - 1]
                at -= 1
            entrants[at] = j
            found = min(found + 1, entrants.size)
            if found == entrants.size:
                least = slopes[entrants[found - 1]]
    return found


@kernel
def improve(problem: Any, work: Any, place: Any, linear: Floats, goal: Floats) -> int:
    """One round: the entrants join one after the other, if they still promise something."""
    gram, _, ridge = problem
    chosen, weights, _, _, _ = work
    count, start, level, entrants = place
    for j in entrants:
        right = linear[j] + gram[start, j] + (ridge if j == start else 0.0)
        slope = right
        for i in range(count):
            slope -= weights[i] * gram[j, chosen[i]]
        if slope > level:
            more = append(problem, work, count, j, right)
            if more > count:
                count, level = settle(work, more, goal)
    return count


@kernel
def solve(problem: Any, work: Any, linear: Floats, start: int, limits: Any) -> Any:
    """Fill the support and weights of one row: their count, gap, rounds and fall.

    ``limits`` are the tolerance, the largest number of rounds and the objective at the start. A
    row is done as in `solvq.vector._active_set`.
    """
    tol, max_iter, highest = limits
    entrants, goal = np.empty(linear.size, np.int64), np.empty(linear.size)
    right = linear[start] + problem[0][start, start] + problem[2]
    count = append(problem, work, 0, start, right)
    if count == 0:  # a zero codeword without penalty
        work[0][0], work[1][0] = start, 1.0
        gap, fall = price(problem, work, 1, linear, start)
        return 1, gap, 0, fall
    work[1][0] = 1.0
    least, lowest, rounds = np.inf, np.inf, 0
    while True:
        gap, fall = price(problem, work, count, linear, start)
        falling = highest - fall < lowest or gap < least / 2
        if not (gap > tol * (highest - fall) and falling and rounds < max_iter):
            return count, gap, rounds, fall
        least, lowest = min(least, gap), min(lowest, highest - fall)
        found = steepest(work, count, entrants[: ENTRANTS << min(rounds // 4, 30)])
        level = aim(work, count, 1.0, goal)
        place = count, start, level, entrants[:found]
        count = improve(problem, work, place, linear, goal)
        rounds += 1


@kernel
def workspace(size: int, width: int) -> Any:
    """Room for supports of up to ``size`` codewords, and ``width`` slopes."""
    chosen, factor = np.empty(size, np.int64), np.empty((size, size + PADDING))
    return chosen, np.empty(size), factor, np.empty((3, size)), np.empty(width)


@kernel
def solve_rows(problem: Any, rows: Any, limits: Any, outputs: Any, span: Any) -> None:
    """Weights, gaps, rounds and objectives of a range of rows; weights are zero before.

    ``problem`` is G, the codewords and the ridge, ``rows`` are b (N, K), starts and objectives
    there (N,), and ``limits`` the tolerance and the largest number of rounds.
    """
    linear, start, highest = rows
    weights, gaps, n_iter, objective = outputs
    work = workspace(linear.shape[1], linear.shape[1])
    for i in range(span[0], span[1]):
        bounds = limits[0], limits[1], highest[i]
        count, gap, rounds, fall = solve(problem, work, linear[i], start[i], bounds)
        total = work[1][:count].sum()
        for k in range(count):
            weights[i, work[0][k]] = work[1][k] / total
        gaps[i], n_iter[i], objective[i] = max(gap, 0.0), rounds, max(highest[i] - fall, 0.0)

"""Minimisers of the anchored problem by an interior-point method, row by row: slow and sure."""

from __future__ import annotations

import numpy as np

from bench.vector.method import Penalty
from bench.vector.objective import absolute, certify, nearest_two
from bench.vector.problem import Array, Data

TIGHT = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
POLISHES = 20


def minimisers(data: Data, penalty: Penalty) -> Array:
    """Weights (N, K) in float64, by clarabel and then exactly on the support that it found."""
    import cvxpy  # noqa: PLC0415

    words = data.codebook.astype(np.float64)
    fine = data.z.astype(np.float64)
    ridge = absolute(penalty, words)
    p, residual = cvxpy.Variable(len(words)), cvxpy.Variable(words.shape[1])
    z, e = cvxpy.Parameter(words.shape[1]), cvxpy.Parameter(len(words))
    cost = cvxpy.sum_squares(residual) + ridge * cvxpy.sum_squares(p - e)
    limits = [p >= 0, cvxpy.sum(p) == 1, residual == z - words.T @ p]
    problem = cvxpy.Problem(cvxpy.Minimize(cost), limits)
    found = []
    for row, start in zip(fine, nearest_two(fine, words)[0], strict=True):
        z.value, e.value = row, np.eye(len(words))[start]
        problem.solve(solver="CLARABEL", **TIGHT)
        found.append(polish(row, words, ridge, int(start), p.value))
    weights = np.array(found)
    proof = certify(fine, words, weights, penalty)
    worst = float((proof.gap / proof.objective).max())
    if worst > 1e-9:
        raise RuntimeError(f"the oracle's gap is {worst:.1e} of the objective: no oracle")
    return weights


def polish(z: Array, words: Array, ridge: float, start: int, near: Array) -> Array:
    """Solve the optimality conditions on the support of a good guess, correcting the support."""
    support = near > 1e-7
    for _ in range(POLISHES):
        chosen = np.flatnonzero(support)
        part, n = words[chosen], len(chosen)
        system = np.ones((n + 1, n + 1))
        system[:n, :n] = part @ part.T + ridge * np.eye(n)
        system[n, n] = 0
        right = np.append(part @ z + ridge * (chosen == start), 1.0)
        *inner, level = np.linalg.solve(system, right)
        p = np.zeros(len(words))
        p[chosen] = inner
        slope = words @ (z - p @ words) - ridge * p
        slope[start] += ridge
        enters = ~support & (slope > level + 1e-12 * np.abs(slope).max())
        if (p >= 0).all() and not enters.any():
            break
        support = (p > 0) | enters
    return np.maximum(p, 0) / np.maximum(p, 0).sum()

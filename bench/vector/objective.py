"""Every number reported about an answer, computed in float64 from the arrays handed back.

The anchored problem of a latent z with nearest codeword c_k and codebook C, one codeword a row, is
``min 1/2 |z - p C|^2 + a/2 |p - e_k|^2`` over ``p >= 0, sum p = 1``, ``a = alpha tr(C C^T) / F``;
the local one has ``alpha/2 sum_j p_j |z - c_j|^2`` in place of the second term.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.vector.method import Penalty
from bench.vector.problem import Array

CHUNK = 1 << 22  # entries of a temporary
TIE = 1e-6  # relative difference of squared distances that float32 cannot tell apart


class Certificate(NamedTuple):
    """Objective and Frank-Wolfe gap (N,): the objective is at most the gap above its minimum.

    ``infeasible`` (N,) is the largest violation of ``p >= 0`` and ``sum p = 1``; both numbers are
    those of the weights as they are, so a gap can be negative where they are infeasible.
    """

    objective: Array
    gap: Array
    infeasible: Array


def quantization_error(z: Array, values: Array) -> float:
    """``sum |z - z_q|^2 / sum |z|^2``."""
    return float(squared_error(z, values).sum() / np.square(z, dtype=np.float64).sum())


def squared_error(z: Array, values: Array) -> Array:
    """``|z - z_q|^2`` of each row."""
    return np.square(z.astype(np.float64) - values).sum(1)


def violation(weights: Array) -> Array:
    """Largest violation of ``p >= 0`` and ``sum p = 1`` by each row."""
    p = weights.astype(np.float64)
    return np.maximum(np.maximum(-p.min(1), 0), np.abs(p.sum(1) - 1))


def rounded(weights: Array) -> Array:
    """Weights in float64 without the violations that rounding has left."""
    p = np.maximum(weights.astype(np.float64), 0)
    return p / p.sum(1, keepdims=True)


def absolute(penalty: Penalty, codebook: Array) -> float:
    """Penalty of the anchored problem as it stands before ``|p - e|^2 / 2``."""
    return penalty.alpha * float(np.square(codebook, dtype=np.float64).sum()) / codebook.shape[1]


def squared_distances(z: Array, codebook: Array) -> Array:
    """``|z - c_j|^2`` (N, K)."""
    squares = np.square(z).sum(1)[:, None] + np.square(codebook).sum(1)
    return squares - 2 * z @ codebook.T


def nearest_two(z: Array, codebook: Array) -> tuple[Array, Array]:
    """Nearest codeword of each row, and another as near up to rounding (itself if there is none).

    In a tie the problem depends on the choice, and float32 may choose either.
    """
    distances = squared_distances(z, codebook)
    scale = np.square(z).sum(1) + np.square(codebook).sum(1).mean()
    first = distances.argmin(1)
    rows = np.arange(len(z))
    least = distances[rows, first]
    distances[rows, first] = np.inf
    second = distances.argmin(1)
    tied = distances[rows, second] - least <= TIE * scale
    return first, np.where(tied, second, first)


def certify(z: Array, codebook: Array, weights: Array, penalty: Penalty) -> Certificate:
    """Certificate of weights (N, K) of a convex problem, in chunks of rows."""
    size = max(1, CHUNK // len(codebook))
    words = codebook.astype(np.float64)
    parts = [
        _certify(z[i : i + size].astype(np.float64), words, weights[i : i + size], penalty)
        for i in range(0, len(z), size)
    ]
    return Certificate(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _certify(z: Array, codebook: Array, weights: Array, penalty: Penalty) -> Certificate:
    """Certificate of some rows; in ties that of the choice that proves more."""
    p = weights.astype(np.float64)
    infeasible = violation(p)
    residual = p @ codebook - z
    fit = np.square(residual).sum(1) / 2
    slope = residual @ codebook.T
    if penalty.kind == "local":
        cost = penalty.alpha / 2 * squared_distances(z, codebook)
        objective, slope = fit + (cost * p).sum(1), slope + cost
        return Certificate(objective, (slope * p).sum(1) - slope.min(1), infeasible)
    ridge = absolute(penalty, codebook)
    rows = np.arange(len(z))
    results = []
    for start in nearest_two(z, codebook):
        norm = np.square(p).sum(1) - 2 * p[rows, start] + 1
        pull = slope + ridge * p
        pull[rows, start] -= ridge
        results.append((fit + ridge / 2 * norm, (pull * p).sum(1) - pull.min(1)))
    (objective, gap), (other, lower) = results
    better = lower < gap
    return Certificate(np.where(better, other, objective), np.where(better, lower, gap), infeasible)


class Gradients(NamedTuple):
    """Gradients of ``sum <cotangent, p* C>`` in latents (N, F) and codebook (K, F)."""

    z: Array
    codebook: Array


def reference_gradients(
    z: Array, codebook: Array, weights: Array, cotangent: Array, penalty: Penalty
) -> Gradients:
    """Gradients at the minimisers ``weights`` of the anchored problem.

    On the support S with ``H = C_S C_S^T + a I`` solve ``[H 1; 1^T 0] [u; .] = [C_S w; 0]`` for
    each row's cotangent w, and with ``v = u C_S`` the gradient in z is v, that in C is
    ``p w^T + u (z - p C)^T - p v^T``. One small dense system a row.
    """
    fine, words = z.astype(np.float64), codebook.astype(np.float64)
    ridge = absolute(penalty, codebook)
    to_z, to_words = np.zeros_like(fine), np.zeros_like(words)
    for i, (latent, p, w) in enumerate(zip(fine, weights, cotangent, strict=True)):
        support = np.flatnonzero(p > 0)
        part, mass = words[support], p[support]
        n = len(support)
        system = np.ones((n + 1, n + 1))
        system[:n, :n] = part @ part.T + ridge * np.eye(n)
        system[n, n] = 0
        u = np.linalg.solve(system, np.append(part @ w, 0.0))[:n]
        to_z[i] = u @ part
        residual = latent - mass @ part
        to_words[support] += np.outer(mass, w - to_z[i]) + np.outer(u, residual)
    return Gradients(to_z, to_words)


def relative_distance(found: Array, reference: Array) -> float:
    """``|found - reference| / |reference|``."""
    return float(np.linalg.norm(found - reference) / np.linalg.norm(reference))

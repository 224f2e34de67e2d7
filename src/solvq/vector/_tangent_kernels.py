"""Gradients of exact soft convex weights, one row at a time, by the kernels that found them."""

from __future__ import annotations

from typing import Any

import numpy as np

from solvq.vector._convex_kernels import aim, append, workspace
from solvq.vector._kernels import Floats, kernel


@kernel
def tangent(problem: Any, work: Any, weights: Floats, slopes: Any, step: Floats) -> int:
    """Minimise ``1/2 u^T H u - g^T u`` over u of zero sum on the support of a row of weights.

    ``slopes`` are the two parts of g, of the values and of the weights, the latter without entries
    if there is none. A codeword that rounding cannot tell from the others has no u. The u go in
    ``step``, their codewords in the support, whose size is returned.
    """
    words, (to_values, to_weights) = problem[1], slopes
    count = 0
    for j in range(weights.size):
        if weights[j] > 0:
            right = float(to_weights[j]) if to_weights.size else 0.0
            for f in range(words.shape[1]):
                right += to_values[f] * words[j, f]
            count = append(problem, work, count, j, right)
    if count:
        aim(work, count, 0.0, step)
    return count


@kernel
def tangent_rows(problem: Any, rows: Any, slopes: Any, grads: Any, span: Any) -> None:
    """Gradients of rows by implicit differentiation, for those of values and weights, ``slopes``.

    ``rows`` are the weights p (N, K), the residuals r (N, F) and the starts (N,). ``grads`` are
    ``u C`` (N, F); for each part of the rows ``u^T r + p^T (to_values - u C)`` (K, F), and the sum
    of ``<u, e - p>``, or of ``-<u, p>`` where starts are empty; and u (N, K), if there is room.
    They hold zeros before.
    """
    words, (weights, residual, start) = problem[1], rows
    to_z, to_words, to_ridge, to_cost = grads[0], grads[1][span[2]], grads[2], grads[3]
    work = workspace(weights.shape[1], words.shape[1])
    step, shift, rest = np.empty(weights.shape[1]), work[4], np.empty(words.shape[1])
    for i in range(span[0], span[1]):
        parts = slopes[0][i], slopes[1][min(i, len(slopes[1]) - 1)]
        count = tangent(problem, work, weights[i], parts, step)
        shift[:] = 0.0
        for n in range(count):
            for f in range(shift.size):
                shift[f] += step[n] * words[work[0][n], f]
        to_z[i] = shift
        rest[:] = slopes[0][i] - shift
        n = 0
        for j in range(weights.shape[1]):
            if weights[i, j] > 0:
                weight, u = float(weights[i, j]), 0.0
                if n < count and work[0][n] == j:  # the support was walked in this order
                    u = step[n]
                    n += 1
                for f in range(rest.size):
                    to_words[j, f] += u * residual[i, f] + weight * rest[f]
                anchor = 1.0 if start.size and start[i] == j else 0.0
                to_ridge[span[2]] += u * (anchor - weight)
                if to_cost.size:
                    to_cost[i, j] = u

"""Indices that make the output of a layer right, not each weight by itself.

A linear layer with weights ``w`` (M, N) sees inputs whose second moments are ``H`` (N, N). What the
indices should minimise is the error of its outputs, ``sum_r (w - q)_r H (w - q)_r``, where
``q[r, c]`` is an entry of the table of weight ``(r, c)``. ``H`` is known from few inputs, so a
hundredth of its mean diagonal is added to its diagonal (damping): without it, the choice would suit
the inputs that were seen and no others. This is a closest-vector problem, hard in general. Two
searches in a row solve it well; both take entries nearest to weights that the errors ``e = w - q``
of other columns have moved:

1. *Feedback.* With ``H = V V^T``, ``V`` upper triangular, the loss is a sum over columns ``j`` of
   ``V_jj^2 (e_j + sum_(i<j) e_i V_ij / V_jj)^2``: every column is chosen to make its own term
   least, given the columns before. Columns of large ``H_jj`` come first.
2. *Descent.* Given all other columns, the best ``e_j`` is nearest to ``-sum_(i!=j) e_i H_ij /
   H_jj``. Every step lowers the loss; where there is none left, no single change can help.

Nearest entries have the least ``sum (w - q)^2``, so what beats them with damping does so without.

Source: E. Frantar et al., GPTQ: accurate post-training quantization for generative pre-trained
transformers, ICLR 2023, for the first, whose factor of the inverse of ``H`` is the inverse of
``V``; L. Babai, On Lovasz' lattice reduction and the nearest lattice point problem, 1986.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.code import index_dtype
from solvq.scalar._batch import row_thresholds
from solvq.scalar._kernels import Float64, kernel

DAMPING = 0.01  # of the mean of the diagonal is added to it before it is factored
BLOCK = 64  # columns whose errors are spread at once
ROWS = 512  # that one task takes
PASSES = 100  # of descent over a row, at most
SLACK = 1e-12  # of a loss: what rounding may pretend to gain


class Tables(NamedTuple):
    """Ascending entries (M or 1, G, K), the edges of their cells, and each column's group (N,)."""

    entries: Float64
    edges: Float64
    groups: NDArray[np.int64]


class Choice(NamedTuple):
    """Errors ``w - q`` and indices, both of shape (M, N)."""

    errors: Any
    indices: Any


class Couplings(NamedTuple):
    """What errors of some columns ask of others: ``order`` of the columns, then in this order.

    ``forward`` (N, N) has the factors of the errors of column ``i`` in the target of column ``j``;
    ``hessian`` is damped, and scaled so that its diagonal had mean 1 before.
    """

    order: NDArray[np.intp]
    forward: Float64
    hessian: Float64


@kernel
def _cell(x: float, edges: Float64) -> int:
    """Number of ascending edges below ``x``; half of the comparisons come out either way."""
    index, n = 0, edges.size
    while n > 0:
        half = (n + 1) >> 1
        index += half if x > edges[index + half - 1] else 0
        n -= half
    return index


@kernel
def _choose(w: Any, target: Float64, coupling: Float64, tables: Tables, found: Choice) -> None:
    """Choose the entries of neighbouring columns, the first to the last.

    ``target`` holds the weights plus what the errors so far ask for; the targets of the columns
    behind follow each error.
    """
    for r in range(w.shape[0]):
        row = 0 if tables.entries.shape[0] == 1 else r
        for j in range(w.shape[1]):
            group = tables.groups[j]
            index = _cell(target[r, j], tables.edges[row, group])
            error = w[r, j] - tables.entries[row, group, index]
            found.indices[r, j], found.errors[r, j] = index, error
            for c in range(j + 1, coupling.shape[1]):
                target[r, c] += error * coupling[j, c]


@kernel
def _descend(
    w: Float64, gradient: Float64, hessian: Float64, tables: Tables, found: Choice
) -> None:
    """Change one index after the other while that lowers a row's loss.

    ``gradient`` is half of the loss's, ``errors @ hessian``, and follows every change.
    """
    for r in range(w.shape[0]):
        row, before, now = 0 if tables.entries.shape[0] == 1 else r, -1, 0
        for _ in range(PASSES):
            if now == before:
                break
            before = now
            for j in range(w.shape[1]):
                own, error, group = hessian[j, j], found.errors[r, j], tables.groups[j]
                target = w[r, j] - error + gradient[r, j] / own
                index = _cell(target, tables.edges[row, group])
                change = w[r, j] - tables.entries[row, group, index] - error
                if change * (2.0 * gradient[r, j] + change * own) < -SLACK * change * change * own:
                    now += 1
                    found.indices[r, j], found.errors[r, j] = index, error + change
                    for c in range(w.shape[1]):
                        gradient[r, c] += change * hessian[j, c]


def couplings(hessian: NDArray[Any]) -> Couplings:
    """Order of the columns and their factors, from second moments (N, N) of inputs.

    Damping starts at a hundredth of the mean of the diagonal and grows tenfold until there is a
    factor. A column without inputs is bound to no other.
    """
    diagonal = np.diag(hessian).astype(np.float64)
    scale = diagonal.mean()
    order = np.argsort(-diagonal, kind="stable")
    damped = hessian[np.ix_(order, order)].astype(np.float64)
    damped = damped / scale if scale > 0.0 else np.eye(order.size)
    plain, damping = np.diag(damped).copy(), DAMPING
    while True:
        np.fill_diagonal(damped, plain + damping)
        try:
            forward = np.ascontiguousarray(np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1])
            break
        except np.linalg.LinAlgError:
            damping *= 10.0
    forward /= np.diag(forward).copy()
    np.fill_diagonal(forward, 0.0)
    return Couplings(order, forward, damped)


def tabled(tables: NDArray[Any], order: NDArray[np.intp], length: int) -> Tables:
    """Tables (M or 1, G, K) of columns in some order, ``length`` neighbours to a group."""
    entries = np.ascontiguousarray(tables, np.float64)
    edges = row_thresholds(entries.reshape(-1, entries.shape[2]))
    return Tables(entries, edges.reshape(*entries.shape[:2], -1), order // length)


def spread(w: Float64, forward: Float64, tables: Tables, found: Choice) -> None:
    """Feedback: choose all entries, block after block."""
    for start in range(0, w.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        target = w[:, block] + found.errors[:, :start] @ forward[:start, block]
        inner = np.ascontiguousarray(forward[block, block])
        part = Choice(found.errors[:, block], found.indices[:, block])
        _choose(w[:, block], target, inner, tables._replace(groups=tables.groups[block]), part)


def _started(w: Float64, tables: Tables, start: NDArray[Any] | None) -> Choice:
    """Choice of given indices, or of the nearest entries."""
    if start is None:
        found = Choice(np.empty_like(w), np.empty(w.shape, index_dtype(tables.entries.shape[2])))
        _choose(w, w.copy(), np.empty((w.shape[1], 0)), tables, found)
        return found
    rows = np.zeros(1, np.intp) if tables.entries.shape[0] == 1 else np.arange(w.shape[0])
    return Choice(w - tables.entries[rows[:, None], tables.groups, start], start)


def _solve(
    w: Float64, bound: Couplings, tables: Tables, start: NDArray[Any] | None
) -> NDArray[Any]:
    """Indices of some rows, columns in the order of ``bound``."""
    found = Choice(np.empty_like(w), np.empty(w.shape, index_dtype(tables.entries.shape[2])))
    spread(w, bound.forward, tables, found)
    gradient = found.errors @ bound.hessian
    others = [_started(w, tables, None)]
    others += [] if start is None else [_started(w, tables, start)]
    for other in others:
        slope = other.errors @ bound.hessian
        better = _inner(slope, other.errors) < _inner(gradient, found.errors)
        gradient[better] = slope[better]
        for array, its in zip(found, other, strict=True):
            array[better] = its[better]
    _descend(w, gradient, bound.hessian, tables, found)
    return found.indices


def _inner(a: Float64, b: Float64) -> Float64:
    """Inner products of the rows of two matrices."""
    products: Float64 = np.einsum("rc,rc->r", a, b)
    return products


def feedback(
    w: NDArray[Any],
    hessian: NDArray[Any],
    tables: NDArray[Any],
    length: int,
    start: NDArray[Any] | None = None,
    n_jobs: int | None = None,
) -> NDArray[Any]:
    """Indices of least error of the outputs of a layer, given tables: a local optimum.

    Minimise `proxy_loss`, with damping, over the choice of an entry for every weight. Feedback of
    errors gives a start, nearest entries take its place in rows where they are better, and descent
    goes on until no change of one index helps. So no row ends above its loss with nearest entries,
    with damping or without.

    Parameters
    ----------
    w : array of shape (M, N)
        Finite weights, a row per output.
    hessian : array of shape (N, N)
        Second moments of the inputs, symmetric, no negative diagonal.
    tables : array of shape (M, G, K) or (1, G, K)
        Ascending entries, of a row or of all; a table may repeat its last.
    length : int
        Column ``c`` has table ``c // length`` of its row, ``N <= G * length``.
    start : array of shape (M, N), optional
        Indices that no row shall end above, in loss with damping.
    n_jobs : int, optional
        Threads; all processors by default.

    Returns
    -------
    indices : array of shape (M, N), unsigned
    """
    bound = couplings(hessian)
    full = tabled(tables, bound.order, length)
    indices = np.empty(w.shape, index_dtype(tables.shape[2]))

    def work(first: int) -> None:
        rows = slice(first, first + ROWS)
        own = slice(None) if tables.shape[0] == 1 else rows
        ordered = w[rows].astype(np.float64)[:, bound.order]
        part = Tables(full.entries[own], full.edges[own], full.groups)
        given = None if start is None else start[rows][:, bound.order]
        indices[rows, bound.order] = _solve(np.ascontiguousarray(ordered), bound, part, given)

    with ThreadPoolExecutor(n_jobs or os.cpu_count()) as pool:
        list(pool.map(work, range(0, w.shape[0], ROWS)))
    return indices


def proxy_loss(w: NDArray[Any], q: NDArray[Any], hessian: NDArray[Any]) -> float:
    """``sum_r (w - q)_r H (w - q)_r``: squared error of all outputs, mean over the inputs.

    Parameters
    ----------
    w, q : array of shape (M, N)
        Weights and what stands for them.
    hessian : array of shape (N, N)
        Second moments of the inputs.
    """
    total, moments = 0.0, hessian.astype(np.float64)
    for start in range(0, w.shape[0], ROWS):
        rows = slice(start, start + ROWS)
        errors = w[rows].astype(np.float64) - q[rows].astype(np.float64)
        total += float(np.vdot(errors @ moments, errors))
    return total


def bias_shift(w: NDArray[Any], q: NDArray[Any], mean: NDArray[Any]) -> Float64:
    """What to add to a layer's bias so that its mean output stays, ``(w - q) mean``, (M,).

    Parameters
    ----------
    w, q : array of shape (M, N)
        Weights and what stands for them.
    mean : array of shape (N,)
        Means of the inputs.
    """
    shift: Float64 = w.astype(np.float64) @ mean - q.astype(np.float64) @ mean
    return shift

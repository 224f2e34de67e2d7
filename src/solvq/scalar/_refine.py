"""Which bins of a histogram to refine, and how far."""

from __future__ import annotations

import numpy as np

from solvq.scalar._bins import HIGH, LOW, Sums, UInt64
from solvq.scalar._bracket import (
    Moments,
    least_loss,
    may_be_cut,
    mean_problem,
    moments,
    most_loss,
    spread_problem,
)
from solvq.scalar._kernels import Float64
from solvq.scalar._partition import solve

MOST = 1 << 21  # new bins


def _distances(codebook: Float64, x: Float64) -> Float64:
    """Largest of the distances of entries around each number, up to two cells away."""
    steps = np.concatenate([[0.0], np.diff(codebook), [0.0]])
    cell = np.searchsorted(codebook, x)
    last = steps.size - 1
    around = (np.clip(cell + turn, 0, last) for turn in (-1, 0, 1))
    return np.max([steps[c] for c in around], axis=0)


def _pieces(found: Moments, n_values: int, tol: float) -> Float64:
    """Into how many bins to cut the span of each bin; 1 where no boundary can lie.

    A boundary between two values at a distance ``d`` in a bin of weight ``n`` and span ``s`` adds
    at most ``d n s / 2`` to the difference of the bounds, and one in ``p`` even pieces of the bin
    ``p^2`` times less. The boundaries share what the wanted gap leaves.
    """
    problem, spread = mean_problem(found), spread_problem(found)
    codebook = solve(problem.values, problem.weights, n_values).codebook
    loss = most_loss(found, problem, codebook)
    bound, penalty = least_loss(spread, n_values)
    cut = may_be_cut(spread, n_values, penalty, loss)
    span = found.high - found.low
    room = max(bound, loss / n_values**2) * tol / n_values
    if room == 0.0:
        return np.ones(span.size)
    distance = np.maximum(_distances(codebook, found.mean), span / n_values)
    pieces = np.sqrt(0.5 * distance * found.weight * span / room)
    return np.where(cut, np.maximum(pieces, 1.0), 1.0)


def _budget(pieces: Float64) -> Float64:
    """Pieces that are few enough in all."""
    wanted = pieces > 1.0
    while pieces[wanted].sum() > MOST:
        pieces = np.where(wanted, np.maximum(pieces / 1.25, 1.0), 1.0)
        wanted = pieces > 1.0
    return pieces


def finer_nodes(nodes: UInt64, sums: Sums, n_values: int, tol: float) -> UInt64:
    """Rows of a tree with finer bins where boundaries can lie."""
    found, place = moments(sums)
    pieces = _budget(_pieces(found, n_values, tol))
    chosen = (pieces > 1.0) & (place.shift > 0) & (sums.tree.child[found.bins] == 0)
    bins, shift, key = found.bins[chosen], place.shift[chosen], place.key[chosen]
    unit = np.ldexp(1.0, shift.astype(np.int32))
    first = key + ((1.0 - sums.rows[bins, LOW]) * unit).astype(np.uint64)
    last = key + (sums.rows[bins, HIGH] * unit).astype(np.uint64)
    width = (last - first).astype(np.float64) / pieces[chosen]
    finer = np.maximum(np.frexp(np.maximum(width, 1.0))[1] - 1, 0).astype(np.uint64)
    finer = np.minimum(finer, shift - np.uint64(1))
    start = first >> finer
    rows = np.stack(
        [bins.astype(np.uint64), finer, start, (last >> finer) - start + np.uint64(1)], 1
    )
    return np.concatenate([nodes, rows[np.argsort(bins)]])

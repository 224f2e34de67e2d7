"""Tables that make the output of a layer right, given its indices.

Minimise ``sum_r (w - q)_r H (w - q)_r`` with damping, as `feedback` does, over the tables: least
squares with as many unknowns as a table has entries, group after group. `feedback` from where the
indices are and this, by turns, never make the loss larger.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._feedback import ROWS, couplings
from solvq.scalar._kernels import Float64, kernel

LARGE = 1 << 22  # numbers that the systems of one task take


@kernel
def _add_normal(
    gradient: Any, hessian: Float64, indices: Any, systems: Float64, rights: Float64, room: Float64
) -> None:
    """Add the normal equations of the entries of each row, or of all if there is one system.

    ``systems[a, b]`` sums the Hessian over the columns of entry ``a`` and those of entry ``b``.
    """
    for r in range(indices.shape[0]):
        row = 0 if systems.shape[0] == 1 else r
        room[:] = 0.0
        for j in range(indices.shape[1]):
            entry = indices[r, j]
            rights[row, entry] += gradient[r, j]
            for c in range(room.shape[1]):
                room[entry, c] += hessian[j, c]
        for entry in range(room.shape[0]):
            for c in range(room.shape[1]):
                systems[row, entry, indices[r, c]] += room[entry, c]


def _refit(w: Float64, moments: Float64, tables: Float64, indices: Any, length: int) -> None:
    """Move the tables (M or 1, G, K) to their best places, in place."""
    n_values = tables.shape[2]
    rows = np.zeros((w.shape[0], 1), np.intp)
    if tables.shape[0] > 1:
        rows += np.arange(w.shape[0])[:, None]
    errors = w - tables[rows, np.arange(w.shape[1]) // length, indices]
    gradient = errors @ moments
    for group, start in enumerate(range(0, w.shape[1], length)):
        block = slice(start, start + length)
        inner = np.ascontiguousarray(moments[block, block])
        systems = np.zeros((tables.shape[0], n_values, n_values))
        rights, room = np.zeros(systems.shape[:2]), np.empty((n_values, inner.shape[0]))
        _add_normal(gradient[:, block], inner, indices[:, block], systems, rights, room)
        diagonal = np.einsum("rkk->rk", systems)
        diagonal[diagonal == 0.0] = 1.0  # an entry that no weight uses stays
        moves = np.linalg.solve(systems, rights[..., None])[..., 0]
        tables[:, group] += moves
        gradient -= moves[rows, indices[:, block]] @ moments[block]


def refit(
    w: NDArray[Any],
    hessian: NDArray[Any],
    tables: NDArray[Any],
    indices: NDArray[Any],
    length: int,
    n_jobs: int | None = None,
) -> tuple[Float64, NDArray[Any]]:
    """Tables of least error of the outputs of a layer, given which entry each weight takes.

    Parameters
    ----------
    w, hessian, tables, length, n_jobs
        As for `feedback`. Tables that all rows share take memory for three matrices like ``w``.
    indices : array of shape (M, N)
        Entries that the weights take.

    Returns
    -------
    tables : array of shape (M, G, K) or (1, G, K)
        Ascending again.
    indices : array of shape (M, N)
        The same choice: where the entries are now.
    """
    bound = couplings(hessian)
    back = np.argsort(bound.order)
    moments = bound.hessian[np.ix_(back, back)]
    moved = tables.astype(np.float64)
    shared = tables.shape[0] == 1
    step = w.shape[0] if shared else max(1, min(ROWS, LARGE // tables.shape[2] ** 2))

    def work(start: int) -> None:
        rows = slice(start, start + step)
        own = slice(None) if shared else rows
        _refit(w[rows].astype(np.float64), moments, moved[own], indices[rows], length)

    with ThreadPoolExecutor(n_jobs or os.cpu_count()) as pool:
        list(pool.map(work, range(0, w.shape[0], step)))
    order = np.argsort(moved, axis=2, kind="stable")
    places = np.argsort(order, axis=2).astype(indices.dtype)
    rows = np.zeros(1, np.intp) if shared else np.arange(w.shape[0])
    groups = np.arange(w.shape[1]) // length
    return np.take_along_axis(moved, order, 2), places[rows[:, None], groups, indices]

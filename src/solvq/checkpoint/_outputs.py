"""Indices and tables for a layer's outputs, where second moments of its inputs are known."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NUMPY_DTYPES
from solvq.checkpoint._feedback import feedback, proxy_loss
from solvq.checkpoint._refit import refit
from solvq.checkpoint._scheme import Scheme
from solvq.scalar._kernels import Float64

TURNS = 2  # of tables and indices


class Choice(NamedTuple):
    """Tables (G, K) and flat indices."""

    tables: NDArray[Any]
    indices: NDArray[Any]


def matrix(array: NDArray[Any]) -> NDArray[Any]:
    """A tensor as the matrix that inputs are multiplied with, a row per output."""
    return array.reshape(array.shape[0], -1)


def _spread(scheme: Scheme, tables: Float64, scales: Float64, shape: Any) -> Any:
    """Tables (M or 1, G, K) with their scales, and the columns of a group.

    None where tables or scales are shared by parts of rows that differ from row to row.
    """
    rows, columns = shape
    if scheme.tables.blocks not in (1, rows) or (scheme.scales and scheme.tables.blocks != 1):
        return None
    if scheme.scales is None:
        return tables.reshape(-1, 1, scheme.n_values), columns
    groups = scheme.scales.blocks // rows
    if scheme.scales.blocks != groups * rows or columns % max(groups, 1):
        return None
    return scales.reshape(rows, groups, 1) * tables.reshape(1, 1, -1), columns // groups


def fitted(
    w: NDArray[Any], hessian: Float64, scheme: Scheme, found: tuple[Choice, Float64], jobs: Any
) -> Choice:
    """Indices, and without scales tables, of less error of the outputs than those found.

    ``w`` is `matrix` of the tensor; the tables are as they are stored, also those returned. What
    cannot be done with a scheme is left as it is.
    """
    choice, scales = found
    stored = NUMPY_DTYPES[scheme.values]
    spread = _spread(scheme, choice.tables.astype(np.float64), scales, w.shape)
    if spread is None:
        return choice
    full, length = spread
    indices = feedback(w, hessian, full, length, n_jobs=jobs)
    tables = choice.tables
    if scheme.scales is None:
        for _ in range(TURNS):
            full, indices = refit(w, hessian, full, indices, length, jobs)
            tables = full.astype(stored)
            full = tables.astype(np.float64)
            indices = feedback(w, hessian, full, length, indices, jobs)
        tables = tables.reshape(choice.tables.shape)
    return Choice(tables, indices.reshape(-1))


def output_error(w: NDArray[Any], q: NDArray[Any], hessian: Float64) -> float:
    """Squared error of the outputs over their squares."""
    energy = proxy_loss(w, np.zeros((1, 1), w.dtype), hessian)
    return proxy_loss(w, q, hessian) / energy if energy > 0.0 else 0.0

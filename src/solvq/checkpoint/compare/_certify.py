"""How far the tables of a tensor, whoever made them, are from the best of their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint.compare._runs import add_cells, count_ranks, take_distinct
from solvq.checkpoint.compare._structure import CHUNK, Structure, chunks, count_values
from solvq.scalar import Histogram, certificate, quantize_rows
from solvq.scalar._certificate import gap
from solvq.scalar._kernels import Float64

LARGE = 1 << 20  # from this many weights on, the bound of one table comes from a histogram


@dataclass(frozen=True)
class Proof:
    """Squared errors of a tensor, each over the sum of squares of the original.

    Attributes
    ----------
    error : float
        What the tensor has.
    nearest : float
        With every weight at the nearest value of its own table.
    recentred : float
        With the weights of every table entry at their mean.
    lower_bound : float
        Proven least of any tables of that size, of which each serves as many weights.
    """

    error: float
    nearest: float
    recentred: float
    lower_bound: float

    @property
    def gap(self) -> float:
        """Relative distance of the error from its lower bound: 0.085 is 8.5 % above the optimum."""
        return gap(self.error, self.lower_bound)


def _own_tables(part: NDArray[Any]) -> Float64:
    """Ascending values of each row of a matrix; the largest fills what is left."""
    ordered = np.sort(part, axis=1)
    counts = np.zeros(ordered.shape[1], np.int64)
    tables = np.empty((len(part), count_ranks(ordered, ordered.shape[1], counts)))
    take_distinct(ordered, tables)
    return tables


def _saved(cells: Float64) -> float:
    """What moving every entry to the mean of its weights takes off the summed squared error."""
    return float(np.sum(cells[1] ** 2 / np.maximum(cells[0], 1.0)))


def _one_table(a: NDArray[Any], b: NDArray[Any], values: Float64) -> tuple[float, float]:
    """Sum of errors to the nearest values of a table, and what its means would save."""
    cells, nearest = np.zeros((2, 1, values.size)), 0.0
    for x, y in zip(chunks(a), chunks(b), strict=True):
        nearest += add_cells(x.reshape(1, -1), y.reshape(1, -1), values[None], cells)
    return nearest, _saved(cells)


def _many_tables(a: NDArray[Any], b: NDArray[Any], length: int) -> tuple[float, float]:
    """`_one_table` for groups that have a table each: the values that occur in them."""
    nearest = saved = 0.0
    for x, y in zip(chunks(a, length), chunks(b, length), strict=True):
        tables = _own_tables(y)
        cells = np.zeros((2, *tables.shape))
        nearest += add_cells(x, y, tables, cells)
        saved += _saved(cells)
    return nearest, saved


def _table_bound(a: NDArray[Any], values: Float64) -> float:
    """Proven least sum of squared errors of one table of as many values.

    Of a large tensor it is that of a histogram of two passes, which need no copy of the tensor
    and lose about a millionth of the bound.
    """
    if a.size < LARGE:
        return certificate(a, values).lower_bound * a.size
    histogram = Histogram()
    for turn in range(2):
        histogram = histogram.refine(values.size) if turn else histogram
        for part in chunks(a):
            histogram.update(part)
    return histogram.certificate(values).lower_bound * a.size


def _bound(a: NDArray[Any], length: int, n_values: int, n_jobs: int | None) -> float:
    """Proven least sum of squared errors of tables of ``n_values`` for groups of weights."""
    total = 0.0
    for part in chunks(a, length, 8 * CHUNK):  # several tasks at once
        rows = quantize_rows(part, n_values, n_jobs=n_jobs)
        total += float(rows.lower_bound.sum()) * part.shape[1]
    return total


def prove(
    a: NDArray[Any], b: NDArray[Any], structure: Structure, error: float, n_jobs: int | None
) -> Proof | None:
    """Proof of a tensor of tables; sums in the units of the data, not yet relative.

    ``a`` and ``b`` are flat, finite and not empty, ``error`` is the sum of their squared
    differences. None for a structure without tables, or whose tables would have more than half
    as many entries as they serve weights: a bound of such says nothing.
    """
    if structure.n_values is None or 2 * structure.n_values > structure.length:
        return None
    if structure.per == "tensor":
        values = np.asarray(count_values(b).values, np.float64)
        nearest, saved = _one_table(a, b, values)
        bound = _table_bound(a, values)
    else:
        nearest, saved = _many_tables(a, b, structure.length)
        bound = _bound(a, structure.length, structure.n_values, n_jobs)
    nearest, recentred = min(error, nearest), max(0.0, error - saved)
    return Proof(error, nearest, recentred, min(bound, nearest, recentred))

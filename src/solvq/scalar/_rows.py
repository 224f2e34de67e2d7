"""One codebook per row of a matrix, all rows in one parallel call."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import checked_weight
from solvq.code import index_dtype
from solvq.scalar._base import ScalarQuantizer, check_flag
from solvq.scalar._batch import assign_rows, row_thresholds
from solvq.scalar._kernels import Float64
from solvq.scalar._quantize import make_quantizer, rounded
from solvq.scalar._reduce import checked, refuse_nonfinite

BLOCK = 1 << 18  # values that one task takes
Result = TypeVar("Result")


class Rows(NamedTuple):
    """Codes of the rows of a matrix.

    ``codebooks[r, indices[r]]`` decodes row ``r``. `distortion` and `lower_bound` are weighted
    means of squared errors per row; a row that needs fewer values repeats its largest.
    """

    codebooks: NDArray[Any]
    indices: NDArray[Any]
    distortion: Float64
    lower_bound: Float64

    def decode(self) -> NDArray[Any]:
        """Matrix of the nearest values."""
        return np.take_along_axis(self.codebooks, self.indices.astype(np.intp), axis=1)


def _widened(codebooks: NDArray[Any], size: int) -> NDArray[Any]:
    """Codebooks that repeat their largest entries up to a size."""
    last = codebooks[:, -1:]
    return np.concatenate([codebooks, np.repeat(last, size - codebooks.shape[1], axis=1)], axis=1)


def _solve_part(
    quantizer: ScalarQuantizer, x: NDArray[Any], weight: Float64 | None, certify: bool
) -> Rows:
    """Codes of some rows."""
    solved, bounds, cells = quantizer._solve_rows(x, weight, certify)
    codebooks = rounded(solved, x.dtype)
    table = codebooks.astype(np.float64)
    edges = row_thresholds(table) if cells is None else cells
    indices = np.empty(x.shape, index_dtype(solved.shape[1]))
    wide = np.ascontiguousarray(x, np.float32 if x.dtype.itemsize <= 2 else None)
    wide = wide if wide.dtype.kind == "f" else wide.astype(np.float64)
    given = np.empty((0, 0)) if weight is None else np.ascontiguousarray(weight)
    losses = assign_rows(wide, given, table, edges, indices)
    return Rows(codebooks, indices, losses, np.minimum(bounds, losses))


def over_rows(
    x: Any,
    sample_weight: Any,
    n_jobs: int | None,
    work: Callable[[NDArray[Any], Float64 | None], Result],
) -> list[Result]:
    """Results of some rows of a checked matrix and their weights, part after part, in parallel.

    Weights are scaled by a power of two, so that none is above 1.
    """
    data = checked(x)
    if data.ndim != 2:
        raise ValueError(f"x has shape {data.shape}; give a matrix (R, C)")
    weight = checked_weight(sample_weight, data.shape)
    exponent = 0 if weight is None else int(np.frexp(weight.max())[1])
    weight = None if weight is None else weight.reshape(data.shape)
    if data.dtype.kind not in "iu":
        refuse_nonfinite(data.size - int(np.count_nonzero(np.isfinite(data))), data.size)
    step = max(1, BLOCK // data.shape[1])

    def part(start: int) -> Result:
        rows = slice(start, start + step)
        scaled = None if weight is None else np.ldexp(weight[rows], -exponent)
        return work(data[rows], scaled)

    with ThreadPoolExecutor(n_jobs or os.cpu_count()) as pool:
        return list(pool.map(part, range(0, data.shape[0], step)))


def quantize_rows(
    x: Any,
    n_values: int = 16,
    method: str = "optimal",
    sample_weight: Any = None,
    n_jobs: int | None = None,
    certify: bool = True,
    **parameters: Any,
) -> Rows:
    """Quantize each row of a matrix with a codebook of its own.

    Parameters
    ----------
    x : array_like of shape (R, C), or torch tensor
        Finite numbers, as for `solvq.quantize`.
    n_values : int, default 16
        Wanted number of values per row.
    method : str, default "optimal"
        Name in `solvq.scalar.METHODS`.
    sample_weight : array_like of shape (R, C), optional
        Nonnegative weights; a row whose weights are all zero is solved without.
    n_jobs : int, optional
        Threads; all processors by default.
    certify : bool, default True
        Prove a lower bound for every row. If False, it is 0 where it would take work of its own,
        as it does for all methods but ``optimal``.
    **parameters
        Further parameters of the method.

    Returns
    -------
    Rows
        ``codebooks`` in the dtype of ``x``, (R, n_values) or, where a price (``alpha``, ``bits``)
        leaves more values in a row, as wide as that; ``indices`` (R, C); and the mean distortion
        and its proven lower bound per row.

    Raises
    ------
    ValueError
        If ``x`` is not a finite non-empty matrix, or an argument is out of range.
    """
    check_flag("certify", certify)
    quantizer = make_quantizer(method, n_values, parameters)

    def solve(part: NDArray[Any], weight: Float64 | None) -> Rows:
        return _solve_part(quantizer, part, weight, certify)

    blocks = over_rows(x, sample_weight, n_jobs, solve)
    size = max(rows.codebooks.shape[1] for rows in blocks)
    blocks = [rows._replace(codebooks=_widened(rows.codebooks, size)) for rows in blocks]
    return Rows(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

"""One codebook per row of a matrix, all rows in one parallel call."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import checked_weight
from solvq.code import index_dtype
from solvq.scalar._base import ScalarQuantizer, check_flag
from solvq.scalar._batch import assign_rows
from solvq.scalar._kernels import Float64
from solvq.scalar._quantize import make_quantizer
from solvq.scalar._reduce import checked, refuse_nonfinite

BLOCK = 1 << 18  # values that one task takes


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


def _round_rows(codebooks: Float64, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Codebooks in the dtype of the data."""
    return (np.rint(codebooks) if dtype.kind in "iu" else codebooks).astype(dtype)


def _solve_part(
    quantizer: ScalarQuantizer, x: NDArray[Any], weight: Float64 | None, certify: bool
) -> Rows:
    """Codes of some rows."""
    n_values = quantizer.n_values
    solved, bounds = quantizer._solve_rows(x, weight, certify)
    full = np.empty((x.shape[0], n_values))
    for r, codebook in enumerate(solved):
        full[r, : codebook.size], full[r, codebook.size :] = codebook, codebook[-1]
    codebooks = _round_rows(full, x.dtype)
    indices = np.empty(x.shape, index_dtype(n_values))
    wide = x.astype(np.float32) if x.dtype.itemsize <= 2 else x
    losses = assign_rows(
        wide, np.empty((0, 0)) if weight is None else weight, codebooks.astype(np.float64), indices
    )
    return Rows(codebooks, indices, losses, np.minimum(bounds, losses))


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
        ``codebooks`` (R, n_values) in the dtype of ``x``, ``indices`` (R, C), and the mean
        distortion and its proven lower bound per row.

    Raises
    ------
    ValueError
        If ``x`` is not a finite non-empty matrix, or an argument is out of range.
    """
    data = checked(x)
    if data.ndim != 2:
        raise ValueError(f"x has shape {data.shape}; give a matrix (R, C)")
    weight = checked_weight(sample_weight, data.shape)
    exponent = 0 if weight is None else int(np.frexp(weight.max())[1])
    weight = None if weight is None else weight.reshape(data.shape)
    if data.dtype.kind not in "iu":
        refuse_nonfinite(data.size - int(np.count_nonzero(np.isfinite(data))), data.size)
    check_flag("certify", certify)
    quantizer = make_quantizer(method, n_values, parameters)
    step = max(1, BLOCK // data.shape[1])

    def block(start: int) -> Rows:
        part = slice(start, start + step)
        scaled = None if weight is None else np.ldexp(weight[part], -exponent)
        return _solve_part(quantizer, data[part], scaled, certify)

    with ThreadPoolExecutor(n_jobs or os.cpu_count()) as pool:
        blocks = list(pool.map(block, range(0, data.shape[0], step)))
    return Rows(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

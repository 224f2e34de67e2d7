"""Nested codebooks: one code, of which the leading bits are a code of fewer values."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import checked_weight
from solvq.code import index_dtype
from solvq.scalar._assign import assign_cells
from solvq.scalar._batch import assign_rows
from solvq.scalar._certificate import gap
from solvq.scalar._kernels import Float64, workspace
from solvq.scalar._nested_kernels import cell_values, level_losses, nest, nest_sorted_rows
from solvq.scalar._partition import solve
from solvq.scalar._quantize import rounded
from solvq.scalar._reduce import checked, reduce, sorted_pairs
from solvq.scalar._rows import over_rows

MOST = 16  # bits


class Nested(NamedTuple):
    """One code for several numbers of bits.

    Attributes
    ----------
    bits : (int, int)
        Fewest and most bits.
    indices : ndarray of the shape of the data
        Indices at the most bits; the leading ``b`` bits are the indices at ``b``.
    codebooks : tuple of ndarray
        One for each number of bits, of shape ``(2**b,)`` or, for rows, ``(R, 2**b)``.
    distortion, lower_bound : ndarray of shape (levels,) or (R, levels)
        Weighted mean of squared errors at each number of bits, and its proven lower bound for any
        codebook of ``2**b`` values, nested or not.
    """

    bits: tuple[int, int]
    indices: NDArray[Any]
    codebooks: tuple[NDArray[Any], ...]
    distortion: Float64
    lower_bound: Float64

    @property
    def gap(self) -> Float64:
        """``distortion / lower_bound - 1``: what nesting costs, at most; 0 where no error is."""
        return np.vectorize(gap, otypes=[float])(self.distortion, self.lower_bound)

    def _level(self, bits: int) -> int:
        """Place of a number of bits."""
        low, high = self.bits
        if not isinstance(bits, Integral) or not low <= bits <= high:
            raise ValueError(f"bits is {bits!r}; this code serves {low} to {high}")
        return int(bits) - low

    def codebook(self, bits: int) -> NDArray[Any]:
        """Codebook, or codebooks of the rows, at a number of bits."""
        return self.codebooks[self._level(bits)]

    def indices_at(self, bits: int) -> NDArray[Any]:
        """Indices at a number of bits, in the smallest unsigned dtype."""
        self._level(bits)
        return (self.indices >> (self.bits[1] - bits)).astype(index_dtype(2**bits), copy=False)

    def decode(self, bits: int) -> NDArray[Any]:
        """Numbers that the leading bits stand for."""
        table, indices = self.codebook(bits), self.indices_at(bits)
        if table.ndim == 1:
            return np.asarray(table[indices])
        return np.take_along_axis(table, indices.astype(np.intp), axis=1)


def _checked_bits(bits: Any) -> tuple[int, int]:
    """Fewest and most bits."""
    try:
        low, high = bits
    except (TypeError, ValueError):
        raise TypeError(f"bits is {bits!r}; give a pair of integers (fewest, most)") from None
    if not all(isinstance(end, Integral) and not isinstance(end, bool) for end in (low, high)):
        raise TypeError(f"bits is {bits!r}; give a pair of integers (fewest, most)")
    if not 1 <= low <= high <= MOST:
        raise ValueError(f"bits is {bits!r}; give 1 <= fewest <= most <= {MOST}")
    return int(low), int(high)


def nested(x: Any, bits: tuple[int, int] = (3, 8), sample_weight: Any = None) -> Nested:
    """Store an array once for every number of bits from the fewest to the most.

    Minimises the (weighted) mean of squared errors at the fewest bits over all codebooks, and then
    at one bit more, again and again, over all ways of cutting each cell in two: every level is
    optimal given the one before. O(n log n).

    Parameters
    ----------
    x : array_like of any shape, or torch tensor
        Finite numbers, as for `solvq.quantize`.
    bits : (int, int), default (3, 8)
        Fewest and most bits, 1 to 16.
    sample_weight : array_like of the shape of ``x``, optional
        Nonnegative weights of the squared errors.

    Returns
    -------
    Nested
        The codebooks ascend and are in the dtype of ``x``; a cell of one value cannot be cut, and
        both its indices then mean that value, of which the lower one is used. Cells are those of
        the parents: a number near a boundary need not have the nearest value.

    Raises
    ------
    ValueError, TypeError
        As `solvq.quantize`, and for bits that are not an ascending pair.

    References
    ----------
    Park et al., Any-Precision LLM, ICML 2024 (the use; there, the cuts are by k-means).

    Examples
    --------
    >>> import numpy as np
    >>> from solvq.scalar import nested
    >>> code = nested(np.array([0.0, 0.2, 1.0, 5.0, 5.5, 9.0]), bits=(1, 2))
    >>> code.indices.tolist(), code.codebook(2).round(2).tolist()
    ([0, 0, 1, 2, 2, 3], [0.1, 1.0, 5.25, 9.0])
    >>> code.indices_at(1).tolist(), code.codebook(1).round(2).tolist()
    ([0, 0, 0, 1, 1, 1], [0.4, 6.5])
    """
    low, high = _checked_bits(bits)
    data = checked(x)
    problem = reduce(data, checked_weight(sample_weight, data.shape))
    u, w = problem.values, problem.weights
    breaks = nest(u, w, 2**low, high - low, workspace(u.size))
    codebooks, losses, bounds = [], [], []
    for level in range(low, high + 1):
        cells, values = breaks[:: 2 ** (high - level)].copy(), np.empty(2**level)
        cell_values(u, w, cells, values)
        codebooks.append(rounded(problem.restore(values), data.dtype))
        decoded = np.repeat(problem.scale(codebooks[-1].astype(np.float64)), np.diff(cells))
        losses.append(float(w @ (u - decoded) ** 2))
        bounds.append(min(losses[-1], solve(u, w, 2**level).lower_bound))
    indices = assign_cells(data, problem.restore(u[breaks[1:-1] - 1]))
    distortion, lower_bound = (problem.mean_loss(np.array(sums)) for sums in (losses, bounds))
    return Nested((low, high), indices, tuple(codebooks), distortion, lower_bound)


def _nest_block(x: NDArray[Any], weight: Float64 | None, low: int, high: int) -> Nested:
    """Nested codes of a block of rows."""
    wide = x.astype(np.float32) if x.dtype.itemsize <= 2 or x.dtype.kind not in "fiu" else x
    wide = wide if wide.dtype.kind == "f" else wide.astype(np.float64)
    none = np.empty((0, 0))
    ordered, weights = np.sort(wide, axis=1), none
    if weight is not None:
        ordered, weights = sorted_pairs(wide, weight)
    sizes = [2**level for level in range(low, high + 1)]
    tables, edges = np.empty((len(x), sum(sizes))), np.empty((len(x), 2**high - 1))
    bounds, losses = np.empty((len(x), len(sizes))), np.empty((len(x), len(sizes)))
    nest_sorted_rows(ordered, weights, workspace(x.shape[1]), tables, edges, bounds)
    parts = np.split(rounded(tables, x.dtype), np.cumsum(sizes)[:-1], axis=1)
    indices = np.empty(x.shape, index_dtype(2**high))
    given = none if weight is None else weight
    assign_rows(wide, given, np.ascontiguousarray(parts[-1], np.float64), edges, indices)
    for i, table in enumerate(parts):
        exact = np.ascontiguousarray(table, np.float64)
        losses[:, i] = level_losses(wide, given, exact, indices, len(sizes) - 1 - i)
    return Nested((low, high), indices, tuple(parts), losses, np.minimum(bounds, losses))


def nested_rows(
    x: Any,
    bits: tuple[int, int] = (3, 8),
    sample_weight: Any = None,
    n_jobs: int | None = None,
) -> Nested:
    """`nested` for each row of a matrix, with codebooks of its own.

    Parameters
    ----------
    x : array_like of shape (R, C), or torch tensor
        Finite numbers, as for `solvq.quantize`.
    bits : (int, int), default (3, 8)
        Fewest and most bits, 1 to 16.
    sample_weight : array_like of shape (R, C), optional
        Nonnegative weights; a row whose weights are all zero is solved without.
    n_jobs : int, optional
        Threads; all processors by default.

    Raises
    ------
    ValueError, TypeError
        As `nested`, and if ``x`` is not a matrix.
    """
    low, high = _checked_bits(bits)

    def solve(part: NDArray[Any], weight: Float64 | None) -> Nested:
        return _nest_block(part, weight, low, high)

    blocks = over_rows(x, sample_weight, n_jobs, solve)
    books = zip(*(one.codebooks for one in blocks), strict=True)
    indices, distortion, lower_bound = (
        np.concatenate([getattr(one, name) for one in blocks])
        for name in ("indices", "distortion", "lower_bound")
    )
    return Nested((low, high), indices, tuple(map(np.concatenate, books)), distortion, lower_bound)

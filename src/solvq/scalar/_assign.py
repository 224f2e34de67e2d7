"""Indices of numbers: of the closest codebook entry, ties to the lower one, or of given cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.code import index_dtype
from solvq.scalar._kernels import Float64, kernel
from solvq.scalar._reduce import pattern_values

COARSE, FINE = 16, 13  # bits of a float32 that the lookup leaves out, the latter for more than
LARGE = 1024  # entries
MANY = 1 << 17  # from this many values on, building the table pays


@kernel
def thresholds(codebook: Float64) -> Float64:
    """Largest floats that are no farther from the lower of two neighbouring entries.

    Of equal entries the first one is used: the others have no values below their edges.
    """
    edges = np.empty(codebook.size - 1)
    for i in range(edges.size - 1, -1, -1):
        low, high = codebook[i], codebook[i + 1]
        if low == high:
            edges[i] = edges[i + 1] if i + 1 < edges.size else np.inf
            continue
        middle = low + 0.5 * (high - low)
        if middle == np.inf:
            middle = 0.5 * low + 0.5 * high
        if middle - low > high - middle:  # rounded up
            middle = np.nextafter(middle, low)
        edges[i] = middle
    return edges


@kernel
def _cell(x: float, edges: Float64, low: int, high: int) -> int:
    """Number of sorted ``edges`` below ``x``, known to lie in ``low..high``."""
    while low < high:
        middle = (low + high) >> 1
        if x > edges[middle]:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _bucket(u: Any, shift: Any) -> Any:
    """Upper bits of an integer that is in the order of the float32 values of bits ``u``."""
    return (u ^ np.uint32(0xFFFFFFFF) if u >> 31 else u | np.uint32(0x80000000)) >> shift


@kernel
def _assign_table(x: Any, bits: Any, edges: Float64, first: Any, shift: Any, out: Any) -> None:
    """Cells of values whose float32 bits are at hand; ``first`` is that of `_first_cells`."""
    for i in range(x.size):
        bucket = _bucket(bits[i], shift)
        low, high = first[bucket], first[bucket + 1]
        out[i] = low if low == high else _cell(x[i], edges, low, high)


@kernel
def _first_cells(bits: NDArray[np.uint32], shift: Any, first: NDArray[np.int32]) -> None:
    """Count the edges, of which the float32 bits are given, in the buckets below each."""
    for u in bits:
        first[_bucket(u, shift) + 1] += 1
    for bucket in range(first.size - 1):
        first[bucket + 1] += first[bucket]


@kernel
def _gather(table: NDArray[Any], patterns: NDArray[Any], out: NDArray[Any]) -> None:
    """Entries of a table; NumPy's indexing would first widen the patterns."""
    for i in range(patterns.size):
        out[i] = table[patterns[i]]


@kernel
def assign_search(x: NDArray[Any], edges: Float64, out: Any) -> None:
    """Cells of values by binary search."""
    for i in range(x.size):
        out[i] = _cell(x[i], edges, 0, edges.size)


@kernel
def nearest_loss(values: Float64, weights: Float64, codebook: Float64) -> float:
    """Weighted sum of squared distances of sorted values to a sorted codebook."""
    total, c = 0.0, 0
    for i in range(values.size):
        while c + 1 < codebook.size and abs(values[i] - codebook[c + 1]) < abs(
            values[i] - codebook[c]
        ):
            c += 1
        total += weights[i] * (values[i] - codebook[c]) ** 2
    return total


@kernel
def cell_loss(values: Float64, weights: Float64, codebook: Float64, edges: Float64) -> float:
    """Weighted sum of squared distances of sorted values to the entries of their cells."""
    total, c = 0.0, 0
    for i in range(values.size):
        while c < edges.size and values[i] > edges[c]:
            c += 1
        total += weights[i] * (values[i] - codebook[c]) ** 2
    return total


def without_repeats(codebook: NDArray[Any], edges: Any) -> tuple[NDArray[Any], Any]:
    """Distinct entries of an ascending codebook, and the edges between them (or None)."""
    keep = np.ones(codebook.size, bool)
    keep[1:] = codebook[1:] != codebook[:-1]
    return codebook[keep], None if edges is None else edges[keep[1:]]


def _single_bits(x: NDArray[Any]) -> NDArray[np.uint32]:
    """Bits of the nearest float32 values, which never fall as the values grow."""
    with np.errstate(over="ignore"):
        return x.astype(np.float32, copy=False).view(np.uint32)


@kernel
def _pattern_cells(values: Float64, patterns: Any, edges: Float64, table: Any) -> None:
    """Write the cell of each bit pattern, given in the order of their values, NaN last."""
    cell = 0
    for i in range(values.size):
        while cell < edges.size and values[i] > edges[cell]:
            cell += 1
        table[patterns[i]] = cell


def assign(x: NDArray[Any], codebook: NDArray[Any]) -> NDArray[Any]:
    """Index of the nearest entry of a sorted codebook for each value, in the smallest dtype."""
    return assign_cells(x, thresholds(codebook.astype(np.float64)))


def assign_cells(x: NDArray[Any], edges: Float64) -> NDArray[Any]:
    """Number of ascending edges below each value, in the smallest dtype."""
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty(flat.size, index_dtype(edges.size + 1))
    if flat.dtype.itemsize <= 2:
        values, patterns = pattern_values(flat.dtype)
        table = np.empty(values.size, out.dtype)
        _pattern_cells(values, patterns, edges, table)
        _gather(table, flat.view(f"u{flat.dtype.itemsize}"), out)
    elif flat.size < MANY or flat.dtype.kind != "f":
        assign_search(flat, edges, out)
    else:
        shift = np.uint32(COARSE if edges.size < LARGE else FINE)
        first = np.zeros((1 << (32 - int(shift))) + 1, np.int32)
        bits = _single_bits(edges + 0.0)  # no negative zero: it has a bucket below
        _first_cells(bits, shift, first)
        _assign_table(flat, _single_bits(flat), edges, first, shift, out)
    return out.reshape(x.shape)

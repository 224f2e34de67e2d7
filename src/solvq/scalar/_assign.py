"""Nearest-value assignment: indices of the closest codebook entry, ties to the lower one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.code import index_dtype
from solvq.scalar._kernels import Float64, kernel
from solvq.scalar._reduce import pattern_values

TABLE = 1 << 16  # buckets of the lookup by the upper half of a float32
MANY = 1 << 17  # from this many values on, building the table pays


@kernel
def thresholds(codebook: Float64) -> Float64:
    """Largest floats that are no farther from the lower of two neighbouring entries."""
    edges = np.empty(codebook.size - 1)
    for i in range(edges.size):
        low, high = codebook[i], codebook[i + 1]
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
def _assign_table(x: NDArray[Any], bits: Any, edges: Float64, bounds: Any, out: Any) -> None:
    """Cells of values whose float32 bits are at hand; ``bounds`` holds the range per bucket."""
    for i in range(x.size):
        u = bits[i]
        bucket = (u ^ np.uint32(0xFFFFFFFF) if u >> 31 else u | np.uint32(0x80000000)) >> 16
        low, high = bounds[0, bucket], bounds[1, bucket]
        out[i] = low if low == high else _cell(x[i], edges, low, high)


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


def _bucket_bounds(edges: Float64) -> NDArray[np.int32]:
    """First and last possible cell of each bucket of float32 values, one step wider each side."""
    keys = np.arange(TABLE, dtype=np.uint32) << np.uint32(16)
    low = np.where(keys >> 31, keys ^ np.uint32(0x80000000), ~keys).astype(np.uint32)
    last = keys | np.uint32(0xFFFF)
    high = np.where(last >> 31, last ^ np.uint32(0x80000000), ~last).astype(np.uint32)
    with np.errstate(all="ignore"):
        first = np.nextafter(low.view(np.float32), np.float32(-np.inf)).astype(np.float64)
        final = np.nextafter(high.view(np.float32), np.float32(np.inf)).astype(np.float64)
    bounds = np.stack([np.searchsorted(edges, first), np.searchsorted(edges, final)])
    bounds[0, np.isnan(first)] = 0  # buckets of NaN patterns: no finite value falls there
    bounds[1, np.isnan(final)] = edges.size
    return bounds.astype(np.int32)


def assign(x: NDArray[Any], codebook: NDArray[Any]) -> NDArray[Any]:
    """Index of the nearest entry of a sorted codebook for each value, in the smallest dtype."""
    edges = thresholds(codebook.astype(np.float64))
    flat = np.ascontiguousarray(x).reshape(-1)
    dtype = index_dtype(codebook.size)
    if flat.dtype.itemsize <= 2:
        values, _ = pattern_values(flat.dtype)
        table = np.searchsorted(edges, np.nan_to_num(values)).astype(dtype)
        return table[flat.view(f"u{flat.dtype.itemsize}")].reshape(x.shape)
    out = np.empty(flat.size, dtype)
    if flat.size < MANY or flat.dtype.kind != "f":
        assign_search(flat, edges, out)
    else:
        with np.errstate(over="ignore"):
            bits = flat.astype(np.float32, copy=False).view(np.uint32)
        _assign_table(flat, bits, edges, _bucket_bounds(edges), out)
    return out.reshape(x.shape)

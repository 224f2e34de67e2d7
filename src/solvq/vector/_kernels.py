"""Rows of weights on the simplex, one at a time in the cache.

Each kernel takes C-contiguous arrays of one floating dtype and a range of rows ``span``, and
trusts them. They hold no lock of Python, so that threads may share the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[Any]
Int64 = NDArray[np.int64]

# sums may be reordered, which lets them be vectorised; NaN stays NaN
kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})

LANES = 16  # maxima kept apart


@kernel
def _largest(row: Floats, lanes: Floats) -> Any:
    """Largest number of a row, as if NaN were none."""
    lanes[:] = row[0]
    whole = row.size - row.size % LANES
    for start in range(0, whole, LANES):
        for c in range(LANES):
            v, best = row[start + c], lanes[c]
            lanes[c] = v if v > best else best
    top = lanes[0]
    for v in lanes:
        top = v if v > top else top
    for v in row[whole:]:
        top = v if v > top else top
    return top


@kernel
def _above(row: Floats, threshold: Any) -> tuple[Any, Any]:
    """Sum and count of the numbers above a threshold."""
    zero = row.dtype.type(0)
    total, count = zero, np.int32(0)  # a count in the dtype of the row is not vectorised
    for j in range(row.size):
        v = row[j]
        above = v > threshold
        total += v if above else zero
        count += np.int32(above)
    return total, row.dtype.type(count)


@kernel
def _project(row: Floats, lanes: Floats) -> None:
    """Replace a row by the nearest point of the simplex; by NaN if it has NaN or infinity above.

    Newton's method from below, as in `solvq.vector._simplex`.
    """
    zero, one = row.dtype.type(0), row.dtype.type(1)
    top = _largest(row, lanes)
    check, total = zero, zero
    for j in range(row.size):
        v = row[j] - top
        check += v
        v = v if v > -one else -one
        total += v
        row[j] = v
    if np.isnan(check):
        row[:] = np.nan
        return
    threshold = max((total - one) / row.dtype.type(row.size), -one)
    for _ in range(row.size + 1):
        total, count = _above(row, threshold)
        higher = (total - one) / count
        if not higher > threshold:
            break
        threshold = higher
    for j in range(row.size):
        v = row[j] - threshold
        row[j] = v if v > zero else zero


@kernel
def project(rows: Floats, span: Any) -> None:
    """Project rows on the simplex, in place."""
    lanes = np.empty(LANES, rows.dtype)
    for i in range(span[0], span[1]):
        _project(rows[i], lanes)


@kernel
def _support(row: Floats, columns: Int64) -> int:
    """Columns of the positive numbers of a row, and how many there are."""
    count = 0
    for j in range(row.size):
        if row[j] > 0:
            columns[count] = j
            count += 1
    return count


@kernel
def centre(weights: Floats, grad: Floats, result: Floats, span: Any) -> None:
    """``grad`` less its mean over the support of the weights there, in ``result``, zero before."""
    columns = np.empty(weights.shape[1], np.int64)
    for i in range(span[0], span[1]):
        count = _support(weights[i], columns)
        total = weights.dtype.type(0)
        for j in columns[:count]:
            total += grad[i, j]
        mean = total / weights.dtype.type(count)
        for j in columns[:count]:
            result[i, j] = grad[i, j] - mean


@kernel
def mix(rows: Floats, start: Int64, codebook: Floats, values: Floats, span: Any) -> None:
    """Add 1 at each row's ``start``, project the rows in place, and mix the codewords by them."""
    lanes = np.empty(LANES, rows.dtype)
    columns = np.empty(rows.shape[1], np.int64)
    for i in range(span[0], span[1]):
        rows[i, start[i]] += rows.dtype.type(1)
        _project(rows[i], lanes)
        values[i, :] = 0 * rows[i, 0]  # NaN in a row of NaN
        for j in columns[: _support(rows[i], columns)]:
            weight = rows[i, j]
            for f in range(codebook.shape[1]):
                values[i, f] += weight * codebook[j, f]


@kernel
def _slope(slopes: Any, codebook: Floats, i: int, j: int) -> Any:
    """Gradient of a weight, through the values and by itself."""
    values, weights = slopes
    total = weights[i, j] if weights.size else codebook.dtype.type(0)
    for f in range(codebook.shape[1]):
        total += values[i, f] * codebook[j, f]
    return total


@kernel
def mix_backward(inputs: Any, weights: Floats, slopes: Any, grads: Any, span: Any) -> None:
    """Gradients of `mix` of rows that are ``residual @ maps.T``.

    ``inputs`` are residual, maps and codebook, and ``slopes`` the gradients of values and weights,
    the latter empty if there is none. ``grads`` are of the inputs, and hold zeros before; those of
    maps and codebook one for each part of the rows, since all parts add to the same codewords.
    """
    residual, maps, codebook = inputs
    to_residual, to_maps, to_codebook = grads[0], grads[1][span[2]], grads[2][span[2]]
    columns = np.empty(weights.shape[1], np.int64)
    steps = np.empty(weights.shape[1], weights.dtype)
    for i in range(span[0], span[1]):
        count = _support(weights[i], columns)
        total = weights.dtype.type(0)
        for n in range(count):
            steps[n] = _slope(slopes, codebook, i, columns[n])
            total += steps[n]
        mean = total / weights.dtype.type(count)
        for n in range(count):
            j = columns[n]
            step, weight = steps[n] - mean, weights[i, j]
            for f in range(codebook.shape[1]):
                to_residual[i, f] += step * maps[j, f]
            for f in range(codebook.shape[1]):
                to_maps[j, f] += step * residual[i, f]
            for f in range(codebook.shape[1]):
                to_codebook[j, f] += weight * slopes[0][i, f]

"""From any array to sorted distinct float64 values and their weights.

Dtypes of at most 16 bits go through a histogram of their bit patterns, wider ones through one
sort. The values that a quantizer sees are scaled by a power of two into ``[-1, 1]``, so that no
square overflows or vanishes; `Problem.restore` undoes it, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import scaled, to_numpy
from solvq.scalar._kernels import Float64, kernel

DOUBLE = np.dtype(np.float64)
EXACT = 2**53  # integers beyond are not exact in float64


class NonFiniteError(ValueError):
    """The data has NaN or infinite values."""


@dataclass(frozen=True)
class Problem:
    """Sorted distinct values with positive weights.

    A datum is ``ldexp(value, exponent)``, its weight ``ldexp(weight, weight_exponent)``; ``dtype``
    is what the data came in.
    """

    values: Float64
    weights: Float64
    exponent: int
    weight_exponent: int = 0
    dtype: np.dtype[Any] = DOUBLE

    def unweighted(self) -> Problem:
        """The same values with a weight of one each."""
        return replace(self, weights=np.ones(self.values.size), weight_exponent=0)

    def scale(self, data: Float64) -> Float64:
        """Numbers in the units of the data as values of the problem."""
        return np.ldexp(data, -self.exponent)

    def restore(self, values: Float64) -> Float64:
        """Values of the problem in the units of the data."""
        return np.ldexp(values, self.exponent)

    def mean_loss(self, loss: Any) -> Any:
        """Weighted mean squared error in the units of the data, from a sum in the problem's."""
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(loss / self.weights.sum(), 2 * self.exponent)

    def penalty(self, alpha: float) -> float:
        """Penalty on a summed squared error of the data as one of the problem."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(alpha, -2 * self.exponent - self.weight_exponent))

    def restore_penalty(self, alpha: Any) -> Any:
        """Invert `penalty`, also for arrays."""
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(alpha, 2 * self.exponent + self.weight_exponent)


def checked(x: Any) -> NDArray[Any]:
    """Array of real numbers in native byte order.

    Raises
    ------
    TypeError
        For dtypes that are not real numbers of at most 64 bits.
    ValueError
        If the array is empty, or has integers that float64 cannot hold.
    """
    array = to_numpy(x)
    kind = array.dtype.kind
    custom = array.dtype.name == "bfloat16" or array.dtype.name.startswith("float8_")
    if not (kind in "iu" or (kind == "f" and array.dtype.itemsize <= 8) or custom):
        raise TypeError(
            f"x has dtype {array.dtype}; give integers or floats of at most 64 bits, "
            "for example x.astype('float64')"
        )
    if array.size == 0:
        raise ValueError(f"x is empty (shape {array.shape}); give at least one value")
    if kind in "iu" and max(abs(int(array.min())), abs(int(array.max()))) > EXACT:
        raise ValueError(
            f"x spans {array.min()}..{array.max()}; integers beyond 2**53 are not exact in "
            "float64: subtract an offset first"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def refuse_nonfinite(count: int, size: int) -> None:
    """Raise for NaN or infinite data."""
    if count:
        raise NonFiniteError(
            f"x has {count} NaN or infinite value{'s' if count > 1 else ''} among {size}; "
            "remove or replace them first, for example with x[np.isfinite(x)]"
        )


@kernel
def histogram(patterns: NDArray[Any], bins: int) -> Float64:
    """Counts of the unsigned integers below ``bins``."""
    counts = np.zeros((4, bins), np.int64)  # four tables: no stall where a value repeats
    quarter = patterns.size // 4
    for i in range(quarter):
        for t in range(4):
            counts[t, patterns[t * quarter + i]] += 1
    for i in range(4 * quarter, patterns.size):
        counts[0, patterns[i]] += 1
    return counts.sum(axis=0).astype(np.float64)


@kernel
def _weighted_histogram(patterns: NDArray[Any], weight: Float64, bins: int) -> Float64:
    """Sum of the weights of each unsigned integer below ``bins``."""
    mass = np.zeros(bins)
    for i in range(patterns.size):
        mass[patterns[i]] += weight[i]
    return mass


@kernel
def _merge_counts(ordered: NDArray[Any], values: Float64, weights: Float64) -> int:
    """Write the distinct values of a sorted array and their counts; returns how many."""
    last, before = 0, ordered[0]
    for i in range(ordered.size):
        last += ordered[i] != before
        before = ordered[i]
        values[last] = before
        weights[last] = i + 1  # where its run ends, in the end
    for i in range(last, 0, -1):
        weights[i] -= weights[i - 1]
    return last + 1


@kernel
def _merge_weights(ordered: NDArray[Any], weight: Float64, values: Any, weights: Any) -> int:
    """Write the distinct values of positive weight of a sorted array and their weights."""
    last = -1
    for i in range(ordered.size):
        if weight[i] == 0.0:
            continue
        if last >= 0 and values[last] == ordered[i]:
            weights[last] += weight[i]
        else:
            last += 1
            values[last], weights[last] = ordered[i], weight[i]
    return last + 1


@kernel
def merge_equal(ordered: NDArray[Any], weight: Float64, room: Float64) -> int:
    """Write distinct values of positive weight and their weights to the rows of ``room``.

    ``ordered`` is sorted; empty ``weight`` counts. Returns how many there are.
    """
    if weight.size == 0:
        return _merge_counts(ordered, room[0], room[1])
    return _merge_weights(ordered, weight, room[0], room[1])


def distinct(ordered: NDArray[Any], weight: Float64) -> tuple[Float64, Float64]:
    """Distinct values of positive weight of a sorted array, and their weights."""
    room = np.empty((2, ordered.size))
    size = merge_equal(ordered, weight, room)
    return room[0, :size], room[1, :size]


@lru_cache(maxsize=16)
def pattern_values(dtype: np.dtype[Any]) -> tuple[Float64, NDArray[np.int64]]:
    """All values of a dtype of at most 16 bits, NaN last, and their bit patterns."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    patterns = np.arange(2 ** (8 * dtype.itemsize)).astype(unsigned)
    with np.errstate(invalid="ignore"):
        values = patterns.view(dtype).astype(np.float64)
    order = np.argsort(values, kind="stable")
    return values[order], order


def distinct_patterns(flat: NDArray[Any], weight: Float64 | None) -> tuple[Float64, Float64]:
    """Sorted distinct values and weights of data of at most 16 bits."""
    values, order = pattern_values(flat.dtype)
    patterns = flat.view(f"u{flat.dtype.itemsize}")
    mass = histogram(patterns, values.size)[order]
    refuse_nonfinite(int(mass[~np.isfinite(values)].sum()), flat.size)
    if weight is not None:
        mass = _weighted_histogram(patterns, weight, values.size)[order]
    present = mass > 0.0
    return distinct(values[present], mass[present])


@kernel
def _sort_keys(bits: NDArray[np.uint32], keys: NDArray[np.uint64]) -> None:
    """Integers in the order of float32 values of given bits, with the column in the lower half."""
    for r in range(bits.shape[0]):
        for c in range(bits.shape[1]):
            u = bits[r, c]
            u ^= np.uint32(0xFFFFFFFF) if u >> 31 else np.uint32(0x80000000)
            keys[r, c] = np.uint64(u) << np.uint64(32) | np.uint64(c)


@kernel
def _unsort_keys(keys: NDArray[np.uint64], weight: Float64, bits: Any, weights: Any) -> None:
    """Invert `_sort_keys`, and take the weight of each column."""
    for r in range(keys.shape[0]):
        for c in range(keys.shape[1]):
            key = keys[r, c]
            u = np.uint32(key >> np.uint64(32))
            u ^= np.uint32(0x80000000) if u >> 31 else np.uint32(0xFFFFFFFF)
            bits[r, c] = u
            weights[r, c] = weight[r, key & np.uint64(0xFFFFFFFF)]


def sorted_pairs(x: NDArray[Any], weight: Float64) -> tuple[NDArray[Any], Float64]:
    """Rows of a matrix, sorted, and their weights in the same order.

    NumPy sorts integers much faster than it finds an order, so float32 values are sorted as the
    upper halves of integers.
    """
    if x.dtype != np.float32 or x.shape[1] > 2**32:
        order = np.argsort(x, axis=1)
        return np.take_along_axis(x, order, axis=1), np.take_along_axis(weight, order, axis=1)
    keys = np.empty(x.shape, np.uint64)
    _sort_keys(x.view(np.uint32), keys)
    keys.sort(axis=1)
    ordered, weights = np.empty(x.shape, np.float32), np.empty(x.shape)
    _unsort_keys(keys, weight, ordered.view(np.uint32), weights)
    return ordered, weights


def _distinct_sorted(flat: NDArray[Any], weight: Float64 | None) -> tuple[Float64, Float64]:
    """Sorted distinct values and weights of data of more than 16 bits."""
    if weight is None:
        ordered, weight = np.sort(flat), np.empty(0)
    else:
        pairs = sorted_pairs(flat[None], weight[None])
        ordered, weight = pairs[0][0], pairs[1][0]
    if flat.dtype.kind == "f" and not np.isfinite(ordered[[0, -1]]).all():  # NaN sorts last
        refuse_nonfinite(int(np.count_nonzero(~np.isfinite(ordered))), flat.size)
    return distinct(ordered, weight)


def reduce(x: NDArray[Any], weight: Float64 | None = None) -> Problem:
    """Problem of a checked array and its checked flat weights; NaN and infinity are refused."""
    flat = np.ascontiguousarray(x).reshape(-1)
    weight_exponent = 0
    if weight is not None:
        weight, weight_exponent = scaled(weight)
    small = flat.dtype.itemsize <= 2
    values, weights = (distinct_patterns if small else _distinct_sorted)(flat, weight)
    exponent = int(np.frexp(np.abs(values[[0, -1]]).max())[1])
    if abs(exponent) < 1000:  # the power is a normal number: multiplying is exact, and faster
        values *= 2.0**-exponent
    else:
        values = np.ldexp(values, -exponent)
    return Problem(values, weights, exponent, weight_exponent, flat.dtype)

"""From any array to sorted distinct float64 values and their weights.

Dtypes of at most 16 bits go through a histogram of their bit patterns, wider ones through one
sort. The values that a quantizer sees are centred on one of the data and scaled by a power of
two, both exact for clustered data, so that neither an offset of 1e8 nor a scale of 1e-200 costs
precision; `Problem.restore` undoes it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from solvq.scalar._kernels import Float64, kernel

EXACT = 2**53  # integers beyond are not exact in float64


class NonFiniteError(ValueError):
    """The data has NaN or infinite values."""


@dataclass(frozen=True)
class Problem:
    """Sorted distinct data with positive weights, and the centred and scaled values to work on.

    A datum is ``ldexp(value, exponent) + shift``.
    """

    data: Float64
    values: Float64
    weights: Float64
    shift: float
    exponent: int

    def scale(self, data: Float64) -> Float64:
        """Numbers in the units of the data as values of the problem."""
        return np.ldexp(data, -self.exponent) - np.ldexp(self.shift, -self.exponent)

    def restore(self, values: Float64) -> Float64:
        """Values of the problem in the units of the data."""
        return np.ldexp(values, self.exponent) + self.shift

    def mean_loss(self, loss: float) -> float:
        """Weighted mean squared error in the units of the data, from a sum in the problem's."""
        mean = loss / float(self.weights.sum())
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(mean, 2 * self.exponent))


def to_numpy(x: Any) -> NDArray[Any]:
    """NumPy view of an array, a torch tensor (any device) or nested numbers."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("x is a masked array; give x.compressed() or x.filled(value)")
    if type(x).__module__.partition(".")[0] == "torch" and hasattr(x, "detach"):
        x = x.detach().cpu().contiguous()
        name = str(x.dtype).removeprefix("torch.")
        if not hasattr(np, name):
            torch = sys.modules["torch"]
            raw = x.view(torch.uint8 if x.element_size() == 1 else torch.int16)
            return raw.numpy().view(getattr(ml_dtypes, name))
        return x.numpy()
    return np.asarray(x)


def checked(x: Any) -> NDArray[Any]:
    """Array of real numbers in native byte order.

    Raises
    ------
    TypeError
        For dtypes that are not real numbers of at most 64 bits.
    ValueError
        If the array is empty.
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
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def checked_weight(sample_weight: Any, shape: tuple[int, ...]) -> Float64 | None:
    """Flat float64 weights for data of a shape, or None.

    Raises
    ------
    ValueError
        If the shape differs, a weight is negative or not finite, or all are zero.
    """
    if sample_weight is None:
        return None
    weight = to_numpy(sample_weight)
    if weight.shape != shape:
        raise ValueError(f"sample_weight has shape {weight.shape}; x has {shape}")
    weight = weight.astype(np.float64).reshape(-1)
    if not np.isfinite(weight).all() or weight.min() < 0.0:
        raise ValueError("sample_weight has negative or non-finite entries; give weights >= 0")
    if weight.max() == 0.0:
        raise ValueError("sample_weight is zero everywhere; give at least one positive weight")
    return weight


def refuse_nonfinite(count: int, size: int) -> None:
    """Raise for NaN or infinite data."""
    if count:
        raise NonFiniteError(
            f"x has {count} NaN or infinite value{'s' if count > 1 else ''} among {size}; "
            "remove or replace them first, for example with x[np.isfinite(x)]"
        )


@kernel
def _histogram(patterns: NDArray[Any], bins: int) -> Float64:
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
def merge_equal(ordered: NDArray[Any], weight: Float64) -> tuple[Float64, Float64]:
    """Distinct values of positive weight of a sorted array; empty ``weight`` counts."""
    values, weights = np.empty(ordered.size), np.empty(ordered.size)
    last = -1
    for i in range(ordered.size):
        w = weight[i] if weight.size else 1.0
        if w == 0.0:
            continue
        if last >= 0 and values[last] == ordered[i]:
            weights[last] += w
        else:
            last += 1
            values[last], weights[last] = ordered[i], w
    return values[: last + 1], weights[: last + 1]


@lru_cache(maxsize=16)
def pattern_values(dtype: np.dtype[Any]) -> tuple[Float64, NDArray[np.int64]]:
    """Value of each bit pattern of a dtype of at most 16 bits, and the patterns by value."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    patterns = np.arange(2 ** (8 * dtype.itemsize)).astype(unsigned)
    with np.errstate(invalid="ignore"):
        values = patterns.view(dtype).astype(np.float64)
    return values, np.argsort(values, kind="stable")


def _distinct_patterns(flat: NDArray[Any], weight: Float64 | None) -> tuple[Float64, Float64]:
    """Sorted distinct values and weights of data of at most 16 bits."""
    values, order = pattern_values(flat.dtype)
    patterns = flat.view(f"u{flat.dtype.itemsize}")
    if weight is None:
        mass = _histogram(patterns, values.size)
    else:
        mass = _weighted_histogram(patterns, weight, values.size)
    bad = ~np.isfinite(values) & (mass > 0.0)
    if bad.any():
        refuse_nonfinite(int(np.count_nonzero(bad[patterns])), flat.size)
    order = order[mass[order] > 0.0]
    return merge_equal(values[order], mass[order])


def _distinct_sorted(flat: NDArray[Any], weight: Float64 | None) -> tuple[Float64, Float64]:
    """Sorted distinct values and weights of data of more than 16 bits."""
    if weight is None:
        ordered, weight = np.sort(flat), np.empty(0)
    else:
        order = np.argsort(flat)
        ordered, weight = flat[order], weight[order]
    if flat.dtype.kind == "f" and not np.isfinite(ordered[[0, -1]]).all():  # NaN sorts last
        refuse_nonfinite(int(np.count_nonzero(~np.isfinite(ordered))), flat.size)
    if flat.dtype.kind in "iu" and max(abs(int(ordered[0])), abs(int(ordered[-1]))) > EXACT:
        raise ValueError(
            f"x spans {ordered[0]}..{ordered[-1]}; integers beyond 2**53 are not exact in "
            "float64: subtract an offset first"
        )
    return merge_equal(ordered, weight)


def reduce(x: NDArray[Any], weight: Float64 | None = None) -> Problem:
    """Problem of a checked array and its checked flat weights; NaN and infinity are refused."""
    flat = np.ascontiguousarray(x).reshape(-1)
    small = flat.dtype.itemsize <= 2
    data, weights = (_distinct_patterns if small else _distinct_sorted)(flat, weight)
    widest = float(np.abs(data[[0, -1]]).max())
    exponent = int(np.frexp(widest)[1])
    shift = float(data[data.size // 2])
    values = np.ldexp(data, -exponent) - np.ldexp(shift, -exponent)
    weights = np.ldexp(weights, -int(np.frexp(weights.max())[1]))
    return Problem(data, values, weights, shift, exponent)

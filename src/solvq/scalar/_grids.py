"""The values that a restricted table may hold, and those of them that can be of use."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np

from solvq.scalar._kernels import Float64, kernel
from solvq.scalar._reduce import EXACT, pattern_values


def _floats(name: str) -> Float64:
    """Finite values of a float of at most 16 bits."""
    values, _ = pattern_values(np.dtype(getattr(ml_dtypes, name, name)))
    return np.unique(values[np.isfinite(values)])


def _powers() -> Float64:
    """Zero and all powers of two of float64, of both signs."""
    positive = np.ldexp(1.0, np.arange(-1074, 1024))
    return np.unique(np.concatenate([-positive, [0.0], positive]))


GRIDS: dict[str, Callable[[], Float64]] = {
    "float16": lambda: _floats("float16"),
    "bfloat16": lambda: _floats("bfloat16"),
    "e4m3": lambda: _floats("float8_e4m3fn"),
    "int8": lambda: np.arange(-127.0, 128.0),
    "power-of-two": _powers,
}
VALUES = ("free", *GRIDS)


def _held(grid: Float64, dtype: np.dtype[Any]) -> Float64:
    """Those values that a dtype holds exactly."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = max(int(limits.min), -EXACT), min(int(limits.max), EXACT)
        return grid[(grid == np.rint(grid)) & (grid >= low) & (grid <= high)]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return grid[grid.astype(dtype).astype(np.float64) == grid]


@lru_cache(maxsize=32)
def grid(values: str, dtype: np.dtype[Any]) -> Float64:
    """Ascending values of a restriction that a codebook in the dtype of the data can hold."""
    found = _held(GRIDS[values](), dtype)
    found.flags.writeable = False
    return found


@kernel
def span(grid: Float64, low: float, high: float, keep_zero: bool) -> tuple[int, int]:
    """First and last entry of a grid that can be nearest to data in ``low..high``.

    With ``keep_zero`` the entry 0, which the grid then holds, is among them.
    """
    first = max(0, int(np.searchsorted(grid, low, side="right")) - 1)
    last = min(grid.size - 1, int(np.searchsorted(grid, high, side="left")))
    if first < last and grid[first] < low and low - grid[first] >= grid[first + 1] - low:
        first += 1
    if first < last and grid[last] > high and grid[last] - high >= high - grid[last - 1]:
        last -= 1
    if keep_zero:
        zero = int(np.searchsorted(grid, 0.0))
        first, last = min(first, zero), max(last, zero)
    return first, last

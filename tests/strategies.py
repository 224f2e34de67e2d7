"""Data that the tests are run on: named families, and hypothesis strategies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from solvq.scalar import METHODS

Float64 = NDArray[np.float64]
Points = tuple[Float64, Float64]
INTERPRETED = bool(vars(numba.config)["DISABLE_JIT"])  # kernels run as plain Python: small sizes


def _plain(x: NDArray[Any]) -> Points:
    """Sorted distinct points of weight one, centred on their median as a quantizer sees them."""
    x = np.unique(x)
    return x - x[x.size // 2], np.ones(x.size)


def _tiny_weights(rng: np.random.Generator, n: int) -> Points:
    """Points half of which weigh next to nothing."""
    x, w = _plain(rng.normal(size=n))
    return x, np.where(rng.random(x.size) < 0.5, 1e-20, w)


def _weighted_grid(rng: np.random.Generator, n: int) -> Points:
    """Evenly spaced points of small integer weights: ties everywhere."""
    x, w = _plain(np.arange(float(n)))
    return x, w * rng.integers(1, 4, n)


FAMILIES: dict[str, Callable[[np.random.Generator, int], Points]] = {
    "normal": lambda rng, n: _plain(rng.normal(size=n)),
    "grid": lambda rng, n: _plain(np.arange(float(n))),
    "weighted grid": _weighted_grid,
    "sparse grid": lambda rng, n: _plain(rng.integers(0, 3 * n, n).astype(float)),
    "cauchy": lambda rng, n: _plain(rng.standard_cauchy(n)),
    "cauchy cubed": lambda rng, n: _plain(rng.standard_cauchy(n) ** 3),
    "geometric": lambda rng, n: _plain(2.0 ** -np.arange(min(n, 60))),
    "log-uniform": lambda rng, n: _plain(10.0 ** rng.uniform(-9, 0, n)),
    "two clusters": lambda rng, n: _plain(rng.integers(0, 2, n) + 1e-6 * rng.normal(size=n)),
    "tiny weights": _tiny_weights,
}


def spread(seed: int, most: int = 80, shift: float = 0.0) -> Points:
    """Sorted distinct values, at least two, evenly spaced for every third seed, and weights."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(int(rng.integers(2, most))) + shift
    u = np.unique(np.round([*x, x.max() + 1.0], 1 if seed % 3 == 0 else 6))
    return u, np.ones(u.size) if seed % 2 else rng.integers(1, 6, u.size).astype(np.float64)


def seeded(method: str) -> dict[str, Any]:
    """Parameters that make a method of the table deterministic."""
    return {"random_state": 0} if "random_state" in METHODS[method]._get_param_names() else {}


def _from_seed(seed: int, n: int, power: int) -> Float64:
    """Normal numbers to an odd power: light or heavy tails."""
    return np.random.default_rng(seed).normal(size=n) ** power


def integers(max_size: int = 40, spread: int = 30) -> st.SearchStrategy[Float64]:
    """Whole numbers as float64, with duplicates and ties."""
    entries = st.integers(-spread, spread)
    return st.lists(entries, min_size=1, max_size=max_size).map(lambda v: np.array(v, np.float64))


def numbers(max_size: int = 40) -> st.SearchStrategy[Float64]:
    """Flat float64 data: whole numbers, normal or heavy-tailed, without extreme magnitudes."""
    seeds, sizes = st.integers(0, 2**32 - 1), st.integers(1, max_size)
    return st.one_of(
        integers(max_size), st.builds(_from_seed, seeds, sizes, st.sampled_from([1, 3]))
    )


@st.composite
def points(draw: st.DrawFn, max_size: int = 12) -> Points:
    """Sorted distinct points with positive weights."""
    x = np.unique(draw(numbers(max_size)))
    weights = st.lists(st.integers(1, 8), min_size=x.size, max_size=x.size)
    return x, np.array(draw(weights), np.float64)


@st.composite
def weighted(draw: st.DrawFn, least: int, max_size: int = 30) -> Points:
    """Data with integer weights of at least ``least``, not all zero."""
    x = draw(numbers(max_size))
    w = draw(st.lists(st.integers(least, 4), min_size=x.size, max_size=x.size))
    w[0] = max(w[0], 1)
    return x, np.array(w, np.float64)

"""Reduction to distinct values and nearest-value assignment against their slow twins."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import INTERPRETED, numbers, weighted

from solvq.code import index_dtype
from solvq.scalar import _assign
from solvq.scalar._assign import assign, nearest_loss
from solvq.scalar._reduce import _weighted_histogram, distinct, histogram, reduce, sorted_pairs

SMALL = [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
SMALL += [np.int8, np.uint8, np.int16, np.uint16]
WIDE = [np.float32, np.float64, np.int32, np.uint32, np.int64, np.uint64]
LARGEST = float(np.finfo(np.float32).max)
SPECIAL = [0.0, 5e-324, 1e-310, 1e-45, 1e-40, 1.1754944e-38, 0.5, 1.0, 1e30, LARGEST]
BEYOND = [*SPECIAL, 1e39, 1e300, np.nextafter(LARGEST, np.inf)]


def named(dtypes: list[Any]) -> Any:
    """Parametrise over dtypes by name."""
    return pytest.mark.parametrize("dtype", dtypes, ids=lambda d: np.dtype(d).name)


def finite_patterns(dtype: Any) -> Any:
    """Every finite value of a dtype of at most 16 bits, in bit order."""
    size = np.dtype(dtype).itemsize
    values = np.arange(2 ** (8 * size)).astype(f"u{size}").view(dtype)
    with np.errstate(invalid="ignore"):
        return values[np.isfinite(values.astype(np.float64))]


def around(codebook: Any) -> Any:
    """Entries, exact midpoints and the neighbours of both, in the dtype of the codebook."""
    middle = codebook[:-1] + (codebook[1:] - codebook[:-1]) / 2
    centres = np.concatenate([codebook, middle]).astype(codebook.dtype)
    up, down = (np.nextafter(centres, codebook.dtype.type(s)) for s in (np.inf, -np.inf))
    return np.concatenate([centres, up, down])


@named(SMALL)
def test_assign_small_dtypes(dtype: Any) -> None:
    """Every finite bit pattern of at most 16 bits goes to its nearest entry."""
    x = finite_patterns(dtype)
    wide = dtype is ml_dtypes.bfloat16  # spans more than float64 distances can tell apart
    picked = slice(None, None, 23 if wide else 1)
    for k in (1, 2, 7):
        codebook = np.sort(np.random.default_rng(k).choice(np.unique(x), k, replace=False))
        index = assign(x, codebook)
        twin = oracles.nearest_exactly if wide else oracles.nearest
        assert np.array_equal(index[picked], twin(x[picked], codebook))
        assert index.dtype == np.uint8


@pytest.mark.parametrize("many", [0, 1 << 17], ids=["table", "search"])
@named([np.float32, np.float64])
def test_assign_special_values(many: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed zeros, subnormals, huge values and exact midpoints, on both paths."""
    monkeypatch.setattr(_assign, "MANY", many)
    signed = np.array(
        [s * v for v in (BEYOND if dtype == np.float64 else SPECIAL) for s in (1, -1)]
    )
    rng = np.random.default_rng(1)
    tables: list[Any] = [[0.0], [-1.0, 1.0], [-3.0, 0.0, 8.0], [0.0, 2.0**-149, 2.0**-147]]
    tables += [[1.0, 1e30], np.unique(rng.normal(size=20).astype(np.float32)), np.arange(-9.0, 9.0)]
    if dtype == np.float64:
        tables += [[-2e38, 1e39, 1e300], [1e-310, 3e-310]]
    for table in tables:
        codebook = np.asarray(table, dtype)
        x = np.concatenate(
            [signed.astype(dtype), around(codebook), rng.normal(size=50).astype(dtype)]
        )
        index = assign(x, codebook)
        assert np.array_equal(index, oracles.nearest_exactly(x, codebook))
        assert index.dtype == index_dtype(codebook.size)


@named([np.float32, np.float64])
def test_assign_many_values(dtype: Any) -> None:
    """The table is taken from 131072 values on, and equals the search on one value fewer."""
    n = 1 << 17
    rng = np.random.default_rng(2)
    x = (rng.standard_cauchy(n) * 10.0 ** rng.uniform(-30, 30, n)).astype(dtype)
    x[:4] = [0.0, -0.0, 1e-45, -1e-45]
    codebook = np.unique(rng.choice(x, 300))
    index = assign(x, codebook)
    assert np.array_equal(index[1:], assign(x[1:], codebook))
    sample = rng.integers(0, n, 500)
    assert np.array_equal(index[sample], oracles.nearest(x[sample], codebook))
    assert index.dtype == np.uint16


@named([np.int32, np.uint32, np.int64, np.uint64])
def test_assign_wide_integers(dtype: Any) -> None:
    """Integers of more than 16 bits, midpoints included."""
    x = np.arange(0, 200, dtype=dtype)
    codebook = np.array([3, 10, 11, 50, 151], dtype)
    assert np.array_equal(assign(x, codebook), oracles.nearest(x, codebook))


def test_assign_adjacent_floats() -> None:
    """Neighbouring float64 entries each keep their own value, whichever way a midpoint rounds."""
    x = 1.0 + np.arange(1, 5) * np.spacing(1.0)
    assert np.array_equal(assign(x, x), np.arange(4))


def test_negative_zero_as_a_midpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold of negative zero is one of zero."""
    monkeypatch.setattr(_assign, "MANY", 0)
    monkeypatch.setattr(_assign, "thresholds", lambda _: np.array([-0.0]))
    assert np.array_equal(assign(np.array([-1.0, -0.0, 0.0, 1.0]), np.ones(2)), [0, 0, 0, 1])


def test_assign_keeps_shape() -> None:
    """Indices have the shape of the values, also of none and of transposed ones."""
    codebook = np.array([0.0, 1.0])
    x = np.array([[0.1, 0.9, 0.4], [2.0, -1.0, 0.6]])
    assert np.array_equal(assign(x.T, codebook), [[0, 1], [1, 0], [0, 1]])
    assert assign(np.array(0.7), codebook).shape == ()


@given(numbers(30), numbers(12))
def test_nearest_loss(x: Any, table: Any) -> None:
    """Summed squared distance of sorted values to a sorted codebook."""
    values, weights = oracles.distinct(x)
    codebook = np.unique(table)
    expected = weights @ ((values[:, None] - codebook) ** 2).min(axis=1)
    assert nearest_loss(values, weights, codebook) == pytest.approx(expected, rel=1e-13)


@named(SMALL + WIDE)
@pytest.mark.parametrize("weights", [False, True], ids=["plain", "weighted"])
def test_reduce_equals_unique(dtype: Any, weights: bool) -> None:
    """Distinct data and their weights, by histogram or by sort; the values restore the data."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 40, 301) if np.dtype(dtype).kind == "u" else rng.normal(size=301) * 9
    x = x.astype(dtype)
    weight = rng.integers(0, 3, 301).astype(np.float64) if weights else None
    problem = reduce(x, weight)
    values, masses = oracles.distinct(x, weight)
    assert np.array_equal(problem.restore(problem.values), values)
    assert np.array_equal(problem.weights / problem.weights.max(), masses / masses.max())
    assert np.array_equal(problem.scale(values), problem.values)
    assert 0.5 <= np.abs(problem.values).max() < 1.0


@given(st.lists(st.integers(0, 65535), max_size=50))
def test_histograms(patterns: list[int]) -> None:
    """Counts and summed weights of 16-bit patterns."""
    array = np.array(patterns, np.uint16)
    weight = np.arange(1.0, array.size + 1.0)
    assert np.array_equal(histogram(array, 65536), np.bincount(array, minlength=65536))
    expected = np.bincount(array, weight, 65536)
    assert np.array_equal(_weighted_histogram(array, weight, 65536), expected)


@given(weighted(0))
def test_distinct(problem: tuple[Any, Any]) -> None:
    """Runs of equal values merge, and values of no weight vanish."""
    order = np.argsort(problem[0], kind="stable")
    x, w = problem[0][order], problem[1][order]
    values, weights = distinct(x, w)
    assert all(map(np.array_equal, (values, weights), oracles.distinct(x, w)))
    values, weights = distinct(x, np.empty(0))
    assert all(map(np.array_equal, (values, weights), oracles.distinct(x)))


@named([np.float32, np.float64, np.int32])
def test_sorted_pairs(dtype: Any) -> None:
    """Rows in ascending order, each value with a weight of its own; NaN at either end."""
    rng = np.random.default_rng(5)
    x = (rng.standard_cauchy((3, 40)) * 10).astype(dtype)
    if np.dtype(dtype).kind == "f":
        x[0, :4] = [-0.0, 0.0, np.inf, -np.inf]
    weight = rng.random(x.shape)
    ordered, weights = sorted_pairs(x, weight)
    order = np.argsort(x, axis=1, kind="stable")
    assert ordered.dtype == x.dtype
    assert np.array_equal(ordered, np.take_along_axis(x, order, axis=1))
    pairs = [sorted(zip(*row, strict=True)) for row in zip(x, weight, strict=True)]
    assert pairs == [sorted(zip(*row, strict=True)) for row in zip(ordered, weights, strict=True)]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_weighted_nan_is_refused(sign: float) -> None:
    """NaN of either sign bit is found, wherever sorting puts it, and under a weight of zero."""
    for dtype in (np.float16, np.float32, np.float64):
        x = np.array([3.0, np.copysign(np.nan, sign), -1.0], dtype)
        with pytest.raises(ValueError, match="1 NaN"):
            reduce(x, np.array([1.0, 0.0, 1.0]))


def test_signed_zeros_merge() -> None:
    """Both zeros are one value, in half precision and in single."""
    for dtype in (np.float16, np.float32):
        problem = reduce(np.array([-0.0, 0.0, 1.0, -0.0], dtype))
        assert np.array_equal(problem.restore(problem.values), [0.0, 1.0])
        assert np.array_equal(problem.weights / problem.weights.max(), [1.0, 1.0 / 3.0])


def test_kernels_are_compiled_unless_disabled() -> None:
    """The suite runs compiled code, except where NUMBA_DISABLE_JIT asks for the plain one."""
    assert hasattr(nearest_loss, "signatures") == (not INTERPRETED)

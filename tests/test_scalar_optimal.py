"""The default method is exactly optimal, on every dtype, scale and degenerate input."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given
from strategies import FAMILIES, numbers, weighted

from solvq import certificate
from solvq.scalar import KMeansQuantizer, OptimalQuantizer, quantize

FLOATS = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]
INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def optimum(x: Any, k: int, weight: Any = None) -> float:
    """Least mean squared error with ``k`` values, by the quadratic twin."""
    values, masses = oracles.distinct(x, weight)
    if k >= values.size:
        return 0.0
    best = oracles.counted_costs(oracles.interval_costs(values, masses))[k, -1]
    return float(best / masses.sum())


@given(numbers(9))
def test_equals_brute_force(x: Any) -> None:
    """No partition of few data does better, at any count."""
    values, masses = oracles.distinct(x)
    for k in range(1, values.size + 1):
        best = oracles.brute_force(values, masses, k) / masses.sum()
        error = quantize(x, k).distortion(x)
        assert error == pytest.approx(best, rel=1e-9, abs=oracles.rounding(values, masses))


@given(weighted(0, 20))
def test_equals_weighted_twin(problem: tuple[Any, Any]) -> None:
    """Weights enter the error fully, zeros included."""
    x, w = problem
    for k in (1, 2, 5):
        error = quantize(x, k, sample_weight=w).distortion(x, w)
        assert error == pytest.approx(optimum(x, k, w), rel=1e-9, abs=oracles.rounding(x, w))


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("k", [1, 2, 3, 7, 16])
def test_float_dtypes(dtype: Any, k: int) -> None:
    """The codebook is the optimum rounded to the dtype, to within half a step of it."""
    x = np.random.default_rng(0).normal(size=60).astype(dtype)
    code = quantize(x, k)
    exact = quantize(x.astype(np.float64), k)
    step = float(ml_dtypes.finfo(dtype).eps)
    assert exact.distortion(x) == pytest.approx(optimum(x, k), rel=1e-9, abs=1e-18)
    assert code.codebook.size == exact.codebook.size
    assert np.allclose(code.codebook.astype(float), exact.codebook, rtol=step / 2, atol=0.0)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("k", [1, 2, 3, 7, 16])
def test_integer_dtypes(dtype: Any, k: int) -> None:
    """Integer codebooks are the optimum rounded to integers."""
    rng = np.random.default_rng(1)
    x = rng.integers(0 if np.dtype(dtype).kind == "u" else -100, 120, 60).astype(dtype)
    code, exact = quantize(x, k), quantize(x.astype(np.float64), k)
    assert exact.distortion(x) == pytest.approx(optimum(x, k), rel=1e-9)
    assert np.array_equal(code.codebook, np.rint(exact.codebook))
    assert code.dtype == x.dtype


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_extreme_integers(dtype: Any) -> None:
    """The whole range of an integer dtype fits."""
    info = np.iinfo(dtype)
    x = np.array([info.min, info.min + 1, info.max - 1, info.max], dtype)
    assert np.array_equal(quantize(x, 4).decode(), x)
    assert np.abs(quantize(x, 2).decode().astype(int) - x.astype(int)).max() <= 1


@pytest.mark.parametrize("k", [1, 2, 5, 16, 99])
def test_large_offset(k: int) -> None:
    """An offset of 1e8 costs no more than its own rounding."""
    x = np.random.default_rng(2).normal(size=100)
    moved = x + 1e8
    error = quantize(moved, k).distortion(moved)
    assert error == pytest.approx(optimum(moved, k), rel=1e-6, abs=1e-15)
    assert certificate(moved, quantize(moved, k).codebook).gap < 1e-6


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e-150, 1e150, 1e-200, 1e200, 1e-290, 1e300])
@pytest.mark.parametrize("k", [1, 3, 16, 99])
def test_scales(scale: float, k: int) -> None:
    """No scale of the data changes the partition."""
    x = np.random.default_rng(3).normal(size=100)
    plain, scaled = quantize(x, k), quantize(x * scale, k)
    assert np.array_equal(scaled.indices, plain.indices)
    assert np.allclose(scaled.codebook / scale, plain.codebook, rtol=1e-12, atol=0.0)


def test_full_range_of_float64() -> None:
    """Data at both ends of the floats do not overflow."""
    x = np.array([-1.7e308, -1.6e308, 1.6e308, 1.7e308])
    assert np.allclose(quantize(x, 2).codebook, [-1.65e308, 1.65e308], rtol=1e-12)


def test_subnormal_data() -> None:
    """Numbers below the normal range are quantized like others."""
    x = np.array([0.0, 1.0, 2.0, 10.0, 11.0]) * 5e-324
    assert np.array_equal(quantize(x, 2).indices, [0, 0, 0, 1, 1])


@pytest.mark.parametrize("value", [0.0, -3.5, 1e300])
def test_constant(value: float) -> None:
    """One distinct value needs one entry."""
    code = quantize(np.full((4, 5), value), 16)
    assert np.array_equal(code.codebook, [value])
    assert not code.indices.any()
    assert certificate(np.full(3, value), [value]).gap == 0.0


def test_two_values() -> None:
    """Two distinct values need two entries, or their mean."""
    x = np.array([1.0, 4.0, 4.0, 1.0, 4.0, 4.0])
    assert np.array_equal(quantize(x, 2).codebook, [1.0, 4.0])
    assert np.array_equal(quantize(x, 1).codebook, [3.0])


def test_adjacent_floats_reproduce() -> None:
    """Neighbouring floats are distinct values."""
    x = 1.0 + np.arange(1, 9) * np.spacing(1.0)
    assert np.array_equal(quantize(x, 8).decode(), x)


def test_many_distinct_values_reproduce() -> None:
    """As many values as distinct data lose nothing, also where these are many and wide apart."""
    rng = np.random.default_rng(10)
    x = rng.normal(size=70_000) * 10.0 ** rng.uniform(-12, 3, 70_000)
    assert np.array_equal(quantize(x, x.size).decode(), x)


def test_heavy_duplicates() -> None:
    """A hundred thousand copies weigh what they should."""
    x = np.concatenate([np.zeros(100_000), [1.0, 2.0, 50.0]])
    assert quantize(x, 2).distortion(x) == pytest.approx(optimum(x, 2), rel=1e-12)
    assert quantize(x, 3).distortion(x) == pytest.approx(optimum(x, 3), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 16, 37])
def test_integer_grids_at_every_count(n: int) -> None:
    """Evenly spaced values tie everywhere; the count and the optimum are still exact."""
    x = np.arange(float(n))
    best = oracles.counted_costs(oracles.interval_costs(x, np.ones(n)))[:, -1] / n
    for k in range(1, n + 1):
        code = quantize(x, k)
        assert code.codebook.size == k
        assert code.distortion(x) == pytest.approx(best[k], rel=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_value_and_one_too_few(name: str) -> None:
    """The mean at one value; the cheapest pair merged at one value fewer than distinct."""
    x, w = FAMILIES[name](np.random.default_rng(4), 200)
    assert quantize(x, 1, sample_weight=w).codebook == pytest.approx(np.average(x, weights=w))
    pairs = w[1:] * w[:-1] / (w[1:] + w[:-1]) * np.diff(x) ** 2
    slack = oracles.rounding(x, w) / w.sum()
    error = quantize(x, x.size - 1, sample_weight=w).distortion(x, w)
    assert error == pytest.approx(pairs.min() / w.sum(), rel=1e-9, abs=slack)


def test_65536_values() -> None:
    """The largest 16-bit codebook on a hundred thousand values."""
    x = np.random.default_rng(5).normal(size=100_000)
    code = quantize(x, 65536)
    assert code.codebook.size == 65536
    assert code.indices.dtype == np.uint16
    assert np.array_equal(np.unique(code.indices), np.arange(65536))
    assert certificate(x, code.codebook).gap <= 1e-9


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("k", [1, 2, 16, 256])
def test_certificate_of_the_optimum(name: str, k: int) -> None:
    """The gap of the optimum is at most 1e-9, for the function and the estimator."""
    x, w = FAMILIES[name](np.random.default_rng(6), 5000)
    slack = 1e-18 * (x[-1] - x[0]) ** 2
    proof = certificate(x, quantize(x, k, sample_weight=w).codebook, w)
    assert proof.lower_bound <= proof.distortion <= proof.lower_bound * (1 + 1e-9) + slack
    model = OptimalQuantizer(n_values=k).fit(x[:, None], sample_weight=w)
    assert model.loss_ <= model.lower_bound_ * (1 + 1e-9) + slack


def test_certificate_of_any_codebook() -> None:
    """Unsorted entries and duplicates count as the set that they are."""
    x = np.random.default_rng(7).normal(size=150)
    proof = certificate(x, [1.0, -1.0, 0.0, 1.0, -1.0])
    table = np.array([-1.0, 0.0, 1.0])
    error = oracles.mean_squared_error(x, table[oracles.nearest(x, table)])
    assert proof.distortion == pytest.approx(error, rel=1e-12)
    assert proof.lower_bound == pytest.approx(optimum(x, 3), rel=1e-9)
    assert proof.gap == pytest.approx(error / optimum(x, 3) - 1.0, rel=1e-6)


def test_certificate_of_kmeans() -> None:
    """The gap of a local optimum is its distance from the exact one."""
    x = np.random.default_rng(8).normal(size=(200, 1))
    model = KMeansQuantizer(n_values=24, random_state=0).fit(x)
    proof = certificate(x, model.codebook_)
    best = optimum(x, 24)
    assert proof.lower_bound == pytest.approx(best, rel=1e-9)
    assert proof.gap == pytest.approx(proof.distortion / best - 1.0, abs=1e-8)
    assert proof.gap > 1e-3
    assert model.gap_ == pytest.approx(proof.gap, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_gap_at_extreme_scales(scale: float) -> None:
    """The gap is a ratio: it survives where the squared errors leave the range of the floats."""
    x = np.random.default_rng(9).normal(size=100)
    table = np.array([-1.0, 0.0, 1.0])
    expected = certificate(x, table).gap
    assert certificate(x * scale, table * scale).gap == pytest.approx(expected, rel=1e-6)


def test_certificate_beyond_the_distinct_values() -> None:
    """As many entries as distinct values could be lossless: the bound is zero."""
    assert certificate([1.0, 2.0], [1.0, 2.0, 3.0]) == (0.0, 0.0, 0.0)
    assert certificate([1.0, 2.0], [1.0, 3.0]).gap == np.inf


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0], [1e200, 1e-200, 1e-200, 1e200, 1e200]),
        ([0.0, 1.0, 1.0, 3.0, 4.0], [1e308] * 5),
        ([0.0, 1.0, 1.0, 3.0, 4.0], [5e-324] * 5),
    ],
    ids=["wide", "huge", "subnormal"],
)
def test_extreme_weights(x: list[float], weight: list[float]) -> None:
    """Weights at the ends of the floats give a finite codebook within the data."""
    for k in range(1, len(x)):
        codebook = quantize(x, k, sample_weight=weight).codebook
        assert np.all((codebook >= 0.0) & (codebook <= 4.0))

"""The fewest values that meet an error: they do, and fewer cannot."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import numbers, weighted

import solvq
from solvq.scalar import quantize

GOOD = np.array([1.0, 2.0, 3.0, 4.0])


def fewest(x: Any, target: float, weight: Any = None) -> tuple[int, float]:
    """Least count whose optimum by the cubic twin is at most a target, and the next error above."""
    values, masses = oracles.distinct(x, weight)
    best = oracles.counted_costs(oracles.interval_costs(values, masses))[1:, -1] / masses.sum()
    best[-1] = 0.0
    place = int(np.argmax(best <= target))
    return place + 1, float(best[place - 1]) if place else np.inf


@given(numbers(25), st.floats(1e-6, 1.0))
@settings(max_examples=40)
def test_fewest(x: Any, share: float) -> None:
    """The count is the twin's, except where a target is within rounding of an optimum."""
    target = share * float(np.var(x))
    code = quantize(x, max_error=target)
    count, above = fewest(x, target)
    assert code.distortion(x) <= target
    if above > target * (1.0 + 1e-9) + oracles.rounding(*oracles.distinct(x)):
        assert code.codebook.size == count


@given(weighted(0, 25), st.floats(1e-3, 1.0))
@settings(max_examples=30)
def test_fewest_weighted(problem: tuple[Any, Any], share: float) -> None:
    """Weights count, zeros too."""
    x, w = problem
    target = share * float(np.average(x**2, weights=w))
    code = quantize(x, max_error=target, sample_weight=w)
    count, above = fewest(x, target, w)
    assert code.distortion(x, w) <= target
    if above > target * (1.0 + 1e-9):
        assert code.codebook.size == count


def test_error_of_a_count_gives_it_back() -> None:
    """The error of an optimal code is met by as many values; a hair less needs one more."""
    x = np.random.default_rng(0).normal(size=5_000)
    for k in (1, 2, 7, 64, 300):
        error = quantize(x, k).distortion(x)
        assert quantize(x, max_error=error).codebook.size == k
        assert quantize(x, max_error=error * (1.0 - 1e-8)).codebook.size == k + 1


def test_fewer_are_excluded_by_the_bound() -> None:
    """One value less has a proven error above the target."""
    x = np.random.default_rng(1).standard_t(3, 5_000)
    code = quantize(x, psnr=40.0)
    peak = np.ptp(x)
    assert 10.0 * np.log10(peak**2 / code.distortion(x)) >= 40.0
    curve = solvq.rate_distortion(x, [code.codebook.size - 1])
    assert 10.0 * np.log10(peak**2 / curve.lower_bound[0]) < 40.0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float16, ml_dtypes.bfloat16])
def test_rounded_tables_meet_the_target(dtype: Any) -> None:
    """The code in the dtype of the data meets the target, and its error is that of the rounding."""
    x = (40.0 * np.random.default_rng(2).random((50, 60)) + 60.0).astype(dtype)
    for target in (40.0, 2.0, 0.3):
        code = quantize(x, max_error=target)
        assert code.distortion(x) <= target
        assert code.dtype == x.dtype
        fewer = solvq.rate_distortion(x, [max(1, code.codebook.size - 1)])
        rounding = 1.0 / 12.0 if np.dtype(dtype).kind in "iu" else 0.25**2
        assert fewer.distortion[0] > target - 4.0 * rounding


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255.0), (np.uint16, 65535.0)])
def test_peak_of_images(dtype: Any, peak: float) -> None:
    """Unsigned images have the peak of their dtype, whatever their range."""
    x = np.random.default_rng(3).integers(100, 160, 4_000).astype(dtype)
    code, same = quantize(x, psnr=45.0), quantize(x, max_error=peak**2 / 10**4.5)
    assert np.array_equal(code.codebook, same.codebook)


def test_degenerate() -> None:
    """Constants need one value, no error all distinct values; extreme scales do not matter."""
    assert quantize(np.full(9, 3.0), max_error=0.0).codebook.size == 1
    assert quantize(np.full(9, 3.0), psnr=60.0).codebook.size == 1
    x = np.array([1.0, 1.0, 2.0, 5.0])
    assert np.array_equal(quantize(x, max_error=0.0).decode(), x)
    assert quantize(x, max_error=0.0).codebook.size == 3
    assert np.array_equal(quantize(x, psnr=1e6).decode(), x)
    assert quantize(x, max_error=1e300).codebook.size == quantize(x, psnr=-1e6).codebook.size == 1
    for scale in (2.0**-600, 2.0**600):
        assert quantize(x * scale, psnr=15.0).codebook.size == quantize(x, psnr=15.0).codebook.size
    assert quantize(4.0, max_error=0.5).codebook.size == 1
    w = np.array([1.0, 1.0, 1.0, 0.0])
    assert quantize(x, max_error=0.0, sample_weight=w).codebook.size == 2


BAD: dict[str, Any] = {
    "two": ({"max_error": 1.0, "psnr": 3.0}, ValueError, "max_error and psnr are given"),
    "count": ({"n_values": 3, "psnr": 3.0}, ValueError, "n_values and psnr are given"),
    "negative": ({"max_error": -1.0}, ValueError, "max_error is -1.0; give a mean squared error"),
    "nan": ({"max_error": np.nan}, ValueError, "max_error is nan"),
    "infinite": ({"psnr": np.inf}, ValueError, "psnr is inf; give a finite number of dB"),
    "string": ({"psnr": "40"}, TypeError, "psnr is '40'"),
    "bool": ({"max_error": True}, TypeError, "max_error is True"),
    "method": ({"psnr": 3.0, "method": "kmeans"}, ValueError, "method is 'kmeans'.*exact optimum"),
    "parameter": ({"psnr": 3.0, "clip": (0, 1)}, ValueError, r"\['clip'\]"),
    "weights": ({"psnr": 3.0, "sample_weight": np.zeros(4)}, ValueError, "zero everywhere"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case: str) -> None:
    """Refused with what was got and what is allowed."""
    arguments, error, phrase = BAD[case]
    with pytest.raises(error, match=phrase):
        quantize(GOOD, **arguments)


def test_bad_data() -> None:
    """Data are refused as for a count."""
    for bad, error, phrase in (
        ([1.0, np.nan], ValueError, "1 NaN or infinite value"),
        ([], ValueError, "empty"),
        ([True], TypeError, "dtype bool"),
    ):
        with pytest.raises(error, match=phrase):
            quantize(bad, psnr=30.0)

"""The curve is the optimum at every count, and its bounds are bounds."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from strategies import FAMILIES, INTERPRETED, numbers, weighted

import solvq
from solvq.scalar import OptimalQuantizer, _counts, quantize
from solvq.scalar._curve import Curve
from solvq.scalar._graded import fitted, graded, moved, points, refined
from solvq.scalar._kernels import workspace
from solvq.scalar._partition import group_means
from solvq.scalar._tolerance import (
    cell_sums,
    frames,
    merged,
    proportioned,
    proved,
    settled,
    spread,
)

LARGE = 2_000 if INTERPRETED else 30_000  # points, enough for the counts below to be refined
GOOD = np.array([1.0, 2.0, 3.0, 4.0])


def optima(x: Any, weight: Any = None) -> tuple[Any, Any]:
    """Counts, and the least mean squared error at each, by the cubic twin."""
    values, masses = oracles.distinct(x, weight)
    best = oracles.counted_costs(oracles.interval_costs(values, masses))[1:, -1]
    return np.arange(1, values.size + 1), best / masses.sum()


def check_against_twin(x: Any, weight: Any = None) -> None:
    """Distortion and bound of the whole curve against the twin, one count more included."""
    counts, best = optima(x, weight)
    curve = solvq.rate_distortion(x, range(1, counts.size + 2), weight)
    slack = oracles.rounding(*oracles.distinct(x, weight))
    assert np.allclose(curve.distortion[:-1], best, rtol=1e-9, atol=slack)
    assert np.all(curve.lower_bound[:-1] <= best * (1.0 + 1e-12) + slack)
    assert curve.distortion[-1] == curve.lower_bound[-1] == 0.0


@given(numbers(25))
@settings(max_examples=30)
def test_equals_twin(x: Any) -> None:
    """Every count of small data, with duplicates, ties and heavy tails."""
    check_against_twin(x)


@given(weighted(0, 20))
@settings(max_examples=30)
def test_equals_weighted_twin(problem: tuple[Any, Any]) -> None:
    """Weights count fully, zeros too."""
    check_against_twin(*problem)


@given(weighted(1, 20))
@settings(max_examples=20)
def test_penalty_supports_the_curve(problem: tuple[Any, Any]) -> None:
    """At its price a count is the best of all counts: the curve is convex."""
    x, w = problem
    counts, best = optima(x, w)
    curve = solvq.rate_distortion(x, counts, w)
    slack = 1e-9 * best + oracles.rounding(x, w)
    for count, error, price in zip(counts[1:], best[1:], curve.penalty[1:], strict=True):
        assert np.all(error + price * count <= best + price * counts + slack + 1e-9 * price)
    assert curve.penalty[0] == np.inf or counts.size == 1


def same_as_quantize(x: Any, curve: Curve, counts: Any, weight: Any = None) -> None:
    """Codebook, error and entropy of some counts are those of a call for one count."""
    for k in counts:
        code = quantize(x.astype(np.float64), k, sample_weight=weight)
        place = int(np.flatnonzero(curve.n_values == k)[0])
        assert np.allclose(curve.codebook(k), code.codebook, rtol=1e-9, atol=1e-12)
        assert curve.distortion[place] == pytest.approx(code.distortion(x, weight), rel=1e-11)
        assert curve.entropy[place] == pytest.approx(code.entropy, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("is_weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int16])
def test_equals_quantize(dtype: Any, is_weighted: bool) -> None:
    """Floats, 16-bit floats and integers, with and without weights."""
    rng = np.random.default_rng(0)
    x = (100.0 * rng.normal(size=(30, 20))).astype(dtype)
    w = rng.integers(0, 3, x.shape).astype(np.float64) if is_weighted else None
    curve = solvq.rate_distortion(x, range(1, 40), w)
    same_as_quantize(x, curve, (1, 2, 17, 39), w)


@pytest.mark.parametrize(
    "family", ["normal", "grid", "cauchy cubed", "two clusters", "log-uniform"]
)
def test_many_points(family: str) -> None:
    """Where counts are refined from a coarse problem the result is that of the search for one."""
    x, _ = FAMILIES[family](np.random.default_rng(1), LARGE)
    curve = solvq.rate_distortion(x, [*range(1, 9), 31, 32, 33])
    assert curve.gap.max() < 1e-9
    for k in (2, 5, 32):
        model = OptimalQuantizer(k).fit(x[:, None])
        place = int(np.flatnonzero(curve.n_values == k)[0])
        assert curve.distortion[place] == pytest.approx(model.loss_, rel=1e-10)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
def test_tolerance(tol: float) -> None:
    """The optimum lies between bound and error, which are as close as asked for."""
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=LARGE), rng.random(LARGE)
    counts = [2, 3, 8, 20, 50]
    exact, rough = (solvq.rate_distortion(x, counts, w, tol=t) for t in (None, tol))
    assert np.all(rough.lower_bound <= exact.distortion * (1.0 + 1e-12))
    assert np.all(exact.distortion <= rough.distortion * (1.0 + 1e-12))
    assert np.all(rough.distortion <= rough.lower_bound * (1.0 + tol))


def test_what_was_missed_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without refinement the search for one count gives the same."""
    x = np.random.default_rng(3).normal(size=LARGE)
    expected = solvq.rate_distortion(x, [7, 8])
    monkeypatch.setattr(_counts, "_closed", lambda data, k, near, tol, work: near)
    searched = solvq.rate_distortion(x, [7, 8])
    assert np.allclose(searched.distortion, expected.distortion, rtol=1e-11)
    assert searched.gap.max() < 1e-11


@given(weighted(1, 40))
@settings(max_examples=30)
def test_moved_points_bound_every_codebook(problem: tuple[Any, Any]) -> None:
    """Mean and mass stay; no codebook does better on the nodes than on all points."""
    x, w = oracles.distinct(*problem)
    nodes = np.union1d(np.arange(0, x.size, 3), [x.size - 1]).astype(np.int32)
    xs, ws, grown = moved(points(x, w), nodes)
    scale = oracles.rounding(x, w) + 1e-12
    assert ws.sum() == pytest.approx(w.sum(), rel=1e-12)
    assert xs @ ws == pytest.approx(x @ w, rel=1e-9, abs=scale)
    assert xs**2 @ ws - x**2 @ w == pytest.approx(grown, rel=1e-9, abs=scale)
    for size in (1, 2, 4):
        table = np.sort(np.random.default_rng(size).choice(x, size))
        on_all = w @ (x - table[oracles.nearest(x, table)]) ** 2
        on_nodes = ws @ (xs - table[oracles.nearest(xs, table)]) ** 2
        assert on_nodes - grown <= on_all * (1.0 + 1e-12) + scale


@pytest.mark.parametrize("family", FAMILIES)
def test_sums_of_blocks(family: str) -> None:
    """Means and error of clusters from block sums equal those from the points."""
    x, w = FAMILIES[family](np.random.default_rng(4), 500)
    for inner in ([], [1, 2, 40], [31, 32, 33, 58]):
        breaks = np.array([0, *inner, x.size], np.int32)
        means, loss = fitted(points(x, w), breaks)
        expected, least = group_means(x, w, breaks)
        slack = 1e-14 * np.abs(x).max()  # a mean near zero of far points has no more digits
        assert np.allclose(means, expected, rtol=1e-13, atol=slack)
        assert loss == pytest.approx(least, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("growth", [0.0, 0.1, 0.5, 3.0])
def test_graded_nodes(growth: float) -> None:
    """Nodes ascend, hold the points on both sides of each break, and thin out between."""
    breaks = np.array([0, 1, 3, 100, 101, 350], np.int32)
    nodes = graded(breaks, growth, 0.0)
    assert np.all(np.diff(nodes) > 0)
    assert set(breaks[:-1]) | set(breaks[1:] - 1) <= set(nodes)
    assert (nodes.size == 350) == (growth == 0.0)


def test_bound_of_few_nodes_is_tight() -> None:
    """At the right breaks and price the nodes next to them suffice."""
    x = np.sort(np.random.default_rng(5).normal(size=3_000))
    w = np.ones(x.size)
    curve = solvq.rate_distortion(x, [8])
    edges = curve.codebook(8)[:-1] + 0.5 * np.diff(curve.codebook(8))
    breaks = np.array([0, *np.searchsorted(x, edges), x.size], np.int32)
    price = float(curve.penalty[0]) * x.size
    found, bound, size = refined(points(x, w), breaks, 8, price, (0.05, 0.0), workspace(x.size))
    assert size < x.size / 2
    assert np.array_equal(found, breaks)
    assert bound == pytest.approx(curve.distortion[0] * x.size, rel=1e-10)


def cuts(size: int) -> Any:
    """Nodes with no, few and many points between, within blocks and across."""
    inner = [1, 2, 7, 30, 31, 32, 40, 63, 64, 65, 200]
    return np.unique([0, *(c for c in inner if c < size), size - 1]).astype(np.int32)


@pytest.mark.parametrize("family", FAMILIES)
def test_cells_from_running_sums(family: str) -> None:
    """Weight and moments of cells are those of their points, to a share of the squared width."""
    x, w = FAMILIES[family](np.random.default_rng(6), 500)
    nodes = cuts(x.size)
    for first, last in ((nodes[:-1], nodes[1:]), (nodes[:-1], nodes[:-1])):
        found = cell_sums(frames(points(x, w)), first, last)
        for i, j, row in zip(first, last, found.T, strict=True):
            d, mass = x[i:j] - x[i], w[i:j]
            wide = float(d[-1]) if d.size else 0.0
            assert row[0] == pytest.approx(mass.sum(), rel=1e-8)
            assert row[1] == pytest.approx(mass @ d, rel=1e-9, abs=1e-7 * mass.sum() * wide)
            assert row[2] == pytest.approx(mass @ d**2, rel=1e-9, abs=1e-7 * mass.sum() * wide**2)


@pytest.mark.parametrize("family", FAMILIES)
def test_spread_and_merged_cells(family: str) -> None:
    """What is spread is what is moved point by point; merged cells keep mass and mean."""
    x, w = FAMILIES[family](np.random.default_rng(7), 500)
    data, nodes = points(x, w), cuts(x.size)
    xs, ws, grown = spread(frames(data), nodes)
    expected, masses, least = moved(data, nodes)
    slack = 1e-6 * oracles.interval_cost(x, w)
    assert np.array_equal(xs, expected)
    assert np.allclose(ws, masses, rtol=1e-6, atol=1e-7 * masses.max())
    assert least * (1.0 - 1e-12) <= grown <= least + slack
    means, sums = merged(frames(data), nodes)
    for c, (i, j) in enumerate(zip(nodes, [*nodes[1:], x.size], strict=True)):
        assert sums[c] == pytest.approx(w[i:j].sum(), rel=1e-8)
        assert means[c] == pytest.approx(np.average(x[i:j], weights=w[i:j]), rel=1e-7, abs=slack)


def test_proportioned_nodes() -> None:
    """All points without distances; else the points beside each break, alike in all clusters."""
    breaks = np.array([0, 1, 3, 1003, 3003], np.int32)
    assert np.array_equal(proportioned(breaks, 0.0, 0.0), np.arange(3003))
    nodes = proportioned(breaks, 0.1, 0.002)
    assert np.all(np.diff(nodes) > 0)
    assert set(breaks[:-1]) | set(breaks[1:] - 1) <= set(nodes)
    third, fourth = (
        np.count_nonzero((a <= nodes) & (nodes < b)) for a, b in ((3, 1003), (1003, 3003))
    )
    assert 50 < third <= fourth < 150


@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_few_cells_bracket_the_optimum(shift: float) -> None:
    """From breaks nearby, partition and bound come close to the optimum from both sides."""
    rng = np.random.default_rng(8)
    x, w = np.sort(rng.normal(size=LARGE)) + shift, rng.integers(1, 5, LARGE).astype(np.float64)
    problem = solvq.rate_distortion(x, [7, 8, 9], w)
    least = problem.distortion * w.sum()
    frame, work = frames(points(x, w)), workspace(x.size)
    edges = problem.codebooks[1][:-1] + 0.5 * np.diff(problem.codebooks[1])
    right = np.array([0, *np.searchsorted(x, edges), x.size], np.int32)
    away = right + np.array([0, *rng.integers(-20, 20, 7), 0], np.int32)
    price = 0.5 * (least[0] - least[2])
    breaks, loss = settled(frame, away, 8, price, (0.1, 0.002), work)
    assert breaks.size == 9
    assert least[1] * (1.0 - 1e-9) <= loss <= least[1] * (1.0 + 1e-3)
    found, bound = proved(frame, right, 8, price, (0.04, 4e-4), work)
    assert found.size == 9
    assert least[1] * (1.0 - 1e-4) <= bound <= least[1] * (1.0 + 1e-12)


def test_degenerate_data() -> None:
    """Constants, one value, all counts beyond the data, counts in any order."""
    curve = solvq.rate_distortion(np.full((3, 4), 7.0))
    assert (curve.n_values, curve.distortion, curve.entropy) == ([1], [0.0], [0.0])
    assert np.array_equal(curve.gap, [0.0])
    curve = solvq.rate_distortion(GOOD, [9, 2, 9])
    assert np.array_equal(curve.n_values, [2, 9])
    assert np.array_equal(curve.codebook(9), GOOD)
    assert np.array_equal(curve.entropy, [1.0, 2.0])
    assert solvq.rate_distortion(GOOD).n_values[-1] == 4


def test_extreme_scales() -> None:
    """Offsets, powers of two and tiny values move the curve, no more."""
    x = np.random.default_rng(6).normal(size=200)
    curve = solvq.rate_distortion(x, [3, 9])
    for scale in (2.0**-400, 2.0**300):
        other = solvq.rate_distortion(x * scale, [3, 9])
        assert np.allclose(other.distortion, curve.distortion * scale**2, rtol=1e-12)
        assert np.allclose(other.penalty, curve.penalty * scale**2, rtol=1e-12)
    assert solvq.rate_distortion(x + 1e8, [3, 9]).gap.max() < 1e-9


BAD: dict[str, Any] = {
    "int": ({"n_values": 3}, TypeError, r"n_values is 3; give a sequence of counts"),
    "string": ({"n_values": "3"}, TypeError, "n_values is '3'"),
    "empty": ({"n_values": []}, ValueError, "n_values is empty"),
    "zero": ({"n_values": [2, 0]}, ValueError, "entry of n_values is 0"),
    "float": ({"n_values": [2.0]}, TypeError, "entry of n_values is 2.0"),
    "bool": ({"n_values": [True]}, TypeError, "entry of n_values is True"),
    "tol": ({"tol": "1"}, TypeError, "tol is '1'"),
    "tol 0": ({"tol": 0.0}, ValueError, r"tol is 0.0; give a number in \(0, 1\)"),
    "tol nan": ({"tol": np.nan}, ValueError, "tol is nan"),
    "weights": ({"sample_weight": np.ones(3)}, ValueError, r"shape \(3,\); x has \(4,\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case: str) -> None:
    """Refused with what was got and what is allowed."""
    arguments, error, phrase = BAD[case]
    with pytest.raises(error, match=phrase):
        solvq.rate_distortion(GOOD, **arguments)


def test_bad_data() -> None:
    """Data are refused as `quantize` refuses them; a count that is not there is named."""
    with pytest.raises(ValueError, match="1 NaN or infinite value among 2"):
        solvq.rate_distortion([1.0, np.nan])
    with pytest.raises(ValueError, match="empty"):
        solvq.rate_distortion([])
    with pytest.raises(TypeError, match="dtype bool"):
        solvq.rate_distortion([True])
    with pytest.raises(ValueError, match="n_values is 3; the curve has 2 counts from 1 to 2"):
        solvq.rate_distortion(GOOD, [1, 2]).codebook(3)

"""The compiled kernels against their slow twins of `oracles`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FAMILIES, INTERPRETED, points

from solvq.scalar._kernels import workspace
from solvq.scalar._partition import _splice, group_means, partition, solve
from solvq.scalar._probe import probe, traced

LONG = 60 if INTERPRETED else 300  # long enough for the vectorised scan of rows
SHORT = 9 if INTERPRETED else 14
SEEDS = range(1 if INTERPRETED else 4)
family = pytest.mark.parametrize("family", FAMILIES)


def tight(loss: float, bound: float, slack: float) -> bool:
    """Whether a bound lies below a loss and proves it to 1e-9 and a slack."""
    return bool(bound <= loss <= bound * (1.0 + 1e-9) + slack)


def at_most(a: Any, b: Any, slack: float) -> bool:
    """Whether ``a <= b`` up to a relative 1e-12 and an absolute slack."""
    return bool(np.all(a <= b * (1.0 + 1e-12) + slack))


@family
@pytest.mark.parametrize("n", [1, 2, SHORT, LONG])
def test_probe_equals_penalised_twin(family: str, n: int) -> None:
    """The value at every node is the twin's, and the traced partition attains the last."""
    x, w = FAMILIES[family](np.random.default_rng(n), n)
    costs, slack, work = oracles.interval_costs(x, w), oracles.rounding(x, w), workspace(x.size)
    for penalty in (costs[0, -1] + 1.0) * np.array([2.0, 0.3, 1e-2, 1e-4, 1e-6, 1e-9]):
        count = probe(x, w, penalty, work)
        expected = oracles.penalised_costs(costs, penalty)
        assert at_most(work.best, expected, slack)
        assert at_most(expected, work.best, slack)
        breaks = traced(work, x.size, count)
        assert breaks[0] == 0
        assert breaks[-1] == x.size
        attained = oracles.partition_cost(x, w, breaks) + penalty * count
        assert at_most(attained, expected[-1], slack)


def test_probe_without_penalty_keeps_every_point() -> None:
    """A penalty of zero separates all points."""
    x = np.arange(20.0)
    assert probe(x, np.ones(20), 0.0, workspace(20)) == 20


@family
@pytest.mark.parametrize("seed", SEEDS)
def test_solve_equals_counted_twin(family: str, seed: int) -> None:
    """Loss, bound and number of clusters are right for every count."""
    x, w = FAMILIES[family](np.random.default_rng(seed), SHORT * 2)
    best, slack = oracles.counted_costs(oracles.interval_costs(x, w))[:, -1], oracles.rounding(x, w)
    for k in range(1, x.size):
        codebook, loss, bound, _ = solve(x, w, k)
        breaks = partition(x, w, k, workspace(x.size))[0]
        assert codebook.size == k
        assert breaks.size == k + 1
        assert np.all(np.diff(breaks) > 0)
        assert at_most(loss, best[k], slack)
        assert at_most(best[k], loss, slack)
        assert at_most(bound, best[k], slack)
        assert tight(loss, bound, 0.01 * slack)


@given(points(7 if INTERPRETED else 10))
def test_solve_equals_brute_force(problem: tuple[Any, Any]) -> None:
    """Every count of small problems, ties included."""
    x, w = problem
    slack = oracles.rounding(x, w)
    for k in range(1, x.size):
        _, loss, bound, _ = solve(x, w, k)
        best = oracles.brute_force(x, w, k)
        assert abs(loss - best) <= 1e-12 * best + slack
        assert at_most(bound, best, slack)


@family
def test_loss_is_convex_in_count(family: str) -> None:
    """``D_k - D_{k+1}`` never grows with ``k``."""
    x, w = FAMILIES[family](np.random.default_rng(7), SHORT * 3)
    losses = np.array([solve(x, w, k)[1] for k in range(1, x.size + 1)])
    steps = -np.diff(losses)
    assert at_most(steps[1:], steps[:-1], 4.0 * oracles.rounding(x, w))


@family
def test_long_problems_reach_every_count(family: str) -> None:
    """Counts are exact and the bound is tight where the coarse problem sets the first penalty."""
    n = 400 if INTERPRETED else 20_000
    x, w = FAMILIES[family](np.random.default_rng(3), n)
    for k in (1, 2, 3, 16, 255, 4096, x.size - 1):
        if k < x.size and not (INTERPRETED and k > 16):
            codebook, loss, bound, _ = solve(x, w, k)
            assert codebook.size == k
            assert np.all(np.diff(codebook) > 0)
            assert tight(loss, bound, 16.0 * oracles.rounding(x, w))


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-8])
def test_bound_of_tight_clusters(width: float) -> None:
    """The bound stays tight where the error is tiny beside the distance of the clusters."""
    x = np.array([0.0, width, 1.0, 1.0 + width])
    _, loss, bound, _ = solve(x, np.ones(4), 2)
    assert loss == pytest.approx(width**2, rel=1e-6)
    assert loss <= bound * (1.0 + 1e-9)


def test_solve_with_enough_values_is_the_points() -> None:
    """No loss from as many values as points."""
    x = np.array([-1.0, 0.0, 4.0])
    for k in (3, 4, 100):
        codebook, loss, bound, _ = solve(x, np.ones(3), k)
        assert np.array_equal(codebook, x)
        assert (loss, bound) == (0.0, 0.0)


@given(st.data())
def test_splice_has_the_wanted_count(data: st.DataObject) -> None:
    """Any coarse and any fine partition splice into every count between theirs."""
    m = data.draw(st.integers(3, 25))
    inner = st.sets(st.integers(1, m - 1))
    one, two = (sorted({0, m, *data.draw(inner)}) for _ in range(2))
    short, long = sorted((one, two), key=len)
    for k in range(len(short), len(long) - 1):
        breaks = _splice(np.array(short, np.int32), np.array(long, np.int32), k)
        assert breaks.size == k + 1
        assert (breaks[0], breaks[-1]) == (0, m)
        assert np.all(np.diff(breaks) > 0)
        assert set(breaks) <= {*short, *long}


@given(points(12), st.data())
def test_group_means(problem: tuple[Any, Any], data: st.DataObject) -> None:
    """Means and summed errors of arbitrary clusters."""
    x, w = problem
    inner = data.draw(st.sets(st.integers(1, max(1, x.size - 1))))
    breaks = np.array(sorted({0, x.size, *(b for b in inner if b < x.size)}), np.int32)
    means, loss = group_means(x, w, breaks)
    expected = [np.average(x[i:j], weights=w[i:j]) for i, j in pairwise(breaks)]
    scale = float(np.abs(x).max())
    assert np.allclose(means, expected, rtol=1e-13, atol=1e-14 * scale)
    assert abs(loss - oracles.partition_cost(x, w, breaks)) <= 1e-12 * loss + oracles.rounding(x, w)


def test_group_means_far_from_zero() -> None:
    """An offset of 1e8 costs no precision."""
    x = 1e8 + np.array([0.0, 1.0, 2.0, 10.0])
    means, loss = group_means(x, np.ones(4), np.array([0, 3, 4], np.int32))
    assert np.array_equal(means, [1e8 + 1.0, 1e8 + 10.0])
    assert loss == 2.0

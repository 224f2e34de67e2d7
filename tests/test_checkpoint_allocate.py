"""Spreading a budget: against every choice that there is, on small problems."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvq.checkpoint.budget._allocate import LEAST, Allocation, allocate, hull, refined
from solvq.scalar._kernels import Float64

Tensors = list[Float64]
point = st.tuples(st.integers(0, 30), st.integers(0, 30))
points = st.lists(point, min_size=1, max_size=5).map(lambda p: np.array(p, np.float64))
tensors = st.lists(points, min_size=1, max_size=4)


def best(given_: Tensors, limit: float) -> float:
    """Least loss of all choices within a limit; infinite if there is none."""
    losses = [
        sum(float(p[1]) for p in choice)
        for choice in itertools.product(*given_)
        if sum(float(p[0]) for p in choice) <= limit
    ]
    return min(losses, default=math.inf)


def check(given_: Tensors, limit: float, found: Allocation) -> None:
    """An allocation keeps to its limit, its loss is what it says, and its bound holds."""
    chosen = [p[i] for p, i in zip(given_, found.chosen, strict=True)]
    assert sum(float(p[0]) for p in chosen) <= limit
    assert found.loss == sum(float(p[1]) for p in chosen)
    optimum = best(given_, limit)
    assert found.bound <= optimum * (1.0 + 1e-12) + 1e-12
    assert optimum <= found.loss


@given(points, st.floats(0.0, 40.0))
def test_hull_has_the_best_point_of_every_slope(given_: Float64, slope: float) -> None:
    """The hull falls, ever less steeply, and no point is below it at any slope."""
    corners = given_[hull(given_)]
    steps = np.diff(corners, axis=0)
    assert (steps[:, 0] > 0).all()
    assert (steps[:, 1] < 0).all()
    slopes = steps[:, 1] / steps[:, 0]
    assert (np.diff(slopes) > 0).all()
    price = given_[:, 1] + slope * given_[:, 0]
    assert (corners[:, 1] + slope * corners[:, 0]).min() <= price.min() + 1e-9


@given(tensors, st.integers(0, 130))
def test_allocation_against_all_choices(given_: Tensors, limit: int) -> None:
    """Feasible, bound below and loss above the optimum; None just where there is no choice."""
    for swapped in (False, True):
        turned = [p[:, ::-1].copy() for p in given_] if swapped else given_
        found = allocate(turned, limit)
        if found is None:
            assert math.isinf(best(turned, limit))
            continue
        check(turned, limit, found)
        better = refined(turned, limit, found)
        check(turned, limit, better)
        assert better.loss <= found.loss
        room = limit - sum(float(p[:, 0].min()) for p in turned)
        assert better.loss <= best(turned, limit - room * len(turned) / LEAST - 1e-9)


@given(tensors, st.integers(0, 130), st.sampled_from([2.0**-300, 2.0**-40, 2.0**200]))
def test_units_of_the_loss_do_not_matter(given_: Tensors, limit: int, unit: float) -> None:
    """Losses of tiny or huge weights are spread like others."""
    found = allocate(given_, limit)
    scaled = allocate([p * [1.0, unit] for p in given_], limit)
    if found is None or scaled is None:
        assert found is scaled
        return
    assert scaled.chosen == found.chosen
    assert scaled.loss == found.loss * unit
    assert scaled.bound == pytest.approx(found.bound * unit, rel=1e-9, abs=1e-12 * unit)


def test_the_remainder_is_filled_exactly() -> None:
    """Where the hull leaves room that single changes cannot use, the knapsack is solved."""
    given_ = [np.array([[0.0, 10.0], [6.0, 1.0]]), np.array([[0.0, 8.0], [5.0, 1.0]])]
    given_ += [np.array([[0.0, 8.0], [5.0, 1.0]])]
    found = allocate(given_, 10.0)
    assert found is not None
    better = refined(given_, 10.0, found)
    assert (found.loss, better.loss, better.chosen) == (17.0, 12.0, [0, 1, 1])
    assert better.bound <= 12.0


def test_a_limit_above_all_costs_takes_the_best() -> None:
    """Room for everything: loss and bound are the least losses, and no price remains."""
    rng = np.random.default_rng(0)
    given_ = [rng.uniform(size=(6, 2)) for _ in range(5)]
    found = allocate(given_, 99.0)
    assert found is not None
    assert found.loss == found.bound == sum(float(p[:, 1].min()) for p in given_)
    assert found.slope == 0.0


def test_nothing_to_choose() -> None:
    """No tensors cost nothing; with one point each there is one choice."""
    empty = allocate([], 0.0)
    assert empty is not None
    assert (empty.chosen, empty.loss, empty.bound) == ([], 0.0, 0.0)
    assert refined([], 1.0, empty) == empty
    single = [np.array([[3.0, 2.0]]), np.array([[4.0, 1.0]])]
    assert allocate(single, 6.99) is None
    found = allocate(single, 7.0)
    assert found is not None
    assert (found.chosen, found.loss) == ([0, 0], 3.0)

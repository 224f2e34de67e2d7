"""Entropy-constrained quantization: against every partition, its bound, and its own cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FAMILIES, INTERPRETED, points

from solvq import certificate, quantize
from solvq.scalar import EntropyQuantizer, L0Quantizer, quantize_certified, quantize_rows
from solvq.scalar._entropy_kernels import cheapest, scratch, spread_out
from solvq.scalar._entropy_search import FIRST, bound, cheapest_cells, grouped

SIZE = 150 if INTERPRETED else 800
prices = st.floats(-5, 1).map(lambda power: 10.0**power)


def sample(seed: int = 0, n: int = SIZE) -> Any:
    """Normal numbers, one column."""
    return np.random.default_rng(seed).standard_normal((n, 1))


@given(problem=points(10), price=prices)
def test_cheapest_cells_are_the_best_of_all_partitions(problem: Any, price: float) -> None:
    """Intervals of least error plus priced entropy."""
    x, w = problem
    w = w / w.sum()
    work = scratch(w)
    breaks = cheapest(x, w, price, work)
    costs = [
        error + price * bits * np.log(2.0) for error, bits, _ in oracles.entropy_partitions(x, w)
    ]
    masses = np.add.reduceat(w, breaks[:-1])
    own = oracles.partition_cost(x, w, tuple(breaks)) + price * oracles.entropy(masses) * np.log(2)
    assert own == pytest.approx(min(costs), rel=1e-9, abs=1e-9)
    assert work.best[-1] == pytest.approx(own, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("price", [1e-4, 1e-2, 0.3])
def test_leaving_out_long_cells_changes_nothing(family: str, price: float) -> None:
    """All starts tried, in quadratic time."""
    x, w = FAMILIES[family](np.random.default_rng(3), 60)
    x, w = x / (x[-1] - x[0]), w / w.sum()
    costs = oracles.interval_costs(x, w)
    mass = np.concatenate([[0.0], np.cumsum(w)])
    best = [0.0]
    for j in range(1, x.size + 1):
        p = np.maximum(mass[j] - mass[:j], 1e-300)
        best.append(float(np.min(np.array(best) + costs[:j, j] - price * p * np.log(p))))
    work = scratch(w)
    cheapest(x, w, price, work)
    np.testing.assert_allclose(work.best, best, rtol=1e-9, atol=1e-12)


@given(problem=points(9), alpha=prices, bits=st.floats(0.1, 3.2))
def test_no_partition_beats_the_bound(problem: Any, alpha: float, bits: float) -> None:
    """At a price the solution is the best one; at a rate none is below the bound."""
    x, w = problem
    every = oracles.entropy_partitions(x, w)
    slack = 1e-9 * (1.0 + oracles.rounding(x, w) * 2**52)
    priced = EntropyQuantizer(alpha=alpha).fit(x[:, None], sample_weight=w)
    cost = priced.loss_ + alpha * priced.entropy_
    assert cost == pytest.approx(min(d + alpha * h for d, h, _ in every), rel=1e-9, abs=slack)
    met = EntropyQuantizer(bits=bits).fit(x[:, None], sample_weight=w)
    assert met.entropy_ <= bits + 1e-12
    for model in (priced, met):
        rivals = [d for d, h, _ in every if h <= model.entropy_ + 1e-12]
        assert model.lower_bound_ <= min(rivals) + slack
        assert min(rivals) <= model.loss_ + slack


@given(problem=points(40), k=st.integers(1, 6), alpha=prices)
def test_cells_are_those_returned(problem: Any, k: int, alpha: float) -> None:
    """Loss and entropy follow from the indices; each value is the mean of its cell."""
    x, w = problem
    for options in ({"n_values": k}, {"alpha": alpha}, {"bits": 1.5}):
        model = EntropyQuantizer(**options).fit(x[:, None], sample_weight=w)
        indices = model.encode(x[:, None])[:, 0]
        masses = np.bincount(indices, w)
        assert np.all(masses > 0)
        assert model.entropy_ == pytest.approx(oracles.entropy(masses), abs=1e-9)
        np.testing.assert_allclose(np.bincount(indices, w * x) / masses, model.codebook_, atol=1e-9)
        error = oracles.mean_squared_error(x, model.codebook_[indices], w)
        assert model.loss_ == pytest.approx(error, rel=1e-9, abs=oracles.rounding(x, w))
        assert np.all(np.diff(model.thresholds_) > 0)
        code, proof = quantize_certified(x, method="entropy", sample_weight=w, **options)
        assert np.array_equal(code.indices, indices)
        assert (proof.distortion, proof.lower_bound) == (model.loss_, model.lower_bound_)


def test_common_values_take_more_than_their_nearest() -> None:
    """Cells are not those of nearest values, and that is what makes them better."""
    x = sample()
    model = EntropyQuantizer(bits=1.5).fit(x)
    code = quantize(x, method="entropy", bits=1.5)
    nearest = np.abs(x - model.codebook_).argmin(axis=1)[:, None]
    assert np.any(code.indices != nearest)
    assert certificate(x, code.codebook).distortion < code.distortion(x)
    assert oracles.entropy(np.bincount(nearest[:, 0])) > model.entropy_
    middle = 0.5 * (model.codebook_[1:] + model.codebook_[:-1])
    assert np.all(np.abs(model.thresholds_) >= np.abs(middle) - 1e-2)


def test_less_error_at_a_rate_than_other_codes() -> None:
    """Than the optimum of few values, and than uniform thresholds with centroids."""
    x = sample(1)
    for bits in (1.0, 2.0, 3.0):
        model = EntropyQuantizer(bits=bits).fit(x)
        assert 0.0 <= bits - model.entropy_ < 0.02
        assert 0.0 <= model.gap_ < 0.02
        few = quantize(x, int(2**bits))
        own = EntropyQuantizer(bits=few.entropy).fit(x)
        assert own.loss_ < few.distortion(x)
        steps = np.geomspace(0.05, 8.0, 200)
        for step in steps:
            even = np.floor(x[:, 0] / step + 0.5)
            _, cell, counts = np.unique(even, return_inverse=True, return_counts=True)
            if oracles.entropy(counts) <= model.entropy_:
                means = np.bincount(cell, x[:, 0]) / counts
                assert np.mean((x[:, 0] - means[cell]) ** 2) >= model.lower_bound_


def test_the_price_trades_error_for_entropy() -> None:
    """As it grows, entropy falls and the error grows; at a high one a single value is left."""
    fits = [EntropyQuantizer(alpha=a).fit(sample(2)) for a in np.geomspace(1e-4, 0.5, 12)]
    assert np.all(np.diff([m.entropy_ for m in fits]) < 0.0)
    assert np.all(np.diff([m.loss_ for m in fits]) > 0.0)
    assert EntropyQuantizer(alpha=1e3).fit(sample(2)).n_values_ == 1
    again = EntropyQuantizer(alpha=fits[4].alpha_).fit(sample(2))
    assert again.alpha_ == pytest.approx(fits[4].alpha_)


@pytest.mark.parametrize("bits", [0.5, 2.0, 4.0])
def test_more_data_than_are_solved_at_once(bits: float) -> None:
    """Groups, refined on all data: the rate is met and the gap is small."""
    x = np.random.default_rng(4).laplace(size=(6 * FIRST, 1))
    model = EntropyQuantizer(bits=bits).fit(x)
    assert 0.0 <= bits - model.entropy_ < 0.005
    assert model.gap_ < 0.005
    priced = EntropyQuantizer(alpha=model.alpha_).fit(x)
    assert priced.loss_ + model.alpha_ * priced.entropy_ <= (
        (model.loss_ + model.alpha_ * model.entropy_) * (1.0 + 1e-6)
    )
    few = EntropyQuantizer(n_values=12).fit(x)
    assert 10 <= few.n_values_ <= 12


@given(problem=points(12), price=prices, count=st.integers(2, 6))
def test_groups_bound_from_both_sides(problem: Any, price: float, count: int) -> None:
    """Data drawn together cost no less, data spread out no more."""
    x, w = problem
    w = w / w.sum()
    groups = grouped(x, w, count)
    best = cheapest_cells(grouped(x, w, x.size), price)
    exact = oracles.partition_cost(x, w, tuple(best.breaks)) + price * best.entropy * np.log(2.0)
    coarse = cheapest_cells(groups, price)
    cost = oracles.partition_cost(x, w, tuple(coarse.breaks)) + price * coarse.entropy * np.log(2.0)
    slack = 1e-12 * (1.0 + np.ptp(x) ** 2)
    assert bound(x, w, groups, price) <= exact + slack
    assert exact <= cost + slack


def test_spreading_keeps_mass_and_mean() -> None:
    """And raises the second moment by what is said."""
    rng = np.random.default_rng(5)
    x, w = np.sort(rng.normal(size=50)), rng.random(50)
    nodes = np.array([0, 3, 4, 20, 49], np.int32)
    masses, raised = spread_out(x, w, nodes)
    assert masses.sum() == pytest.approx(w.sum())
    assert masses @ x[nodes] == pytest.approx(w @ x)
    assert masses @ x[nodes] ** 2 - w @ x**2 == pytest.approx(raised)


def test_a_rate_that_the_data_have() -> None:
    """They come back exactly; at a rate just below they do not."""
    x = np.array([0.0, 0.0, 1.0, 5.0])[:, None]
    model = EntropyQuantizer(bits=1.5).fit(x)
    assert (model.loss_, model.alpha_, model.entropy_) == (0.0, 0.0, 1.5)
    model = EntropyQuantizer(bits=1.4).fit(x)
    assert model.entropy_ < 1.4
    assert model.loss_ > 0.0


@pytest.mark.parametrize("dtype", ["f2", "f4", "i2", "i8"])
def test_dtypes(dtype: str) -> None:
    """Values that coincide in the dtype of the data share their cell."""
    x = (sample(6)[:500] * 3).astype(dtype)
    code = quantize(x, method="entropy", alpha=1e-6)
    assert code.codebook.dtype == x.dtype
    assert np.all(np.diff(code.codebook) > 0)
    assert code.distortion(x) < 1e-4 if x.dtype.kind == "f" else code.distortion(x) == 0.0


@pytest.mark.parametrize("kind", ["entropy", "l0"])
def test_rows_as_wide_as_a_price_asks(kind: str) -> None:
    """More values than ``n_values``; the same codes as one by one."""
    x = np.random.default_rng(7).normal(size=(3, 200)) * [[1.0], [3.0], [0.1]]
    alpha = 1e-3 if kind == "entropy" else 0.2
    rows = quantize_rows(x, 4, kind, alpha=alpha)
    single = [quantize(row, 4, kind, alpha=alpha) for row in x]
    assert rows.codebooks.shape == (3, max(code.codebook.size for code in single))
    assert rows.codebooks.shape[1] > 4
    assert np.array_equal(rows.decode(), [code.decode() for code in single])
    assert isinstance(L0Quantizer(alpha=0.2).fit(x.T).thresholds_, np.ndarray)


@pytest.mark.parametrize(
    "options",
    [{"alpha": 0.0}, {"alpha": "a"}, {"bits": -1.0}, {"bits": True}, {"bits": np.inf}],
)
def test_bad_parameters(options: dict[str, Any]) -> None:
    """One line that names the parameter."""
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(options))} is"):
        EntropyQuantizer(**options).fit([[1.0], [2.0]])


def test_price_and_rate_exclude_each_other() -> None:
    """Both would be one too many."""
    with pytest.raises(ValueError, match="give one of them"):
        EntropyQuantizer(alpha=1.0, bits=2.0).fit([[1.0], [2.0]])

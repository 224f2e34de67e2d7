"""The penalised methods against independent solvers, their conditions, and brute force."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from oracles import step_basis
from sklearn.linear_model import Lasso
from strategies import FAMILIES, spread

from solvq.scalar import L0Quantizer, L1Quantizer, OptimalQuantizer
from solvq.scalar._l1_kernels import Levels, block_values, kkt_residual, shrunk
from solvq.scalar._merges import merges
from solvq.scalar._partition import group_means


@pytest.mark.parametrize("seed", range(40))
def test_pool_is_the_lasso(seed: int) -> None:
    """Isotonic regression equals coordinate descent on the dense basis."""
    u, w = spread(seed)
    alpha = float(10.0 ** np.random.default_rng(seed).uniform(-3, 0.5))
    breaks, values = shrunk(u, w, alpha)
    lasso = Lasso(alpha=alpha / w.sum(), tol=1e-15, max_iter=10**6)
    expected = lasso.fit(step_basis(u)[:, 1:], u, sample_weight=w).predict(step_basis(u)[:, 1:])
    np.testing.assert_allclose(
        np.repeat(values, np.diff(breaks)), expected, rtol=0, atol=1e-9 * np.ptp(u)
    )
    assert kkt_residual(u, w, Levels(breaks, values), alpha, 0.0, False) < 1e-9


def test_kkt_residual_sees_a_wrong_solution() -> None:
    """Moving a value or the penalty breaks the conditions."""
    u, w = spread(1)
    breaks, values = shrunk(u, w, 0.01)
    assert kkt_residual(u, w, Levels(breaks, values), 0.02, 0.0, False) > 0.1
    values[0] += 0.01
    assert kkt_residual(u, w, Levels(breaks, values), 0.01, 0.0, False) > 1e-3


@pytest.mark.parametrize("seed", range(60))
def test_path_equals_the_solution_at_every_penalty(seed: int) -> None:
    """Merges taken up to a penalty leave the blocks, and the values, of that penalty."""
    u, w = spread(seed)
    alphas, losses, removed = merges(u, w, 1)
    assert np.all(np.diff(alphas) >= 0)
    assert np.all(np.diff(losses) >= 0)
    between = 0.5 * (alphas[1:] + alphas[:-1])[np.diff(alphas) > 1e-9 * alphas[1:]]
    for alpha in between:
        done = np.searchsorted(alphas, alpha)
        breaks = np.delete(np.arange(u.size + 1, dtype=np.int32), removed[:done])
        expected, values = shrunk(u, w, alpha)
        np.testing.assert_array_equal(breaks, expected)
        np.testing.assert_allclose(block_values(u, w, breaks, alpha), values, atol=1e-9)
        means = np.add.reduceat(w * u, breaks[:-1]) / np.add.reduceat(w, breaks[:-1])
        refitted = float(np.sum(w * (np.repeat(means, np.diff(breaks)) - u) ** 2))
        assert losses[done - 1] == pytest.approx(refitted, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", FAMILIES)
def test_long_paths_in_stages(name: str) -> None:
    """Large problems, whose paths are followed in stages: the same blocks at any penalty."""
    u, w = FAMILIES[name](np.random.default_rng(5), 3000)
    alphas, losses, removed = merges(u, w, 1)
    assert sorted(removed) == list(range(1, u.size))
    assert np.all(np.diff(alphas) >= 0)
    for done in np.linspace(0, u.size - 3, 40).astype(int):
        if alphas[done + 1] <= alphas[done] * (1 + 1e-6):
            continue
        breaks = np.delete(np.arange(u.size + 1, dtype=np.int32), removed[: done + 1])
        expected, _ = shrunk(u, w, 0.5 * (alphas[done] + alphas[done + 1]))
        np.testing.assert_array_equal(breaks, expected)
        _, loss = group_means(u, w, breaks)
        assert losses[done] == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("refit", [True, False])
def test_every_count_is_met(refit: bool) -> None:
    """Ties included; without the refit, blocks that are about to merge may have equal values."""
    for x in (np.arange(30.0), spread(6)[0], spread(7)[0]):
        for k in range(1, x.size + 1):
            model = L1Quantizer(k, refit=refit).fit(x[:, None])
            assert model.support_.size == k
            assert model.n_values_ == k or (not refit and model.n_values_ < k)
            assert model.lower_bound_ <= model.loss_


def test_path_attribute_is_in_the_units_of_the_data() -> None:
    """Penalties and losses of the knots fit the estimator at each of them."""
    x = np.random.default_rng(0).standard_normal(60) * 1e5
    model = L1Quantizer(5).fit(x[:, None], sample_weight=np.full(60, 3e7))
    assert model.path_.n_values[-1] == 5
    assert model.alpha_ == model.path_.alpha[-1]
    assert model.kkt_residual_ < 1e-9
    for i in (3, 30, 54):
        alpha = model.path_.alpha[i] * (1 + 1e-9)
        at = L1Quantizer(alpha=alpha).fit(x[:, None], sample_weight=np.full(60, 3e7))
        assert at.n_values_ == model.path_.n_values[i]
        own = x.copy()
        for c, first in enumerate(at.support_):
            last = at.support_[c + 1] if c + 1 < at.support_.size else x.size
            own[np.argsort(x)[first:last]] = at.codebook_[c]
        assert np.mean((own - x) ** 2) == pytest.approx(model.path_.loss[i], rel=1e-9)


@pytest.mark.parametrize("kind", [L1Quantizer, L0Quantizer])
def test_coefficients_rebuild_the_values(kind: Any) -> None:
    """``V a`` is the shared value of each distinct datum; zero coefficients share."""
    rng = np.random.default_rng(3)
    x = np.round(rng.standard_normal(50), 2)
    u = np.unique(x)
    for arguments in ({"n_values": 7}, {"alpha": 0.05}, {"n_values": 100}):
        model = kind(**arguments).fit(x[:, None])
        basis = step_basis(u)
        rebuilt = basis @ model.coef_
        np.testing.assert_allclose(np.unique(np.round(rebuilt, 9)).size, model.n_values_)
        np.testing.assert_allclose(rebuilt[model.support_], model.codebook_, atol=1e-9)
        assert np.count_nonzero(model.coef_[1:]) == model.support_.size - 1


@pytest.mark.parametrize("seed", range(25))
def test_l0_is_the_best_of_all_partitions(seed: int) -> None:
    """At a price, no partition of up to ten values is cheaper."""
    u, w = spread(seed, most=10)
    alpha = float(10.0 ** np.random.default_rng(seed).uniform(-3, 0.5))
    x = np.repeat(u, w.astype(int))
    model = L0Quantizer(alpha=alpha).fit(x[:, None])
    found = 0.5 * model.loss_ * x.size + alpha * model.n_values_
    costs = []
    for k in range(1, u.size + 1):
        for cuts in combinations(range(1, u.size), k - 1):
            cells = zip(np.split(u, cuts), np.split(w, cuts), strict=True)
            loss = sum(float(b @ (a - np.average(a, weights=b)) ** 2) for a, b in cells)
            costs.append(0.5 * loss + alpha * k)
    assert found == pytest.approx(min(costs), rel=1e-9)


def test_l0_at_a_count_is_the_optimum() -> None:
    """The wanted count gives the exact codebook, and its price gives the count."""
    x = np.random.default_rng(0).standard_normal((300, 1))
    for k in (1, 2, 9, 40):
        model, best = L0Quantizer(k).fit(x), OptimalQuantizer(k).fit(x)
        np.testing.assert_array_equal(model.codebook_, best.codebook_)
        assert model.gap_ < 1e-9
        if k > 1:
            assert L0Quantizer(alpha=model.alpha_).fit(x).n_values_ == k


def test_the_known_failure_on_even_grids_is_reported() -> None:
    """l1 merges only at the ends of a grid: far from the optimum, and the gap says so."""
    model = L1Quantizer(16).fit(np.arange(256.0)[:, None])
    assert model.gap_ > 20


@pytest.mark.parametrize("kind", [L1Quantizer, L0Quantizer])
@pytest.mark.parametrize("alpha", [0.0, -1.0, np.inf, np.nan, "a", True])
def test_bad_penalties(kind: Any, alpha: Any) -> None:
    """A penalty is a positive number."""
    with pytest.raises((TypeError, ValueError), match="alpha is"):
        kind(alpha=alpha).fit([[1.0], [2.0]])

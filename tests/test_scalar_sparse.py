"""The paper's other forms: anchored, with squares, iterative and adaptive."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import oracles
import pytest
from oracles import Float64, step_basis
from sklearn.linear_model import ElasticNet, Lasso
from strategies import spread

from solvq.scalar import (
    METHODS,
    AdaptiveL1Quantizer,
    IterativeL1Quantizer,
    L0Quantizer,
    L1L2Quantizer,
    L1Quantizer,
)
from solvq.scalar._l1_kernels import Levels, anchored, anchored_gaps, inverse_gaps, kkt_residual
from solvq.scalar._l1_l2 import smallest_square
from solvq.scalar._merges import refitted_merges

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SHIFTS = (0.0, 0.0, 3.0, -3.0, 0.5, -0.5)
PENALIZING = [name for name, kind in METHODS.items() if "penalize_first" in kind().get_params()]


def drawn(seed: int, low: float = -3.0, high: float = 1.0) -> float:
    """A penalty that depends on the seed alone."""
    return float(10.0 ** np.random.default_rng(seed + 1000).uniform(low, high))


def values_of(levels: Levels) -> Float64:
    """Value of each datum."""
    return np.repeat(levels.values, np.diff(levels.breaks))


def dense_square(u: Float64, w: Float64, anchor: bool) -> float:
    """Least squared singular value of ``W^(1/2) V``, a free first column projected out."""
    basis = step_basis(u) * np.sqrt(w)[:, None]
    if not anchor:
        first = np.sqrt(w) / np.linalg.norm(np.sqrt(w))
        basis = basis[:, 1:] - np.outer(first, first @ basis[:, 1:])
    return float(np.linalg.svd(basis, compute_uv=False)[-1] ** 2)


@pytest.mark.parametrize("seed", range(60))
def test_anchored_is_the_lasso_without_intercept(seed: int) -> None:
    """With the first coefficient penalised: coordinate descent on the whole basis."""
    u, w = spread(seed, 40, SHIFTS[seed % 6])
    alpha = drawn(seed)
    levels = anchored(u, w, alpha)
    lasso = Lasso(alpha=alpha / w.sum(), tol=1e-15, max_iter=10**6, fit_intercept=False)
    expected = lasso.fit(step_basis(u), u, sample_weight=w).predict(step_basis(u))
    np.testing.assert_allclose(values_of(levels), expected, rtol=0, atol=1e-9)
    assert kkt_residual(u, w, levels, alpha, 0.0, True) < 1e-8


def test_anchored_at_a_datum_of_zero() -> None:
    """The column of a first datum at zero is empty, so its value is zero."""
    u, w = np.array([0.0, 1.0, 2.5]), np.ones(3)
    levels = anchored(u, w, 0.3)
    assert levels.values[0] == 0.0
    lasso = Lasso(alpha=0.1, tol=1e-15, max_iter=10**6, fit_intercept=False)
    expected = lasso.fit(step_basis(u), u).predict(step_basis(u))
    np.testing.assert_allclose(values_of(levels), expected, atol=1e-12)


@pytest.mark.parametrize("anchor", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_ridge_is_the_elastic_net(seed: int, anchor: bool) -> None:
    """With added squares: coordinate descent on the dense basis."""
    u, w = spread(seed, 40, SHIFTS[seed % 6])
    alpha, ridge = drawn(seed), drawn(seed + 500, -4.0)
    model = L1L2Quantizer(
        alpha=alpha, ridge=ridge, beta=0.0, refit=False, penalize_first=anchor
    ).fit(u[:, None], sample_weight=w)
    basis = step_basis(u) if anchor else step_basis(u)[:, 1:]
    net = ElasticNet(
        alpha=(alpha + ridge) / w.sum(),
        l1_ratio=alpha / (alpha + ridge),
        fit_intercept=not anchor,
        tol=1e-15,
        max_iter=10**6,
    ).fit(basis, u, sample_weight=w)
    np.testing.assert_allclose(step_basis(u) @ model.coef_, net.predict(basis), atol=1e-9)
    assert model.kkt_residual_ < 1e-6


@pytest.mark.parametrize("anchor", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_minus_form_is_optimal(seed: int, anchor: bool) -> None:
    """The conditions hold and the problem is convex, which makes the solution the best one."""
    u, w = spread(seed, 40, SHIFTS[seed % 6])
    beta = (0.3, 0.9, 0.999)[seed % 3]
    model = L1L2Quantizer(alpha=drawn(seed), beta=beta, refit=False, penalize_first=anchor).fit(
        u[:, None], sample_weight=w
    )
    if anchor and u[0] == 0.0:
        return  # an empty column has no singular value but zero
    least = dense_square(u, w, anchor)
    assert model.sigma_**2 == pytest.approx(least, rel=1e-6)
    assert model.kkt_residual_ < 1e-6


def test_sigma_bounds_of_the_paper() -> None:
    """Between half the smallest gap and 0.71 of it where two equal ones meet."""
    u = np.array([1.0, 1.25, 1.5, 3.0, 7.0])
    sigma = smallest_square(np.ones(5), anchored_gaps(u)) ** 0.5
    assert 0.125 <= sigma <= 0.25 / 2**0.5
    assert smallest_square(np.ones(1), inverse_gaps(np.array([4.0]))) == 0.0


@pytest.mark.parametrize("beta", [1.0, 1.5])
def test_unbounded_problems_are_refused(beta: float) -> None:
    """From the smallest squared singular value on there is a direction without end."""
    with pytest.raises(ValueError, match="unbounded below"):
        L1L2Quantizer(beta=beta).fit([[1.0], [2.0]])


@pytest.mark.parametrize("options", [{"ridge": 0.01, "beta": 0.0}, {"beta": 0.9}, {"beta": 0.0}])
@pytest.mark.parametrize("anchor", [False, True])
def test_counts_by_bisection(options: dict[str, float], anchor: bool) -> None:
    """Data in general position reach every count."""
    u, _ = spread(1, 40)
    for k in range(1, u.size + 1):
        model = L1L2Quantizer(k, penalize_first=anchor, **options).fit(u[:, None])
        assert model.n_values_ == k
    if options == {"beta": 0.0} and not anchor:
        for k in range(1, u.size):
            same, path = L1L2Quantizer(k, **options).fit(u[:, None]), L1Quantizer(k).fit(u[:, None])
            np.testing.assert_allclose(same.codebook_, path.codebook_)


@pytest.mark.parametrize("seed", range(25))
def test_l0_with_a_free_zero_is_the_best_of_all_partitions(seed: int) -> None:
    """Also of those whose lowest part has the value zero at no price."""
    u, w = spread(seed, 9, SHIFTS[seed % 6])
    alpha = drawn(seed, -3.0, 0.5)
    model = L0Quantizer(alpha=alpha, penalize_first=True).fit(u[:, None], sample_weight=w)
    rebuilt = step_basis(u) @ model.coef_
    found = 0.5 * float(w @ (rebuilt - u) ** 2) + alpha * model.support_.size
    costs = []
    for k in range(u.size + 1):
        for cuts in combinations(range(u.size), k):
            lowest = slice(0, cuts[0] if cuts else u.size)
            loss = float(w[lowest] @ u[lowest] ** 2)
            loss += oracles.partition_cost(u, w, (*cuts, u.size)) if cuts else 0.0
            costs.append(0.5 * loss + alpha * k)
    assert found == pytest.approx(min(costs), rel=1e-9)
    assert np.count_nonzero(model.coef_) == model.support_.size


@pytest.mark.parametrize("method", PENALIZING)
@pytest.mark.parametrize("seed", range(12))
def test_anchored_coefficients_rebuild_the_values(method: str, seed: int) -> None:
    """``V a`` has the values of the codebook; a zero first coefficient is not in the support."""
    u, _ = spread(seed, 40, SHIFTS[seed % 6])
    model = METHODS[method](n_values=6, penalize_first=True).fit(u[:, None])
    rebuilt = step_basis(u) @ model.coef_
    np.testing.assert_allclose(np.unique(np.round(rebuilt, 9)), np.round(model.codebook_, 9))
    np.testing.assert_array_equal(np.flatnonzero(model.coef_), model.support_)
    assert model.n_values_ <= 6


@pytest.mark.parametrize("anchor", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_iterative_is_l1_at_the_first_penalty_that_suffices(seed: int, anchor: bool) -> None:
    """The warm start changes nothing, and the penalty before it left too many values."""
    u, w = spread(seed, 60, SHIFTS[seed % 6])
    k = 1 + seed % 7
    model = IterativeL1Quantizer(k, growth=1.3, refit=False, penalize_first=anchor)
    model.fit(u[:, None], sample_weight=w)
    plain = L1Quantizer(alpha=model.alpha_, refit=False, penalize_first=anchor)
    plain.fit(u[:, None], sample_weight=w)
    np.testing.assert_allclose(model.codebook_, plain.codebook_, atol=1e-9)
    assert model.n_values_ <= k
    if model.n_iter_ > 1:
        plain.set_params(alpha=model.alpha_ / 1.3).fit(u[:, None], sample_weight=w)
        assert plain.n_values_ > k


def test_iterative_counts_its_solves() -> None:
    """A finer schedule solves more often and misses the count by less."""
    x = np.random.default_rng(0).standard_normal((640, 1))
    coarse, fine = (IterativeL1Quantizer(100, growth=g).fit(x) for g in (2.0, 1.01))
    assert coarse.n_iter_ < fine.n_iter_
    assert coarse.n_values_ <= fine.n_values_ <= 100
    span = np.log(fine.alpha_ / coarse.alpha_)
    assert fine.n_iter_ * np.log(1.01) == pytest.approx(coarse.n_iter_ * np.log(2.0) + span, abs=1)


@pytest.mark.parametrize("seed", range(30))
def test_adaptive_merges_like_its_twin(seed: int) -> None:
    """The heap finds the merges of a search over all pairs."""
    u, w = spread(3 * seed + 1, 40)
    for k in (1, 2, 5, 11):
        model = AdaptiveL1Quantizer(k).fit(u[:, None], sample_weight=w)
        np.testing.assert_allclose(model.codebook_, oracles.adaptive_merges(u, w, k), atol=1e-9)


def test_adaptive_penalty_of_a_pair_is_the_error_it_adds() -> None:
    """Ward's cost for two values on their own."""
    alpha, removed = refitted_merges(np.array([1.0, 4.0]), np.array([2.0, 3.0]), 1)
    assert alpha == pytest.approx(9.0 * 2.0 * 3.0 / 5.0)
    assert list(removed) == [1]


@pytest.mark.parametrize("n", [100, 256, 1000, 4096])
@pytest.mark.parametrize("k", [2, 3, 4, 7, 16, 50, 64])
def test_adaptive_repairs_even_grids(n: int, k: int) -> None:
    """Where l1 is far off, at most half as much again as the optimum."""
    model = AdaptiveL1Quantizer(k).fit(np.arange(float(n))[:, None])
    assert model.n_values_ == k
    assert model.gap_ <= 0.5


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (IterativeL1Quantizer, {"growth": 1.0}),
        (IterativeL1Quantizer, {"growth": "a"}),
        (IterativeL1Quantizer, {"refit": 1}),
        (L1Quantizer, {"refit": "no"}),
        (L1Quantizer, {"penalize_first": None}),
        (L1L2Quantizer, {"ridge": -1.0}),
        (L1L2Quantizer, {"ridge": np.inf}),
        (L1L2Quantizer, {"beta": -0.1}),
        (L1L2Quantizer, {"beta": True}),
    ],
)
def test_bad_parameters(kind: Any, options: dict[str, Any]) -> None:
    """One line that names the parameter."""
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(options))} is"):
        kind(**options).fit([[1.0], [2.0]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "x",
    [
        [0.0, 5e-324, 1.0, 2.0],
        [-5e-324, 0.0, 5e-324, 1e-310, 1.0],
        [1e300, -1e300, 1.0, 0.0],
        [1e-310, 2e-310, 4e-310, 9e-310],
        [1.0, 1.0 + 2**-52, 1.0 + 2**-51, 3.0],
    ],
)
def test_extreme_gaps(method: str, x: list[float]) -> None:
    """Gaps whose inverse overflows, and magnitudes near the ends of float64."""
    for k in (1, 2, 3):
        model = METHODS[method](n_values=k).fit(np.array(x)[:, None])
        assert np.isfinite(model.codebook_).all()
        assert 1 <= model.n_values_ <= k
    for options in ({"penalize_first": True}, {"alpha": 0.1}):
        if set(options) <= set(METHODS[method]().get_params()):
            model = METHODS[method](n_values=2, **options).fit(np.array(x)[:, None])
            assert np.isfinite(model.codebook_).all()

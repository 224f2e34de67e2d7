"""What is special about each method that the exact one is compared with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import oracles
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from strategies import FAMILIES

from solvq.scalar import certificate
from solvq.scalar._cluster_ls import ClusterLSQuantizer
from solvq.scalar._kernels import Float64
from solvq.scalar._kmeans import KMeansQuantizer
from solvq.scalar._lloyd import cells, lloyd
from solvq.scalar._lloyd_max import LloydMaxQuantizer
from solvq.scalar._mixture import MixtureQuantizer
from solvq.scalar._optimal import OptimalQuantizer
from solvq.scalar._quantile import QuantileQuantizer
from solvq.scalar._transform import TransformQuantizer
from solvq.scalar._uniform import UniformQuantizer

BASELINES = {
    "quantile": QuantileQuantizer,
    "lloyd-max": LloydMaxQuantizer,
    "cluster-ls": ClusterLSQuantizer,
    "mixture": MixtureQuantizer,
    "transform": TransformQuantizer,
}
every = pytest.mark.parametrize("name", BASELINES)
families = pytest.mark.parametrize("family", FAMILIES)


def seeded(name: str) -> dict[str, Any]:
    """Parameters that make a method deterministic."""
    return {"random_state": 0} if name in ("cluster-ls", "mixture") else {}


def normal(seed: int, n: int = 640) -> Float64:
    """Normal data, a column."""
    return np.random.default_rng(seed).standard_normal((n, 1))


def own_means(x: Float64, codebook: Float64, w: Float64) -> Float64:
    """Weighted mean of the data nearest to each value."""
    nearest = oracles.nearest(x, codebook)
    return np.array(
        [np.average(x[nearest == c], weights=w[nearest == c]) for c in range(codebook.size)]
    )


@every
@families
@pytest.mark.parametrize("k", [1, 3, 16])
def test_bounded_by_the_optimum_and_the_data(name: str, family: str, k: int) -> None:
    """Finite values inside the data whose error respects the proof, on every kind of data."""
    x, w = FAMILIES[family](np.random.default_rng(1), 60)
    model = BASELINES[name](k, **seeded(name)).fit(x[:, None], sample_weight=w)
    best = OptimalQuantizer(k).fit(x[:, None], sample_weight=w)
    assert np.isfinite(model.codebook_).all()
    assert x[0] - 1e-12 <= model.codebook_[0]
    assert model.codebook_[-1] <= x[-1] + 1e-12
    slack = oracles.rounding(x, w) / w.sum()
    assert model.loss_ >= best.lower_bound_ * (1 - 1e-9) - slack
    assert certificate(x, model.codebook_, w).lower_bound <= model.loss_ * (1 + 1e-9) + slack


@every
@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e300])
def test_extreme_scales(name: str, scale: float) -> None:
    """The scale of the data scales the values and nothing else."""
    x = normal(0, 100)
    plain = BASELINES[name](6, **seeded(name)).fit(x)
    scaled = BASELINES[name](6, **seeded(name)).fit(x * scale)
    np.testing.assert_allclose(scaled.codebook_, plain.codebook_ * scale, rtol=1e-9)


@every
def test_far_tight_clusters(name: str) -> None:
    """Values stay with the data where clusters are far narrower than their distance."""
    cluster = np.random.default_rng(0).standard_normal(50)
    x = np.concatenate([cluster * 1e-9, 1e3 + cluster * 1e-9])[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # scikit-learn merges near seeds
        model = BASELINES[name](8, **seeded(name)).fit(x)
    assert np.abs(model.transform(x) - x).max() < 1e-7


def test_quantile_parts_have_equal_mass() -> None:
    """Distinct data in a number that ``n_values`` divides: the value is the mean of its part."""
    for seed in range(10):
        x = np.sort(normal(seed, 96), axis=0)
        model = QuantileQuantizer(8).fit(x)
        np.testing.assert_allclose(model.codebook_, x.reshape(8, 12).mean(axis=1), rtol=1e-12)


def test_quantile_drops_parts_without_data() -> None:
    """A datum that holds 97 of 100 parts of the mass gets one value, not three of four."""
    x = np.array([[1.0], [2.0], [3.0], [4.0]])
    model = QuantileQuantizer(3).fit(x, sample_weight=[97.0, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(model.codebook_, [1.0, 3.0])


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"geometric"}))  # all ties
@pytest.mark.parametrize("k", [2, 5, 16])
def test_lloyd_max_ends_at_a_fixed_point(family: str, k: int) -> None:
    """Without tolerance every value is the mean of the data nearest to it."""
    x, w = FAMILIES[family](np.random.default_rng(2), 60)
    model = LloydMaxQuantizer(k, tol=0.0).fit(x[:, None], sample_weight=w)
    means = own_means(x, model.codebook_, w)
    np.testing.assert_allclose(model.codebook_, means, rtol=1e-9, atol=1e-12 * np.ptp(x))


def test_lloyd_max_warns_at_its_limit() -> None:
    """The warning names the limit and the remedy; the result stands."""
    with pytest.warns(ConvergenceWarning, match="max_iter=1 .* raise max_iter"):
        model = LloydMaxQuantizer(16, max_iter=1).fit(normal(0))
    assert model.n_iter_ == 1
    assert model.n_values_ == 16


@pytest.mark.parametrize("k", [4, 64])
def test_lloyd_max_start_is_nearly_optimal_at_many_data(k: int) -> None:
    """High-rate theory: on a large sample the defaults converge close to the optimum."""
    x = normal(3, 20_000)
    model = LloydMaxQuantizer(k).fit(x)
    assert model.loss_ < 1.02 * OptimalQuantizer(k).fit(x).loss_
    assert model.n_values_ == k


def test_lloyd_steps_never_lose() -> None:
    """The error falls from step to step, refilled cells included."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        x = np.sort(rng.standard_cauchy(80))
        x = (x - x[40]) / np.ptp(x)
        w = rng.random(80)
        values = np.sort(rng.choice(np.linspace(x[0], x[-1], 200), 12, replace=False))
        losses = []
        for steps in range(1, 12):
            found = lloyd(x, w, values, steps, 0.0)
            assert found.values.size == 12
            assert np.all(np.diff(found.breaks) > 0)
            near = np.repeat(found.values, np.diff(found.breaks))
            losses.append(float(w @ (x - near) ** 2))
        assert np.all(np.diff(losses) <= 1e-12 * losses[0])


def test_cells_are_the_nearest_values() -> None:
    """The lower value on ties."""
    x, values = np.arange(20.0), np.array([1.0, 4.0, 5.0, 15.0])
    parts = np.repeat(np.arange(4), np.diff(cells(x, values)))
    np.testing.assert_array_equal(parts, oracles.nearest(x, values))


def test_cells_that_cannot_be_told_apart_are_given_up() -> None:
    """Equal points make one value, however many are wanted."""
    found = lloyd(np.array([0.0, 0.0, 1.0]), np.ones(3), np.array([0.0, 0.4, 0.6, 1.0]), 9, 0.0)
    np.testing.assert_array_equal(found.values, [0.0, 1.0])
    assert found.converged


@pytest.mark.parametrize("seed", range(5))
def test_cluster_ls_adds_nothing_to_converged_kmeans(seed: int) -> None:
    """A centroid step does not move a fixed point."""
    x = normal(seed)
    arguments = {"n_values": 16, "tol": 0.0, "random_state": seed}
    plain, refitted = KMeansQuantizer(**arguments).fit(x), ClusterLSQuantizer(**arguments).fit(x)
    np.testing.assert_allclose(refitted.codebook_, plain.codebook_, rtol=0, atol=1e-12)
    assert refitted.n_iter_ == plain.n_iter_


@pytest.mark.parametrize("seed", range(5))
def test_cluster_ls_improves_an_early_stop(seed: int) -> None:
    """After one step of k-means the means of its partition are better, weights included."""
    x = normal(seed)
    w = np.random.default_rng(seed).integers(1, 5, x.size).astype(np.float64)
    arguments = {"n_values": 16, "max_iter": 1, "random_state": seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain = KMeansQuantizer(**arguments).fit(x, sample_weight=w)
        refitted = ClusterLSQuantizer(**arguments).fit(x, sample_weight=w)
    assert refitted.loss_ < plain.loss_
    np.testing.assert_allclose(refitted.codebook_, own_means(x[:, 0], plain.codebook_, w))


@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_mixture_finds_separated_components(shift: float) -> None:
    """The values are the means of components far apart, of different weight and width."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(centre, width, 500) for centre, width in ((-50, 1), (0, 0.2), (30, 2))]
    w = rng.integers(1, 4, 1500).astype(np.float64)
    model = MixtureQuantizer(3, random_state=0).fit(
        np.concatenate(parts)[:, None] + shift, sample_weight=w
    )
    expected = [
        np.average(part, weights=w[500 * i : 500 * (i + 1)]) for i, part in enumerate(parts)
    ]
    np.testing.assert_allclose(model.codebook_ - shift, expected, atol=1e-6)


def test_mixture_is_that_of_scikit_learn() -> None:
    """Overlapping components: converged means agree where both end in the same optimum."""
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(-2, 1, 700), rng.normal(2, 0.7, 300)])[:, None]
    model = MixtureQuantizer(2, max_iter=5000, tol=1e-12, random_state=0).fit(x)
    other = GaussianMixture(2, tol=1e-12, max_iter=5000, reg_covar=0.0, random_state=0).fit(x)
    np.testing.assert_allclose(model.codebook_, np.sort(other.means_[:, 0]), atol=1e-5)


def test_mixture_warns_at_its_limit() -> None:
    """As the likelihood still rose."""
    with pytest.warns(ConvergenceWarning, match="mixture stopped at max_iter=2"):
        model = MixtureQuantizer(8, max_iter=2, tol=0.0, random_state=0).fit(normal(0))
    assert model.n_iter_ == 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [4, 8])
def test_transform_lies_between_the_optimum_and_even_spacing(seed: int, k: int) -> None:
    """Few values of normal data; twice the same."""
    x = normal(seed)
    model, again = TransformQuantizer(k).fit(x), TransformQuantizer(k).fit(x)
    np.testing.assert_array_equal(model.codebook_, again.codebook_)
    assert model.n_values_ == k
    best, even = OptimalQuantizer(k).fit(x), UniformQuantizer(k).fit(x)
    assert best.loss_ * (1 - 1e-9) <= model.loss_ < even.loss_


def test_transform_warns_at_its_limit() -> None:
    """As Lloyd's steps on the true data did not end."""
    with pytest.warns(ConvergenceWarning, match="transform stopped at max_iter=1"):
        TransformQuantizer(16, max_iter=1).fit(normal(0))


@pytest.mark.parametrize("kind", [LloydMaxQuantizer, MixtureQuantizer, TransformQuantizer])
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("max_iter", 0, ValueError),
        ("max_iter", 2.5, TypeError),
        ("max_iter", True, TypeError),
        ("tol", -1e-9, ValueError),
        ("tol", np.inf, ValueError),
        ("tol", np.nan, ValueError),
        ("tol", "a", TypeError),
    ],
)
def test_bad_limits(kind: Any, name: str, value: Any, error: type[Exception]) -> None:
    """Steps are counted from one, tolerances from zero; the error names the parameter."""
    with pytest.raises(error, match=f"{name} is "):
        kind(**{name: value}).fit([[1.0], [2.0]])


def test_other_bad_parameters() -> None:
    """Of single methods."""
    with pytest.raises(ValueError, match="n_steps is 0"):
        TransformQuantizer(n_steps=0).fit([[1.0]])
    with pytest.raises(ValueError, match="seed"):
        MixtureQuantizer(random_state="a").fit([[1.0]])
    with pytest.raises(ValueError, match="n_init"):
        ClusterLSQuantizer(n_init=0).fit([[1.0]])

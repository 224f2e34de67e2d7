"""Indices chosen for the outputs of a layer: feedback, descent, and the shift of a bias."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import oracles
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from solvq.checkpoint import _feedback
from solvq.checkpoint._feedback import bias_shift, couplings, feedback, proxy_loss
from solvq.scalar import quantize_rows

Float64 = NDArray[np.float64]


def moments(seed: int, n: int, samples: int | None = None) -> Float64:
    """Second moments of correlated inputs."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples or 3 * n, n)) @ rng.standard_normal((n, n)) + 0.5
    return x.T @ x / x.shape[0]


def problem(
    seed: int, m: int, n: int, k: int, *, shared: bool = False, length: int | None = None
) -> tuple[Float64, Float64, Float64, int]:
    """Weights, second moments, ascending tables and the length of a group."""
    rng = np.random.default_rng(seed)
    length = length or n
    shape = (1 if shared else m, -(-n // length), k)
    tables = np.sort(rng.standard_normal(shape), axis=2)
    return rng.standard_normal((m, n)), moments(seed, n), tables, length


def decoded(indices: NDArray[Any], tables: Float64, length: int) -> Float64:
    """Entries of the indices."""
    full = oracles.rows_of(tables, *indices.shape, length)
    return np.take_along_axis(full, indices[..., None].astype(np.intp), axis=2)[..., 0]


def nearest(w: Float64, tables: Float64, length: int) -> NDArray[np.intp]:
    """Indices that are nearest weight by weight."""
    return oracles.nearest(w, oracles.rows_of(tables, *w.shape, length))


LAYOUTS: list[dict[str, Any]] = [{}, {"shared": True}, {"length": 7}, {"length": 5, "shared": True}]
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=str)


@every_layout
def test_feedback_equals_its_twin(layout: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and the factor of the Hessian itself give what the paper's loop gives."""
    monkeypatch.setattr(_feedback, "BLOCK", 4)
    w, hessian, tables, length = problem(1, 6, 19, 5, **layout)
    part = _feedback.tabled(tables, couplings(hessian).order, length)
    order = couplings(hessian).order
    found = _feedback.Choice(np.empty(w.shape), np.empty(w.shape, np.uint8))
    _feedback.spread(np.ascontiguousarray(w[:, order]), couplings(hessian).forward, part, found)
    twin = oracles.spread_errors(w, hessian, tables, length)
    np.testing.assert_array_equal(found.indices, twin[:, order])


@every_layout
@pytest.mark.parametrize("seed", range(3))
def test_never_worse_than_nearest_and_no_single_change_helps(
    layout: dict[str, Any], seed: int
) -> None:
    """Every row ends at or below its loss with nearest entries, where no other index is better."""
    w, hessian, tables, length = problem(seed, 8, 23, 4, **layout)
    full = oracles.rows_of(tables, *w.shape, length)
    found = decoded(feedback(w, hessian, tables, length), tables, length)
    near = decoded(nearest(w, tables, length), tables, length)
    damped = hessian + 0.01 * np.diag(hessian).mean() * np.eye(23)
    for row in range(w.shape[0]):
        one = slice(row, row + 1)
        for matrix in (hessian, damped):
            near_loss = proxy_loss(w[one], near[one], matrix)
            assert proxy_loss(w[one], found[one], matrix) <= near_loss * (1 + 1e-12)
        loss = proxy_loss(w[one], found[one], damped)
        for column in range(w.shape[1]):
            for entry in full[row, column]:
                changed = found[one].copy()
                changed[0, column] = entry
                assert loss <= proxy_loss(w[one], changed, damped) * (1 + 1e-9)


def test_much_better_than_nearest_on_correlated_inputs() -> None:
    """On the whole the loss is a fraction of that of nearest entries."""
    w, hessian, _, n = problem(3, 32, 48, 8)
    tables = quantize_rows(w, 8).codebooks[:, None]
    found = decoded(feedback(w, hessian, tables, n), tables, n)
    near = decoded(nearest(w, tables, n), tables, n)
    assert proxy_loss(w, found, hessian) < 0.7 * proxy_loss(w, near, hessian)


def test_a_trained_layer_answers_better_on_images_it_was_not_tuned_on() -> None:
    """Digits: outputs of a linear layer on held-out images come closer to the exact ones."""
    x, y = load_digits(return_X_y=True)
    w = np.linalg.solve(x.T @ x + np.eye(64), x.T @ np.eye(10)[y]).T
    tables = quantize_rows(w, 4).codebooks[:, None]
    hessian = x[::2].T @ x[::2] / len(x[::2])
    held = x[1::2].T @ x[1::2] / len(x[1::2])
    found = decoded(feedback(w, hessian, tables, 64), tables, 64)
    near = decoded(nearest(w, tables, 64), tables, 64)
    assert proxy_loss(w, found, hessian) < 0.5 * proxy_loss(w, near, hessian)
    assert proxy_loss(w, found, held) < 0.5 * proxy_loss(w, near, held)


def test_close_to_the_best_of_all_choices() -> None:
    """Tiny problems: never below the optimum by brute force, and often at it."""
    reached = 0
    for seed in range(30):
        w, hessian, tables, n = problem(seed, 1, 6, 3)
        best = oracles.best_indices(w[0], hessian, oracles.rows_of(tables, 1, n, n)[0])
        loss = proxy_loss(w, decoded(feedback(w, hessian, tables, n), tables, n), hessian)
        assert loss >= best * (1 - 1e-9)
        reached += loss <= best * (1 + 1e-9)
    assert reached >= 10


@every_layout
@pytest.mark.parametrize("diagonal", ["ones", "mixed", "zeros"])
def test_nearest_where_inputs_are_independent(layout: dict[str, Any], diagonal: str) -> None:
    """A diagonal Hessian, some or all of it zero, leaves nothing to feed back."""
    w, _, tables, length = problem(4, 5, 15, 6, **layout)
    w[0, :3] = tables[0, 0, :3]
    w[1, 0] = 0.5 * (tables[-1, 0, 0] + tables[-1, 0, 1])  # a tie goes to the lower entry
    weights = {"ones": np.ones(15), "mixed": np.arange(15.0) % 4, "zeros": np.zeros(15)}[diagonal]
    found = feedback(w, np.diag(weights), tables, length)
    np.testing.assert_array_equal(found, nearest(w, tables, length))


def test_columns_without_inputs_are_nearest() -> None:
    """Dead columns keep to themselves and do not disturb the others."""
    w, hessian, tables, n = problem(5, 4, 12, 5)
    dead = [0, 7]
    hessian[dead] = hessian[:, dead] = 0.0
    full = feedback(w, hessian, tables, n)
    np.testing.assert_array_equal(full[:, dead], nearest(w, tables, n)[:, dead])
    other = w.copy()
    other[:, dead] += 1.0
    alive = np.setdiff1d(np.arange(n), dead)
    np.testing.assert_array_equal(feedback(other, hessian, tables, n)[:, alive], full[:, alive])


@pytest.mark.parametrize("samples", [1, 3])
def test_few_samples(samples: int) -> None:
    """A Hessian of low rank is damped, and still helps."""
    w, _, tables, n = problem(6, 16, 20, 6)
    hessian = moments(6, n, samples)
    found = decoded(feedback(w, hessian, tables, n), tables, n)
    near = decoded(nearest(w, tables, n), tables, n)
    assert proxy_loss(w, found, hessian) < 0.1 * proxy_loss(w, near, hessian)


def test_damping_grows_until_there_is_a_factor() -> None:
    """Rounding may leave a matrix that is not positive: it is damped more."""
    w, hessian, tables, n = problem(7, 6, 10, 6)
    hessian[0, 1:] *= 4.0
    hessian[1:, 0] *= 4.0
    assert np.linalg.eigvalsh(hessian)[0] < -0.01 * np.diag(hessian).mean()
    found = feedback(w, hessian, tables, n)
    assert found.max() < 6


def test_scale_dtype_and_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indices are those of the same numbers in any dtype, scale of the Hessian, or task size."""
    w, hessian, tables, n = problem(8, 9, 14, 300)
    w = w.astype(ml_dtypes.bfloat16)
    found = feedback(w, hessian, tables, n)
    assert found.dtype == np.uint16
    monkeypatch.setattr(_feedback, "ROWS", 2)
    again = feedback(w.astype(np.float32), 2.0**90 * hessian, tables, n, n_jobs=3)
    np.testing.assert_array_equal(found, again)


def test_one_value_and_repeated_entries() -> None:
    """A table of one entry has one index; repeats of the last entry are not used."""
    w, hessian, tables, n = problem(9, 3, 8, 3)
    assert not feedback(w, hessian, tables[..., :1], n).any()
    wide = np.concatenate([tables, tables[..., -1:], tables[..., -1:]], axis=2)
    np.testing.assert_array_equal(feedback(w, hessian, wide, n), feedback(w, hessian, tables, n))


def test_proxy_loss_is_the_error_of_the_outputs() -> None:
    """It equals the summed squared error of all outputs, mean over the inputs."""
    rng = np.random.default_rng(10)
    x, w = rng.standard_normal((50, 7)), rng.standard_normal((5, 7)).astype(np.float32)
    q = np.round(w)
    expected = ((x @ w.T - x @ q.T) ** 2).sum(axis=1).mean()
    assert proxy_loss(w, q, x.T @ x / 50) == pytest.approx(expected)


def test_bias_shift_keeps_the_mean_output() -> None:
    """With the shift in the bias, outputs are right on average."""
    rng = np.random.default_rng(11)
    x, w = rng.standard_normal((50, 7)) + 1.0, rng.standard_normal((5, 7)).astype(np.float16)
    q = np.round(w)
    shift = bias_shift(w, q, x.mean(axis=0))
    assert shift.shape == (5,)
    exact, rounded = x @ w.astype(float).T, x @ q.astype(float).T
    np.testing.assert_allclose((rounded + shift).mean(axis=0), exact.mean(axis=0), atol=1e-12)
    assert ((rounded + shift - exact) ** 2).sum() < ((rounded - exact) ** 2).sum()

"""Laws that every quantizer of the table obeys, on data that hypothesis makes up."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracles
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import integers, numbers, seeded, weighted

from solvq import Code, certificate
from solvq.scalar import METHODS, quantize, quantize_rows

every = pytest.mark.parametrize("method", METHODS)
nearest = pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].nearest])
counts = st.integers(1, 12)


def run(x: Any, k: int, method: str, weight: Any = None) -> Code:
    """`quantize` with a fixed seed where the method has one."""
    return quantize(x, k, method, sample_weight=weight, **seeded(method))


def awkward(x: Any) -> dict[str, Any]:
    """The same numbers as read-only, strided, transposed and byte-swapped arrays."""
    frozen = x.copy()
    frozen.flags.writeable = False
    return {
        "read-only": frozen,
        "strided": np.repeat(x, 2, axis=0)[::2],
        "reversed": np.ascontiguousarray(x[::-1])[::-1],
        "fortran": np.asfortranarray(x),
        "big-endian": x.astype(x.dtype.newbyteorder(">")),
    }


@every
@given(x=numbers(), k=counts, dtype=st.sampled_from(["f2", "f4", "f8", "i2", "i4"]))
def test_shape_dtype_and_indices(method: str, x: Any, k: int, dtype: str) -> None:
    """Decoding gives the shape and dtype of the data; the codebook ascends and is small enough."""
    data = np.clip(x, -3e4, 3e4).astype(dtype).reshape(-1, 1)
    code = run(data, k, method)
    assert code.decode().shape == data.shape
    assert code.decode().dtype == code.codebook.dtype == data.dtype
    assert code.indices.shape == data.shape
    assert code.indices.max() < code.codebook.size
    assert 1 <= code.codebook.size <= min(k, np.unique(data).size)
    assert np.all(code.codebook[1:] > code.codebook[:-1])


@nearest
@given(x=numbers(), k=counts)
def test_every_datum_has_its_nearest_entry(method: str, x: Any, k: int) -> None:
    """No other entry is nearer."""
    code = run(x, k, method)
    best = np.abs(x[:, None] - code.codebook).min(axis=1)
    assert np.all(np.abs(x - code.decode()) <= best + 1e-15 * np.abs(x).max())


@every
@given(x=numbers(), k=counts)
def test_codebook_stays_within_the_data(method: str, x: Any, k: int) -> None:
    """No entry lies outside."""
    code = run(x, k, method)
    assert x.min() - 1e-12 <= code.codebook[0]
    assert code.codebook[-1] <= x.max() + 1e-12


@every
@given(x=numbers(), extra=st.integers(0, 300))
def test_enough_values_reproduce_exactly(method: str, x: Any, extra: int) -> None:
    """As many values as distinct data lose nothing."""
    code = run(x, np.unique(x).size + extra, method)
    assert np.array_equal(code.decode(), x)
    assert code.distortion(x) == 0.0


@every
@given(x=numbers(), k=counts)
def test_order_is_preserved(method: str, x: Any, k: int) -> None:
    """A larger datum never decodes to a smaller value."""
    assert np.all(np.diff(run(np.sort(x), k, method).decode()) >= 0)


@every
@given(problem=weighted(1), k=counts)
def test_weights_are_repetitions(method: str, problem: Any, k: int) -> None:
    """An integer weight equals that many copies."""
    x, w = problem
    repeated = run(np.repeat(x, w.astype(int)), k, method)
    assert np.array_equal(run(x, k, method, w).codebook, repeated.codebook)


@every
@given(problem=weighted(0), k=counts)
def test_zero_weight_is_absence(method: str, problem: Any, k: int) -> None:
    """Data of no weight do not move the codebook."""
    x, w = problem
    present = run(x[w > 0], k, method, w[w > 0])
    assert np.array_equal(run(x, k, method, w).codebook, present.codebook)


@every
@given(x=integers(), k=counts, shift=st.integers(-1000, 1000), power=st.integers(-20, 20))
@example(x=np.array([0.0, 1.0, -1.0, 2.0, -3.0]), k=4, shift=1, power=0)
@example(x=np.array([0.0, 0.0, -1.0, 2.0, -2.0, -3.0]), k=2, shift=1, power=0)
def test_equivariance(method: str, x: Any, k: int, shift: int, power: int) -> None:
    """Shifting and scaling the data shifts and scales the codebook, and scales the errors.

    Where two codebooks are equally good, rounding may choose the other one.
    """
    data = np.ldexp(x + shift, power)
    plain, moved = run(x, k, method), run(data, k, method)
    expected = np.ldexp(plain.codebook + shift, power)
    same = expected.size == moved.codebook.size
    if not same or not np.allclose(moved.codebook, expected, rtol=1e-9, atol=1e-9 * 2.0**power):
        loss = np.ldexp(plain.distortion(x), 2 * power)
        assert moved.distortion(data) == pytest.approx(loss, rel=1e-9)
        return
    errors = np.ldexp(np.abs(plain.decode() - x), power)
    assert np.allclose(np.abs(moved.decode() - data), errors, rtol=1e-9, atol=1e-9 * 2.0**power)


@every
@given(problem=weighted(0), k=counts)
def test_distortion_respects_the_certificate(method: str, problem: Any, k: int) -> None:
    """The proven bound lies below the error, and the gap is not negative."""
    x, w = problem
    code = run(x, k, method, w)
    proof = certificate(x, code.codebook, w)
    error = code.distortion(x, w)
    slack = oracles.rounding(x, w)
    if METHODS[method].nearest:
        assert proof.distortion == pytest.approx(error, rel=1e-9, abs=slack)
    else:
        assert proof.distortion <= error * (1.0 + 1e-9) + slack
    assert proof.lower_bound <= proof.distortion
    assert proof.lower_bound <= error * (1.0 + 1e-12) + slack
    assert proof.gap >= 0.0


@every
@given(x=numbers(), k=counts, seed=st.integers(0, 2**32 - 1))
def test_permutation_changes_nothing(method: str, x: Any, k: int, seed: int) -> None:
    """The order of the data does not matter."""
    order = np.random.default_rng(seed).permutation(x.size)
    one, two = run(x, k, method), run(x[order], k, method)
    assert np.array_equal(one.codebook, two.codebook)
    assert np.array_equal(one.indices[order], two.indices)


@every
@given(problem=weighted(0), k=counts)
def test_distortion_equals_plain_numpy(method: str, problem: Any, k: int) -> None:
    """`Code.distortion` is the weighted mean of squared errors."""
    x, w = problem
    code = run(x, k, method, w)
    for weight in (None, w):
        expected = oracles.mean_squared_error(x, code.decode(), weight)
        assert code.distortion(x, weight) == pytest.approx(expected, rel=1e-12)


@every
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i8"])
def test_memory_layout_changes_nothing(method: str, dtype: str) -> None:
    """Read-only, strided and byte-swapped input gives the same code, and is not modified."""
    rng = np.random.default_rng(4)
    x = (rng.normal(size=(30, 8)) * 20).astype(dtype)
    w = rng.integers(0, 4, x.shape).astype(np.float64)
    plain = {weights: run(x, 5, method, w if weights else None) for weights in (False, True)}
    for name, same in awkward(x).items():
        before = np.array(same)
        for weights, code in plain.items():
            weight = awkward(w)[name] if weights else None
            other = run(same, 5, method, weight)
            assert np.array_equal(other.codebook, code.codebook)
            assert np.array_equal(other.indices, code.indices)
            assert other.dtype == x.dtype
        assert np.array_equal(before, same)


@every
def test_nested_lists(method: str) -> None:
    """Plain Python numbers are float64 or int64 data."""
    for x in ([[1.5, 2.0], [9.0, 9.5]], [[1, 2], [9, 11]]):
        code, same = run(np.array(x), 2, method), run(x, 2, method)
        assert same.dtype == code.dtype
        assert np.array_equal(same.decode(), code.decode())


@every
@given(problem=weighted(0), k=counts)
def test_estimator_equals_function(method: str, problem: Any, k: int) -> None:
    """`fit` finds the codebook of `quantize`, and its loss, bound and gap are those reported."""
    x, w = problem
    X, W = np.stack([x, x[::-1] + 1.0], axis=1), np.stack([w, w], axis=1)
    code = run(X, k, method, W)
    model = METHODS[method](n_values=k, **seeded(method)).fit(X, sample_weight=w)
    assert np.array_equal(model.codebook_, code.codebook)
    assert model.n_values_ == code.codebook.size
    assert np.array_equal(model.encode(X), code.indices)
    assert np.array_equal(model.transform(X), code.decode())
    assert np.array_equal(model.decode(code.indices), code.decode())
    slack = oracles.rounding(X, W)
    assert model.loss_ == pytest.approx(code.distortion(X, W), rel=1e-9, abs=slack)
    assert model.lower_bound_ <= model.loss_
    assert model.gap_ >= 0.0


@every
@given(problem=weighted(0), k=counts)
def test_unweighted_sees_each_distinct_value_once(method: str, problem: Any, k: int) -> None:
    """Counts and weights do not move the codebook, but the loss and the bound are of the data."""
    x, w = problem
    model = METHODS[method](n_values=k, unweighted=True, **seeded(method))
    model.fit(x[:, None], sample_weight=w)
    alone = run(np.unique(x[w > 0]), k, method)
    assert np.array_equal(model.codebook_, alone.codebook)
    proof = certificate(x, model.codebook_, w)
    slack = oracles.rounding(x, w)
    loss = oracles.mean_squared_error(x, model.transform(x[:, None])[:, 0], w)
    assert model.loss_ == pytest.approx(loss, rel=1e-9, abs=slack)
    assert model.lower_bound_ == pytest.approx(proof.lower_bound, rel=1e-9, abs=slack)


@every
@given(x=numbers(), k=counts, ends=st.tuples(st.floats(-5, 5), st.floats(-5, 5)))
def test_clip_keeps_values_in_range(method: str, x: Any, k: int, ends: Any) -> None:
    """The codebook is the free one, clipped; the bound of free values still holds."""
    clip = (min(ends), max(ends))
    free = run(x, k, method).codebook
    model = METHODS[method](n_values=k, clip=clip, **seeded(method)).fit(x[:, None])
    assert np.array_equal(model.codebook_, np.unique(np.clip(free, *clip)))
    assert model.lower_bound_ <= model.loss_
    (row,) = quantize_rows(x[None], k, method, clip=clip, **seeded(method)).codebooks
    assert np.array_equal(np.unique(row), model.codebook_)


@every
@pytest.mark.parametrize(
    "options",
    [{"clip": 3}, {"clip": (1, 0)}, {"clip": (0, np.nan)}, {"clip": "ab"}, {"unweighted": 1}],
)
def test_bad_options(method: str, options: dict[str, Any]) -> None:
    """An admissible range is a pair of ascending numbers, a switch is True or False."""
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(options))} is"):
        quantize([1.0, 2.0], 1, method, **options)


@every
def test_fitted_attributes(method: str) -> None:
    """Learned state has the documented types."""
    X = np.random.default_rng(6).normal(size=(50, 2))
    model = METHODS[method](n_values=3, **seeded(method)).fit(X)
    assert model.codebook_.dtype == np.float64
    assert model.n_features_in_ == 2
    assert model.n_iter_ >= 1
    assert isinstance(model.n_values_, int)
    assert all(isinstance(v, float) for v in (model.loss_, model.lower_bound_, model.gap_))

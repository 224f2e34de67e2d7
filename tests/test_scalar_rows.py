"""One codebook per row equals one call per row, for every quantizer of the table."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import oracles
import pytest
from strategies import seeded

from solvq.scalar import METHODS, Rows, _rows, quantize, quantize_rows
from solvq.scalar._batch import assign_rows, row_thresholds

DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int8, np.int32]
every = pytest.mark.parametrize("method", METHODS)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
weights = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])


def matrix(dtype: Any) -> Any:
    """Rows of all kinds: normal, heavy-tailed, constant, few distinct, a grid."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 50)) * 10
    x[1] = np.clip(rng.standard_cauchy(50), -12, 12) * 10
    x[2] = 7.0
    x[3] = rng.choice([-1.0, 2.0, 5.0], 50)
    x[4] = np.arange(50.0)
    return x.astype(dtype)


def check_row(rows: Rows, r: int, x: Any, code: Any, weight: Any) -> None:
    """Row ``r`` has the codebook, indices and error of the code of that row alone."""
    size = code.codebook.size
    codebook, last = rows.codebooks[r].astype(float), code.codebook[-1].astype(float)
    assert np.allclose(codebook[:size], code.codebook.astype(float), rtol=1e-14, atol=0.0)
    assert np.allclose(codebook[size:], last, rtol=1e-14, atol=0.0)
    assert np.array_equal(rows.indices[r], code.indices)
    expected = oracles.mean_squared_error(x, code.decode(), weight)
    assert rows.distortion[r] == pytest.approx(expected, rel=1e-12)
    assert rows.lower_bound[r] <= rows.distortion[r]


@every
@dtypes
@weights
def test_rows_equal_single_calls(method: str, dtype: Any, weighted: bool) -> None:
    """Codebooks, indices and errors, including constant rows and rows of few distinct values."""
    x = matrix(dtype)
    w = np.random.default_rng(1).integers(0, 4, x.shape).astype(float) if weighted else None
    rows = quantize_rows(x, 5, method, sample_weight=w, **seeded(method))
    assert rows.codebooks.shape == (7, 5)
    assert rows.codebooks.dtype == rows.decode().dtype == x.dtype
    assert rows.indices.dtype == np.uint8
    for r, row in enumerate(x):
        weight = None if w is None else w[r]
        code = quantize(row, 5, method, sample_weight=weight, **seeded(method))
        check_row(rows, r, row, code, weight)
        assert np.array_equal(rows.decode()[r], rows.codebooks[r][rows.indices[r]])


@every
def test_row_without_weight_is_solved_plainly(method: str) -> None:
    """A row whose weights are all zero gets the codebook of equal weights and no error."""
    x = matrix(np.float64)
    w = np.ones(x.shape)
    w[5] = 0.0
    rows = quantize_rows(x, 4, method, sample_weight=w, **seeded(method))
    code = quantize(x[5], 4, method, **seeded(method))
    assert np.allclose(rows.codebooks[5], code.codebook, rtol=1e-12)
    assert rows.distortion[5] == rows.lower_bound[5] == 0.0
    assert np.isfinite(rows.codebooks).all()


@every
@weights
def test_threads_change_nothing(
    method: str, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread and two give the same, also where the rows make several blocks."""
    monkeypatch.setattr(_rows, "BLOCK", 100)
    x = np.random.default_rng(2).normal(size=(23, 40))
    w = np.random.default_rng(3).random(x.shape) if weighted else None
    one, two, free = (
        quantize_rows(x, 6, method, sample_weight=w, n_jobs=jobs, **seeded(method))
        for jobs in (1, 2, None)
    )
    for first, second, third in zip(one, two, free, strict=True):
        assert np.array_equal(first, second)
        assert np.array_equal(first, third)


@every
def test_more_values_than_columns(method: str) -> None:
    """Rows shorter than the codebook are reproduced; the largest value fills the rest."""
    x = np.array([[3.0, 1.0], [2.0, 2.0]])
    rows = quantize_rows(x, 4, method, **seeded(method))
    assert np.array_equal(rows.decode(), x)
    assert np.array_equal(rows.codebooks, [[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0]])
    assert not rows.distortion.any()


def test_rows_are_optimal_with_a_proof() -> None:
    """The default method's bound is tight on every row."""
    x = np.random.default_rng(4).normal(size=(20, 200)) * 10.0 ** np.arange(-10, 10)[:, None]
    rows = quantize_rows(x, 16)
    assert np.all(rows.lower_bound <= rows.distortion)
    assert np.all(rows.distortion <= rows.lower_bound * (1.0 + 1e-9))


@every
@pytest.mark.parametrize("layout", ["fortran", "read-only", "strided", "big-endian"])
def test_layouts(method: str, layout: str) -> None:
    """Any memory layout gives the same rows and stays unmodified."""
    x = matrix(np.float64)
    same = {
        "fortran": np.asfortranarray(x),
        "read-only": x.copy(),
        "strided": np.repeat(x, 2, axis=1)[:, ::2],
        "big-endian": x.astype(">f8"),
    }[layout]
    same.flags.writeable = layout != "read-only"
    rows, other = (quantize_rows(a, 5, method, **seeded(method)) for a in (x, same))
    assert all(np.array_equal(a, b) for a, b in zip(rows, other, strict=True))
    assert np.array_equal(same, x)


def test_rows_at_the_ends_of_float64() -> None:
    """Differences that overflow find their entries all the same."""
    x = np.array([[1.7e308, -1.7e308, 1.0], [5e-324, 0.0, -5e-324]])
    with np.errstate(over="ignore"):
        for weight in (None, np.array([[1.0, 2.0, 3.0]] * 2)):
            rows = quantize_rows(x, 2, sample_weight=weight)
            for row, codebook, found in zip(x, rows.codebooks, rows.indices, strict=True):
                np.testing.assert_array_equal(found, oracles.nearest_exactly(row, codebook))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 4, 5, 32, 33, 90])
def test_cells_at_their_edges(dtype: Any, size: int) -> None:
    """A number at an edge is below it, in single precision too, for few edges and for many."""
    edges = np.sort(np.random.default_rng(size).normal(size=size))
    edges[0] = -1e-60  # rounds to zero
    edges = np.sort(edges)
    near = edges.astype(dtype)
    x = np.concatenate([near, np.nextafter(near, dtype(9)), np.nextafter(near, dtype(-9))])[None]
    indices = np.empty(x.shape, np.uint8)
    assign_rows(x, np.empty((0, 0)), np.zeros((1, size + 1)), edges[None], indices)
    assert np.array_equal(indices[0], np.searchsorted(edges, x[0].astype(np.float64), side="left"))


@pytest.mark.parametrize("columns", [1, 3, 50, 3000])
def test_assign_rows(columns: int) -> None:
    """Nearest entries and losses for codebooks of every kind: one entry, repeated, huge, tiny."""
    rng = np.random.default_rng(6)
    scales = np.array([1.0, 1e-320, 1e-200, 1e150, 1.0, 1.0])[:, None]
    x = rng.standard_cauchy((6, columns)) * scales
    codebooks = np.sort(rng.standard_cauchy((6, 7)), axis=1) * scales
    codebooks[4] = 2.0
    codebooks[5, 3:] = codebooks[5, 3]
    weight = rng.random(x.shape)
    for codebook in (codebooks, codebooks[:, :1]):
        indices = np.empty(x.shape, np.uint8)
        losses = assign_rows(
            x, weight, codebook, row_thresholds(np.ascontiguousarray(codebook)), indices
        )
        for r, row in enumerate(x):
            nearest = codebook[r][oracles.nearest(row, codebook[r])]
            assert np.array_equal(codebook[r][indices[r]], nearest)
            expected = oracles.mean_squared_error(row, nearest, weight[r])
            assert losses[r] == pytest.approx(expected, rel=1e-12)

"""Nested codes: prefixes, optimal cuts, bounds, and awkward data."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import integers, points, weighted

import solvq.scalar._nested as module
from solvq import Code, quantize
from solvq.scalar import Nested, nested, nested_rows
from solvq.scalar._nested_kernels import cut

pairs = st.sampled_from([(1, 1), (1, 2), (1, 4), (2, 3), (3, 6), (2, 9)])


def cuts_cost(x: Any, w: Any, node: int) -> float:
    """Error of two cells that meet at a node."""
    return oracles.interval_cost(x[:node], w[:node]) + oracles.interval_cost(x[node:], w[node:])


@given(problem=points())
def test_cut_is_the_best_of_all(problem: Any) -> None:
    """Tried one by one; a single point is not cut."""
    x, w = problem
    node = cut(x, w, 0, x.size)
    if x.size == 1:
        assert node == 1
        return
    best = min(cuts_cost(x, w, other) for other in range(1, x.size))
    assert cuts_cost(x, w, node) == pytest.approx(best, rel=1e-9, abs=1e-12)


@given(problem=weighted(0), bits=pairs)
def test_levels(problem: Any, bits: tuple[int, int]) -> None:
    """The first level is the optimum, each cell of the next is cut at best, errors are as said."""
    x, w = problem
    code = nested(x, bits, w)
    u, mass = oracles.distinct(x, w)
    first = quantize(x, 2 ** bits[0], sample_weight=w)
    assert code.distortion[0] == pytest.approx(first.distortion(x, w), rel=1e-9, abs=1e-12)
    for level in range(bits[0], bits[1] + 1):
        error = oracles.mean_squared_error(x, code.decode(level), w)
        i = level - bits[0]
        assert code.distortion[i] == pytest.approx(error, rel=1e-9, abs=oracles.rounding(x, w))
        assert code.lower_bound[i] <= code.distortion[i]
        assert len(code.codebook(level)) == 2**level
        assert np.all(np.diff(code.codebook(level)) >= 0)
    cells = nested(u, bits, mass)
    for level in range(bits[0], bits[1]):
        parents, children = cells.indices_at(level), cells.indices_at(level + 1)
        for parent in np.unique(parents):
            inside = parents == parent
            x_, w_, right = u[inside], mass[inside], children[inside] % 2
            if x_.size == 1:
                assert right[0] == 0
                continue
            best = min(cuts_cost(x_, w_, node) for node in range(1, x_.size))
            found = cuts_cost(x_, w_, int(np.flatnonzero(right)[0]))
            assert found == pytest.approx(best, rel=1e-9, abs=1e-12)
            assert np.all(np.diff(right.astype(int)) >= 0)


@given(x=integers(), bits=pairs)
def test_leading_bits_are_the_index(x: Any, bits: tuple[int, int]) -> None:
    """Also as a `Code`; enough bits give the data back."""
    code = nested(x, bits)
    finest = code.indices_at(bits[1])
    for level in range(bits[0], bits[1] + 1):
        assert np.array_equal(code.indices_at(level), finest >> (bits[1] - level))
        whole = Code(code.codebook(level), code.indices_at(level))
        assert np.array_equal(whole.decode(), code.decode(level))
    if 2 ** bits[0] >= np.unique(x).size:
        assert np.array_equal(code.decode(bits[0]), x)
        assert np.all(code.gap == 0.0)


@given(problem=weighted(0), bits=pairs)
def test_rows_are_nested_one_by_one(problem: Any, bits: tuple[int, int]) -> None:
    """The parallel call gives what each row gives alone."""
    x, w = problem
    data, weight = np.stack([x, 1.0 - x, x * 2.0]), np.stack([w, w, w])
    together = nested_rows(data, bits, weight, n_jobs=1)
    for r, row in enumerate(data):
        alone = nested(row, bits, weight[r])
        assert np.array_equal(together.indices[r], alone.indices)
        for one, many in zip(alone.codebooks, together.codebooks, strict=True):
            np.testing.assert_allclose(many[r], one, rtol=1e-12, atol=1e-12)
        slack = oracles.rounding(row, weight[r])
        np.testing.assert_allclose(together.distortion[r], alone.distortion, 1e-9, slack)
        np.testing.assert_allclose(together.lower_bound[r], alone.lower_bound, 1e-6, slack)
    assert np.array_equal(
        together.decode(bits[1])[1], together.codebook(bits[1])[1][together.indices[1]]
    )


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i8"])
def test_dtypes_and_shapes(dtype: str) -> None:
    """Codebooks in the dtype of the data, integers rounded; any shape; no weights."""
    x = (np.random.default_rng(0).normal(size=(40, 3, 5)) * 40).astype(dtype)
    code = nested(x, (2, 5))
    assert code.decode(3).shape == x.shape
    assert {book.dtype for book in code.codebooks} == {x.dtype}
    assert np.all(np.diff(code.distortion) < 0)
    rows = nested_rows(x.reshape(-1, 15), (2, 3))
    assert rows.codebook(3).shape == (40, 8)
    assert rows.codebook(3).dtype == x.dtype


def test_gap_says_what_nesting_costs() -> None:
    """Nothing at the first level, something at the next ones."""
    code = nested(np.random.default_rng(1).standard_normal(5000), (3, 7))
    assert code.gap[0] < 1e-9
    assert 0.005 < code.gap[1] < 0.05
    assert np.all(code.gap[2:] < 0.4)


def test_rows_without_weight_are_solved_without() -> None:
    """A row whose weights are all zero."""
    x = np.random.default_rng(2).normal(size=(2, 50))
    w = np.stack([np.zeros(50), np.ones(50)])
    code = nested_rows(x, (1, 3), w)
    np.testing.assert_allclose(code.codebook(1)[0], nested(x[0], (1, 3)).codebook(1))
    assert code.distortion[0, 0] == 0.0


@pytest.mark.parametrize("run", [nested, nested_rows])
@pytest.mark.parametrize("bits", [3, (3,), (1, 2, 3), (0, 3), (4, 3), (1, 17), (1.0, 2), (True, 2)])
def test_bad_bits(run: Any, bits: Any) -> None:
    """One line that names the parameter."""
    with pytest.raises((TypeError, ValueError), match="bits is"):
        run(np.ones((2, 2)), bits)


@pytest.mark.parametrize("run", [nested, nested_rows])
def test_bad_data(run: Any) -> None:
    """As elsewhere in the scalar half."""
    with pytest.raises(ValueError, match="NaN"):
        run([[1.0, np.nan]])
    with pytest.raises(ValueError, match="empty"):
        run(np.empty((0, 2)))
    with pytest.raises(ValueError, match="sample_weight"):
        run(np.ones((2, 2)), (1, 2), np.ones(3))
    with pytest.raises(TypeError, match="dtype"):
        run(np.array([["a"]]))


def test_levels_that_are_not_there() -> None:
    """The code says which it serves; rows must be rows."""
    code: Nested = nested([1.0, 2.0], (2, 3))
    with pytest.raises(ValueError, match="serves 2 to 3"):
        code.decode(4)
    with pytest.raises(ValueError, match="matrix"):
        nested_rows([1.0, 2.0])


def test_example_of_the_docstring() -> None:
    """It runs."""
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0

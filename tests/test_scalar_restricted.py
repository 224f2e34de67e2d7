"""Restricted tables are the best of all subsets, and hold what they may; blocks of an array."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import weighted

from solvq import certificate
from solvq.scalar import (
    RestrictedQuantizer,
    quantize,
    quantize_blocks,
    quantize_certified,
    quantize_rows,
)
from solvq.scalar._anchored import anchored_table
from solvq.scalar._grids import GRIDS, VALUES, grid, span
from solvq.scalar._lattice import lattice, lattice_table
from solvq.scalar._path import line, path_table

DOUBLE = np.dtype(np.float64)
FORMATS = list(GRIDS)
signs = pytest.mark.parametrize("keep_zero", [False, True], ids=["any", "zero"])
pairs = pytest.mark.parametrize("symmetric", [False, True], ids=["one-sided", "symmetric"])
every = pytest.mark.parametrize("values", FORMATS)
CENTRES = {"float16": 1001.0, "bfloat16": 261.0, "e4m3": 0.0, "int8": 0.0, "power-of-two": 1.2}
WIDTHS = {"float16": 2.0, "bfloat16": 6.0, "e4m3": 6e-3, "int8": 4.0, "power-of-two": 1.0}


def restriction(keep_zero: bool, symmetric: bool) -> Any:
    """Whether a set of values is a table that the options allow."""
    return lambda table: (
        (0.0 in table or not keep_zero) and (not symmetric or all(-v in table for v in table))
    )


def drawn(rng: np.random.Generator, values: str, n: int = 14) -> tuple[Any, Any]:
    """Data that few entries of a format lie among, some of them on entries and midpoints."""
    x = CENTRES[values] + WIDTHS[values] * rng.uniform(-1, 1, n)
    entries = near(values, x)
    middles = 0.5 * (entries[1:] + entries[:-1])
    return np.concatenate([x, rng.choice(entries, 3), rng.choice(middles, 3)]), rng.integers(
        1, 5, n + 6
    ).astype(float)


def near(values: str, x: Any) -> Any:
    """Entries of a format about some data, and one more on either side."""
    entries = grid(values, DOUBLE)
    first, last = span(entries.copy(), x.min(), x.max(), keep_zero=False)
    return entries[max(0, first - 1) : last + 2]


def small_grid(rng: np.random.Generator, kind: int) -> Any:
    """Few entries with 0: anywhere, whole numbers, or powers of two."""
    entries = [
        rng.normal(size=7),
        rng.integers(-8, 9, 7).astype(float),
        np.ldexp(rng.choice([-1.0, 1.0], 7), rng.integers(-3, 4, 7)),
    ][kind]
    return np.unique(np.append(entries, 0.0))


def loss(x: Any, w: Any, table: Any) -> float:
    """Summed error at the nearest entries."""
    return float(w @ ((x[:, None] - table) ** 2).min(axis=1))


@signs
@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("seed", range(12))
def test_kernels_against_all_subsets(seed: int, kind: int, keep_zero: bool) -> None:
    """Both dynamic programs find the best subset of any grid, with weights and ties."""
    rng = np.random.default_rng([seed, kind])
    entries, k = small_grid(rng, kind), int(rng.integers(1, 5))
    x = rng.normal(size=int(rng.integers(1, 25))) * rng.choice([0.1, 1.0, 9.0]) + rng.choice([0, 3])
    x = np.unique(np.round(x) if seed % 3 == 0 else x)
    w = rng.integers(1, 5, x.size).astype(float)
    best = oracles.best_subset(x, w, entries, k, restriction(keep_zero, symmetric=False))
    first, last = span(entries, x[0], x[-1], keep_zero)
    cut = entries[first : last + 1].copy()
    out = np.empty(k)
    count = lattice_table(x, w, cut, keep_zero, lattice(cut.size, k), out)
    found = [out[:count]] * (count > 0)
    if cut.size > k:
        found.append(path_table(line(x, w, cut, keep_zero), k))
    for table in found:
        assert set(table) <= set(entries)
        assert table.size <= k
        assert 0.0 in table or not keep_zero
        assert loss(x, w, table) == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert count > 0 or kind == 0 or cut.size > 1


@pytest.mark.parametrize("seed", range(30))
def test_free_values_beside_a_zero(seed: int) -> None:
    """The best of all partitions of which one part, perhaps an empty one, has the value 0."""
    rng = np.random.default_rng(seed)
    x = np.unique(np.round(rng.normal(size=9) * 2, seed % 2)) + rng.choice([0.0, 1.0, 5.0])
    w, k = rng.integers(1, 5, x.size).astype(float), int(rng.integers(1, 5))
    best = np.inf
    for i in range(x.size + 1):
        for j in range(i, x.size + 1):
            zero = float(w[i:j] @ x[i:j] ** 2)
            for cost in parted(x[:i], w[:i], k - 1).items():
                rest = parted(x[j:], w[j:], k - 1 - cost[0])
                best = min(best, zero + cost[1] + min(rest.values()))
    table = anchored_table(x, w, k)
    assert 0.0 in table
    assert table.size <= k
    assert loss(x, w, table) == pytest.approx(best, rel=1e-9, abs=1e-12)


def parted(x: Any, w: Any, most: int) -> dict[int, float]:
    """Least cost of each number of parts, at most ``most``; infinite where there are too many."""
    if x.size == 0:
        return {0: 0.0}
    counts = range(1, min(most, x.size) + 1)
    return {0: np.inf} | {k: oracles.brute_force(x, w, k) for k in counts}


@every
@signs
@pytest.mark.parametrize("seed", range(4))
def test_formats_against_all_subsets(values: str, seed: int, keep_zero: bool) -> None:
    """The best of all subsets of the representable values about the data."""
    rng = np.random.default_rng(seed)
    x, w = drawn(rng, values)
    entries = near(values, x)
    k = int(rng.integers(1, 4))
    if keep_zero:
        entries = np.union1d(entries, 0.0)
    code = quantize(x, k, "restricted", sample_weight=w, values=values, keep_zero=keep_zero)
    best = oracles.best_subset(x, w, entries, k, restriction(keep_zero, symmetric=False))
    assert code.distortion(x, w) * w.sum() == pytest.approx(best, rel=1e-9, abs=1e-15)
    assert code.codebook.size <= k
    assert set(code.codebook) <= set(grid(values, DOUBLE))
    assert 0.0 in code.codebook or not keep_zero


@pytest.mark.parametrize("values", ["e4m3", "int8", "power-of-two"])
@signs
@pytest.mark.parametrize("k", range(1, 6))
def test_symmetric_against_all_subsets(values: str, k: int, keep_zero: bool) -> None:
    """The best of all tables with pairs of opposite sign, for odd and even counts."""
    rng = np.random.default_rng(k)
    x, w = drawn(rng, values)
    half = np.append(near(values, np.abs(x)), 0.0)
    entries = np.union1d(half, -half)
    x = np.abs(x) * rng.choice([-1.0, 1.0], x.size)
    code = quantize(
        x, k, "restricted", sample_weight=w, values=values, keep_zero=keep_zero, symmetric=True
    )
    best = oracles.best_subset(x, w, entries, k, restriction(keep_zero, symmetric=True))
    assert code.distortion(x, w) * w.sum() == pytest.approx(best, rel=1e-9, abs=1e-15)
    assert set(code.codebook) == set(-code.codebook)
    assert 0.0 in code.codebook or not (keep_zero or k % 2)
    assert code.codebook.size <= k


@signs
@given(problem=weighted(0), k=st.integers(1, 12))
def test_free_symmetric(keep_zero: bool, problem: Any, k: int) -> None:
    """Pairs of free values are the best for the magnitudes."""
    x, w = problem
    model = RestrictedQuantizer(k, keep_zero=keep_zero, symmetric=True)
    table = model.fit(x[:, None], sample_weight=w).codebook_
    assert np.array_equal(table, -table[::-1])
    zero = keep_zero or k % 2 == 1
    magnitudes = quantize(
        np.abs(x), (k - 1) // 2 + 1 if zero else k // 2, "restricted", w, keep_zero=zero
    )
    assert model.loss_ == pytest.approx(magnitudes.distortion(np.abs(x), w), rel=1e-9, abs=1e-12)
    assert table.size <= k
    assert 0.0 in table or not zero


@pytest.mark.parametrize("values", VALUES)
@signs
@pytest.mark.parametrize("k", [4, 16, 40])
def test_large_data(values: str, k: int, keep_zero: bool) -> None:
    """Never better than free values, never worse than rounding the best of these."""
    x = np.random.default_rng(k).standard_t(3, 2000)
    code, proof = quantize_certified(x, k, "restricted", values=values, keep_zero=keep_zero)
    free, best = quantize_certified(x, k)
    assert proof.lower_bound <= proof.distortion
    assert proof.distortion >= best.lower_bound
    table = free.codebook.copy()
    if values != "free":
        entries = grid(values, DOUBLE)
        table = entries[np.abs(table[:, None] - entries).argmin(axis=1)]
        assert set(code.codebook) <= set(entries)
    if keep_zero:
        table[np.abs(table).argmin()] = 0.0
    rounded = certificate(x, table)
    assert proof.distortion <= rounded.distortion * (1 + 1e-12)


@pytest.mark.parametrize("dtype", ["f2", "f4", "i2", "u1", ml_dtypes.bfloat16])
@every
def test_dtype_of_the_data(values: str, dtype: Any) -> None:
    """Entries are those of the format that the dtype of the data holds, too."""
    x = np.abs(np.random.default_rng(0).normal(size=300) * 20).astype(dtype)
    code = quantize(x, 6, "restricted", values=values)
    assert code.codebook.dtype == x.dtype
    table = code.codebook.astype(np.float64)
    assert set(table) <= set(grid(values, DOUBLE))
    wide = quantize(x.astype(np.float64), 6, "restricted", values=values)
    assert code.distortion(x) >= wide.distortion(x.astype(np.float64)) * (1 - 1e-6)


def test_grids() -> None:
    """Sizes, ends and smallest steps of the formats; no NaN, no infinity, no second zero."""
    e4m3 = grid("e4m3", DOUBLE)
    assert (e4m3.size, e4m3[0], e4m3[-1], np.diff(e4m3).min()) == (253, -448, 448, 2.0**-9)
    assert grid("float16", DOUBLE).size == 63487
    assert grid("bfloat16", DOUBLE).size == 2 * 255 * 128 - 1
    assert np.array_equal(grid("int8", DOUBLE), np.arange(-127, 128))
    powers = grid("power-of-two", DOUBLE)
    assert np.all(np.frexp(powers[powers != 0])[0] == 0.5 * np.sign(powers[powers != 0]))
    for values in FORMATS:
        entries = grid(values, DOUBLE)
        assert np.isfinite(entries).all()
        assert np.all(np.diff(entries) > 0)
        assert np.array_equal(entries, -entries[::-1])


@every
@signs
@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e6, 1e300])
def test_data_beyond_the_format(values: str, scale: float, keep_zero: bool) -> None:
    """Data far below the finest step or above the largest value get the ends.

    Of data about 1e300 a float64 cannot tell which entry is nearest.
    """
    x = np.array([-3.0, -1.0, 0.5, 2.0, 4.0]) * scale
    code = quantize(x, 3, "restricted", values=values, keep_zero=keep_zero)
    entries = grid(values, DOUBLE)
    assert set(code.codebook) <= set(entries)
    with np.errstate(over="ignore"):
        nearest = entries[np.abs(x[:, None] / scale - entries / scale).argmin(axis=1)]
    if np.unique(nearest).size <= 3 - keep_zero and scale < 1e300:
        assert np.array_equal(code.decode(), nearest)
    model = RestrictedQuantizer(3, values, keep_zero).fit(x[:, None])
    assert np.array_equal(model.codebook_, code.codebook)


@every
def test_offset_of_1e8(values: str) -> None:
    """Data about 1e8 go to the largest value, or to the nearest one that is there."""
    x = 1e8 + np.random.default_rng(3).normal(size=50)
    code = quantize(x, 4, "restricted", values=values)
    entries = grid(values, DOUBLE)
    expected = entries[np.abs(entries - 1e8).argmin()]
    assert np.array_equal(code.codebook, [expected])


def test_free_values_keep_their_precision_far_from_zero() -> None:
    """A zero beside data about 1e8 costs one value and no precision."""
    x = np.random.default_rng(5).normal(size=400)
    code = quantize(x + 1e8, 9, "restricted", keep_zero=True)
    assert code.codebook[0] == 0.0
    assert code.distortion(x + 1e8) == pytest.approx(quantize(x, 8).distortion(x), rel=1e-4)


@every
@signs
def test_more_values_than_entries(values: str, keep_zero: bool) -> None:
    """With enough values each datum goes to its nearest entry, and no entry is idle but a zero."""
    x = np.random.default_rng(2).normal(size=40) + 9.0
    code = quantize(x, 300, "restricted", values=values, keep_zero=keep_zero)
    entries = grid(values, DOUBLE)
    expected = np.unique(entries[np.abs(x[:, None] - entries).argmin(axis=1)])
    expected = np.union1d(expected, 0.0) if keep_zero else expected
    assert np.array_equal(code.codebook, expected)


@every
@pytest.mark.parametrize("options", [{}, {"keep_zero": True}, {"symmetric": True}], ids=str)
def test_laws(values: str, options: dict[str, Any]) -> None:
    """Weights are copies, order and absent data do not matter, larger data get larger values."""
    rng = np.random.default_rng(11)
    x, w = rng.normal(size=60) * 3, rng.integers(0, 4, 60).astype(float)
    options = {"n_values": 6, "method": "restricted", "values": values, **options}
    code = quantize(x, sample_weight=w, **options)
    for other in (
        quantize(np.repeat(x, w.astype(int)), **options),
        quantize(x[::-1], sample_weight=w[::-1], **options),
        quantize(x[w > 0], sample_weight=w[w > 0], **options),
    ):
        assert np.array_equal(other.codebook, code.codebook)
    decoded = code.decode()[np.argsort(x)]
    assert all(a <= b for a, b in pairwise(decoded))
    nearest = np.abs(x[:, None] - code.codebook).min(axis=1)
    assert np.allclose(np.abs(x - code.decode()), nearest, rtol=0, atol=1e-15)


@pytest.mark.parametrize("values", ["free", "float16", "e4m3"])
@signs
@pytest.mark.parametrize("weights", [False, True], ids=["plain", "weighted"])
def test_rows_equal_single_calls(values: str, keep_zero: bool, weights: bool) -> None:
    """Rows on the lattice and off it, with data beyond the format, and without weight."""
    rng = np.random.default_rng(7)
    x = (rng.normal(size=(6, 64)) * np.array([0.01, 0.1, 1, 30, 1e3, 1e9])[:, None]).astype("f4")
    w = rng.integers(0, 3, x.shape).astype(float) if weights else None
    if w is not None:
        w[1] = 0.0
    options = {"values": values, "keep_zero": keep_zero}
    rows = quantize_rows(x, 5, "restricted", sample_weight=w, **options)
    quick = quantize_rows(x, 5, "restricted", sample_weight=w, certify=False, **options)
    assert np.array_equal(rows.codebooks, quick.codebooks)
    assert np.all(quick.lower_bound <= rows.lower_bound)
    assert np.all(rows.lower_bound <= rows.distortion)
    assert np.any(rows.lower_bound > 0.0)
    for r, row in enumerate(x):
        weight = None if w is None or not w[r].any() else w[r]
        code = quantize(row, 5, "restricted", sample_weight=weight, **options)
        assert np.array_equal(np.unique(rows.codebooks[r]), code.codebook)
        assert np.array_equal(rows.decode()[r], code.decode())


@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((12, 20), (1, -1)),
        ((12, 20), (-1, 1)),
        ((12, 20), (4, 5)),
        ((11, 18), (4, 5)),
        ((3, 4, 6), (1, 2, -1)),
        ((30,), (8,)),
    ],
)
@pytest.mark.parametrize("weights", [False, True], ids=["plain", "weighted"])
def test_blocks_equal_single_calls(shape: Any, block: Any, weights: bool) -> None:
    """Each block, the smaller ones at the ends too, has the codebook of its own data."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype(np.float32)
    w = rng.integers(1, 4, shape).astype(float) if weights else None
    found = quantize_blocks(x, block, 3, sample_weight=w)
    sides = [n if b == -1 else b for n, b in zip(shape, block, strict=True)]
    assert found.decode().shape == found.indices.shape == shape
    assert found.decode().dtype == x.dtype
    for place in np.ndindex(found.distortion.shape):
        part = tuple(slice(i * b, (i + 1) * b) for i, b in zip(place, sides, strict=True))
        weight = None if w is None else w[part]
        code = quantize(x[part], 3, sample_weight=weight)
        assert np.allclose(np.unique(found.codebooks[place]), code.codebook, rtol=1e-6)
        assert found.distortion[place] == pytest.approx(code.distortion(x[part], weight), rel=1e-5)
        assert np.allclose(found.decode()[part], code.decode(), rtol=1e-6)
        assert found.lower_bound[place] <= found.distortion[place]


def test_clip_restricts_the_format() -> None:
    """The optimum is that of the entries within the range."""
    x, w = drawn(np.random.default_rng(9), "int8")
    code = quantize(x, 2, "restricted", sample_weight=w, values="int8", clip=(-1.5, 2.5))
    best = oracles.best_subset(x, w, np.arange(-1.0, 3.0), 2)
    assert code.distortion(x, w) * w.sum() == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"values": "fp4"}, "values is 'fp4'; choose one of free, float16"),
        ({"values": 8}, "values is 8; choose"),
        ({"keep_zero": 1}, "keep_zero is 1; give True or False"),
        ({"symmetric": "yes"}, "symmetric is 'yes'; give True or False"),
        ({"keep_zero": True, "clip": (1, 2)}, "with keep_zero give low <= 0 <= high"),
        ({"symmetric": True, "clip": (-1, 2)}, "with symmetric give low = -high"),
        ({"values": "int8", "clip": (0.2, 0.8)}, "allow 0; give"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], phrase: str) -> None:
    """One line with what was got, what is allowed and what to do."""
    with pytest.raises((TypeError, ValueError), match=phrase.replace("(", r"\(")):
        quantize([1.0, 2.0, 4.0], 2, "restricted", **options)


@pytest.mark.parametrize("block", [(8,), (8, 0), (8, -2), (8, 2.5), (True, 4), 8], ids=str)
def test_bad_blocks(block: Any) -> None:
    """A block has a length for each axis."""
    with pytest.raises((TypeError, ValueError), match="block is"):
        quantize_blocks(np.ones((8, 8)), block)


def test_certify_is_a_switch() -> None:
    """Nothing but True and False."""
    with pytest.raises(TypeError, match="certify is 2"):
        quantize_rows(np.ones((2, 2)), certify=2)  # type: ignore[arg-type]


def test_blocks_are_as_wide_as_a_price_leaves_them() -> None:
    """A method with a price may leave more values than asked for, in blocks as in rows."""
    x = np.random.default_rng(0).normal(size=(4, 30))
    found = quantize_blocks(x, (2, 15), 2, "entropy", alpha=1e-6)
    assert found.codebooks.shape[:2] == (2, 2)
    assert found.codebooks.shape[2] > 2
    assert float(np.mean((found.decode() - x) ** 2)) == pytest.approx(found.distortion.mean())

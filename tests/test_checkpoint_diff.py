"""Two checkpoints compared: structures found from values, errors and proofs against definitions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from checkpoints import tensors, write, write_shards
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from solvq.checkpoint import FormatError, TensorDifference, compress, diff
from solvq.checkpoint.compare import _certify
from solvq.checkpoint.compare._certify import Proof
from solvq.checkpoint.compare._difference import Errors
from solvq.checkpoint.compare._runs import (
    MOST_STEPS,
    add_cells,
    count_ranks,
    find_grids,
    take_distinct,
)
from solvq.checkpoint.compare._structure import Structure
from solvq.files import json_text
from solvq.scalar import certificate, quantize, quantize_rows

Array = NDArray[Any]
BF16 = ml_dtypes.bfloat16
RNG = np.random.default_rng(5)
X = RNG.standard_normal((64, 256)).astype(np.float32)


@pytest.fixture
def between(tmp_path: Path) -> Any:
    """Function that compares two arrays as the only tensors of two files."""

    def compared(a: Array, b: Array, **options: Any) -> TensorDifference:
        left = write(tmp_path / "a.safetensors", {"w": np.ascontiguousarray(a)})
        right = write(tmp_path / "b.safetensors", {"w": np.ascontiguousarray(b)})
        return diff(left, right, **options).tensors[0]

    return compared


def made(found: TensorDifference) -> Structure:
    """Structure that must be there."""
    assert found.structure is not None
    return found.structure


def proof(found: TensorDifference) -> Proof:
    """Proof that must be there."""
    assert found.proof is not None
    return found.proof


def errors(found: TensorDifference) -> Errors:
    """Errors that must be there."""
    assert found.errors is not None
    return found.errors


def relative(a: Array, b: Array) -> float:
    """Relative squared error, by definition."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(((x - y) ** 2).sum() / (x**2).sum())


def nearest(x: Array, table: Any) -> Array:
    """Nearest entries of a table."""
    t = np.asarray(table)
    return t[np.abs(x[..., None] - t).argmin(axis=-1)]


# Kernels against plain loops


@given(st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6), min_size=1, max_size=4))
def test_runs_are_those_of_unique(rows: list[list[int]]) -> None:
    ordered = np.sort(np.array(rows, np.float32), axis=1)
    counts, expected = np.zeros(6, np.int64), np.zeros(6, np.int64)
    distinct = [np.unique(row, return_counts=True) for row in ordered]
    for _, times in distinct:
        expected[: times.size] += times
    most = max(len(values) for values, _ in distinct)
    assert count_ranks(ordered, 6, counts) == most
    assert counts.tolist() == expected.tolist()
    tables = np.empty((len(rows), most))
    take_distinct(ordered, tables)
    for table, (values, _) in zip(tables, distinct, strict=True):
        assert table.tolist() == [*values, *[values[-1]] * (most - len(values))]
    if most > 1:
        assert count_ranks(ordered, most - 1, np.zeros(6, np.int64)) == most


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_cells_are_those_of_a_plain_loop(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    tables = np.sort(rng.integers(-3, 4, (3, k)), axis=1).astype(np.float64)
    a = rng.integers(-8, 9, (3, 7)) / 2.0
    b = np.take_along_axis(tables, rng.integers(0, k, (3, 7)), axis=1)
    cells, loss = np.zeros((2, 3, k)), 0.0
    total = add_cells(a, b, tables, cells)
    for r in range(3):
        for x in a[r]:
            loss += min((x - t) ** 2 for t in tables[r])
        for value in np.unique(tables[r]):
            own, entries = b[r] == value, tables[r] == value
            assert cells[0, r, entries].sum() == own.sum()
            assert cells[1, r, entries].sum() == (a[r, own] - value).sum()
    assert total == pytest.approx(loss)


@given(st.integers(0, 10**6), st.booleans())
def test_grids_are_those_they_were_made_of(seed: int, anchored: bool) -> None:
    """Places and multiples are counted as drawn; one number off the grid is seen."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.integers(0, 9, (4, 12)), axis=1)
    places[:, :2], places[:, 2:] = [0, 1], np.maximum(places[:, 2:], 1)
    low = rng.integers(-9, -4, (4, 1)) if anchored else np.full((4, 1), 0.5)
    step = rng.uniform(0.1, 9.0, (4, 1))
    x = step * (places + low)
    counts, found = np.zeros((2, 2 * MOST_STEPS + 1), np.int64), np.zeros(5, np.int64)
    assert find_grids(x, 2.0**-52, counts, found)
    assert counts[0, :9].tolist() == [np.count_nonzero(places == p) for p in range(9)]
    assert found[0] == places.max() + 1
    assert found[3] == (0 if anchored else 4)
    assert found[4] == sum(np.unique(row).size - 2 for row in places)
    if anchored:
        multiples = np.where(-low < places[:, -1:] + low, -1, 1) * (places + low)
        assert (found[1], found[2]) == (multiples.min(), max(0, multiples.max()))
        for m in np.unique(multiples):
            assert counts[1, MOST_STEPS + m] == np.count_nonzero(multiples == m)
    x[2, 1] += 0.3701 * step[2, 0]
    x[2, 2:] += 3.0 * step[2, 0]
    assert find_grids(x, 2.0**-52, counts, found) == (np.unique(places[2]).size == 2)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"])
def test_eight_bit_floats(between: Any, name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    small = np.abs(X).astype(dtype)
    found = between(np.abs(X), small)
    assert (made(found).kind, found.bits_per_weight) == ("plain", 8)
    assert errors(found).relative_error == pytest.approx(relative(np.abs(X), small))
    assert between(small, small).equal
    assert errors(between(small, np.abs(X))).n_different == errors(found).n_different


# Structures


def test_identical_files(tmp_path: Path) -> None:
    left = write(tmp_path / "a.safetensors", tensors())
    found = diff(left, write(tmp_path / "b.safetensors", tensors()))
    assert found.equal
    assert found.relative_error == 0.0
    assert [t.structure.kind for t in found.compared if t.structure] == ["copy"] * 10
    assert sum(t.structure is None for t in found.tensors) == 1  # the empty one
    assert math.isnan(found.gap)
    assert math.isnan(found.bits_per_weight)


def test_known_table_and_known_optimum(between: Any) -> None:
    """All figures of a table from their definitions, the optimum by trying every partition."""
    a = np.array([0.0, 1.0, 1.5, 4.0, 5.0, 9.0, 0.5, 1.25, 4.5, 5.5, 8.0, 9.5])
    b = np.where(a < 2.0, 1.0, 6.0)
    b[3] = 1.0  # farther than 6
    found = between(a, b)
    structure, proved, energy = made(found), proof(found), (a**2).sum()
    assert (structure.kind, structure.per, structure.n_values) == ("table", "tensor", 2)
    assert (found.n_values, found.n_values_per_row) == (2, 2)
    share = np.mean(b == 1.0)
    assert structure.entropy == pytest.approx(
        -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    )
    assert structure.precision == "bfloat16"
    assert found.bits_per_weight == 1 + 2 * 16 / 12
    s = np.sort(a)
    best = min(
        ((s[:i] - s[:i].mean()) ** 2).sum() + ((s[i:] - s[i:].mean()) ** 2).sum()
        for i in range(1, 12)
    )
    assert proved.lower_bound * energy == pytest.approx(best)
    assert proved.error * energy == pytest.approx(((a - b) ** 2).sum())
    assert proved.nearest * energy == pytest.approx(((a - nearest(a, [1.0, 6.0])) ** 2).sum())
    parts = [a[b == value] for value in (1.0, 6.0)]
    assert proved.recentred * energy == pytest.approx(
        sum(((p - p.mean()) ** 2).sum() for p in parts)
    )
    assert proved.lower_bound < proved.recentred < proved.error
    assert proved.nearest < proved.error
    assert errors(found).max_error == np.abs(a - b).max()
    assert errors(found).snr == pytest.approx(10 * math.log10(energy / ((a - b) ** 2).sum()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, BF16])
def test_table_of_another_tool_has_the_gap_of_its_certificate(between: Any, dtype: Any) -> None:
    """A k-means table is above the optimum by what `certificate` says; the exact one by nothing."""
    x = X.astype(dtype)
    table = quantize(X, 8, "kmeans", random_state=1, n_init=1).codebook.astype(dtype)
    found = between(x, nearest(x.astype(np.float64), table.astype(np.float64)).astype(dtype))
    expected = certificate(x, table)
    assert made(found).kind == "table"
    assert made(found).n_values == 8
    assert expected.gap > 1e-4
    assert proof(found).gap == pytest.approx(expected.gap, rel=1e-6)
    assert proof(found).nearest == pytest.approx(proof(found).error)
    exact = between(x, quantize(x, 8).decode())
    rounding = {np.float16: 1e-4, BF16: 1e-2}.get(dtype, 1e-9)
    assert proof(exact).gap < rounding
    assert proof(exact).recentred == pytest.approx(proof(exact).error, rel=rounding)


def test_bound_of_a_large_tensor(between: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from a histogram, is a bound, and close to the exact one."""
    monkeypatch.setattr(_certify, "LARGE", 10_000)
    x = X.reshape(-1)
    table = np.array([-2.0, -0.5, 0.5, 1.5], np.float32)
    found = proof(between(x, table[np.searchsorted([-1.25, 0.0, 1.0], x)]))
    exact = certificate(x, table)
    bound = exact.lower_bound * x.size / float((x.astype(np.float64) ** 2).sum())
    assert bound * (1 - 1e-5) < found.lower_bound <= bound * (1 + 1e-12)
    assert found.gap == pytest.approx(exact.gap, rel=1e-4)


@pytest.mark.parametrize("k", [4, 16])
def test_tables_per_row_are_found(between: Any, k: int) -> None:
    rows = quantize_rows(X, k)
    found = between(X, rows.decode())
    structure = made(found)
    assert (structure.kind, structure.per, structure.n_values) == ("table", "row", k)
    assert (structure.n_tables, structure.length, structure.table_bits) == (64, 256, 64 * k * 32)
    assert (found.n_values, found.n_values_per_row) == (64 * k, k)
    assert proof(found).error == pytest.approx(relative(X, rows.decode()))
    assert proof(found).gap < 1e-9


@pytest.mark.parametrize("length", [32, 64, 128])
def test_tables_per_group_are_found(between: Any, length: int) -> None:
    """Groups with tables of their own, also where the last group is shorter."""
    whole = quantize_rows(X.reshape(-1, length), 4).decode().reshape(-1)
    found = between(X[:-1].reshape(-1)[:-5], whole[: 63 * 256 - 5])
    structure = made(found)
    assert (structure.kind, structure.per, structure.n_values) == ("table", f"group:{length}", 4)
    assert structure.n_tables == -(-(63 * 256 - 5) // length)
    assert proof(found).gap < 0.01  # the last table was made for more weights


NF4 = np.array([-1, -0.7, -0.53, -0.39, -0.28, -0.18, -0.09, 0, 0.08, 0.16, 0.25, 0.34, 0.44, 0.56,
                0.72, 1])  # fmt: skip


def scaled_groups(x: Array, length: int) -> Array:
    """One table of 16 times the largest magnitude of every group."""
    groups = x.reshape(-1, length)
    scale = np.abs(groups).max(axis=1, keepdims=True)
    return (nearest(groups / scale, NF4) * scale).reshape(x.shape).astype(np.float32)


def even_groups(x: Array, length: int, levels: int, offset: bool) -> Array:
    """Even steps per group, from its smallest number or around zero."""
    groups = x.reshape(-1, length)
    low = groups.min(axis=1, keepdims=True) if offset else 0.0
    reach = (
        groups.max(axis=1, keepdims=True) - low if offset else np.abs(groups).max(1)[:, None] * 2
    )
    step = reach / (levels - 1 if offset else levels)
    places = np.rint((groups - low) / step)
    places = places if offset else np.clip(places, -levels // 2, levels // 2 - 1)
    return (places * step + low).astype(np.float32).reshape(x.shape)


@pytest.mark.parametrize("length", [32, 64, 128])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, BF16])
def test_scaled_table_is_found(between: Any, length: int, dtype: Any) -> None:
    found = between(X, scaled_groups(X, length).astype(dtype))
    structure = made(found)
    assert (structure.kind, structure.per) == ("scaled", f"group:{length}")
    assert structure.n_values == 16
    assert structure.index_bits == 4
    width = 8 * np.dtype(dtype).itemsize
    assert structure.table_bits == (X.size // length + 16) * width
    assert proof(found).gap > 0.0


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize(("length", "levels"), [(32, 16), (64, 4), (128, 16), (256, 256)])
def test_even_grid_is_found(between: Any, length: int, levels: int, offset: bool) -> None:
    found = between(X, even_groups(X, length, levels, offset))
    structure = made(found)
    assert structure.kind == "grid"
    assert structure.per == ("row" if length == 256 else f"group:{length}")
    assert structure.index_bits == math.log2(levels)
    assert structure.table_bits == X.size // length * 32 * (2 if offset else 1)
    assert (found.proof is None) == (2 * levels > length)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, BF16])
@pytest.mark.parametrize("shape", [(64, 256), (16384,), (128, 2, 64), (3, 5), (2, 33)])
def test_noise_has_no_structure(between: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    a = X.reshape(-1)[: math.prod(shape)].reshape(shape)
    noise = (a + 0.01 * RNG.standard_normal(shape)).astype(dtype)
    found = between(a, noise)
    structure = made(found)
    assert (structure.kind, structure.precision) == ("plain", np.dtype(dtype).name)
    assert found.bits_per_weight == 8 * noise.itemsize
    assert found.proof is None
    assert errors(found).relative_error == pytest.approx(relative(a, noise))


@pytest.mark.parametrize("dtype", [np.float16, BF16])
def test_rounded_numbers_in_a_wide_dtype(between: Any, dtype: Any) -> None:
    """Half precision is seen behind float32."""
    structure = made(between(X, X.astype(dtype).astype(np.float32)))
    assert (structure.kind, structure.precision) == ("plain", np.dtype(dtype).name)
    assert structure.index_bits == 16


def test_many_values_are_not_counted(between: Any) -> None:
    a = np.arange(70_000, dtype=np.float32).reshape(2, -1) * np.float32(1.1)
    found = between(a, a + 1)
    assert (found.n_values, found.n_values_per_row) == (None, 35_000)


# Odd tensors


def test_missing_tensors_and_other_shapes(tmp_path: Path) -> None:
    left = write(tmp_path / "a.safetensors", {"x": X, "y": X, "z": X})
    right = write(tmp_path / "b.safetensors", {"q": X[:2], "y": X.T.copy(), "z": X})
    found = diff(left, right)
    about = {t.name: (t.why_not, t.shapes, t.equal) for t in found.tensors}
    assert about == {
        "x": ("only in A", ((64, 256), None), False),
        "y": ("shapes differ", ((64, 256), (256, 64)), False),
        "z": ("", ((64, 256), (64, 256)), True),
        "q": ("only in B", (None, (2, 256)), False),
    }
    assert not found.equal
    assert len(found.compared) == 1
    assert [t.name for t in diff(left, right, only=["[xz]"]).tensors] == ["x", "z"]
    with pytest.raises(ValueError, match=r"no tensor .* has a name like w\*; .*'x'"):
        diff(left, right, only=["w*"])
    json.loads(json_text(found.to_dict()))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, BF16])
def test_nonfinite_numbers(between: Any, bad: float, dtype: Any) -> None:
    """They are counted and left out of the errors; NaN equals NaN."""
    a, b = X.astype(dtype), X.astype(dtype)
    a[3, 4] = b[3, 4] = bad
    same = between(a, b)
    assert same.equal
    assert (errors(same).n_nonfinite, errors(same).n_different) == (1, 0)
    b[0, 0] = bad
    b[1, 1] = a[1, 1] + 1
    for first, second in ((a, b), (b, a)):
        found = errors(between(first, second))
        assert (found.n_nonfinite, found.n_different) == (2, 2)
        expected = float(b[1, 1]) - float(a[1, 1])
        assert found.error == pytest.approx(expected**2)
    only_a = between(a, quantize(X, 4).decode())
    assert made(only_a).kind == "table"
    assert only_a.proof is None


def test_empty_scalar_and_zero(between: Any) -> None:
    assert between(np.zeros((0, 3)), np.zeros((0, 3))).equal
    other = between(np.zeros((0, 3)), np.zeros((0, 3), np.float32))
    assert (other.equal, other.structure) == (False, None)
    assert between(np.array(2.0), np.array(2.0)).equal
    found = between(np.array(2.0), np.array(3.0))
    assert errors(found).relative_error == 0.25
    assert made(found).kind == "plain"
    nothing = between(np.zeros((4, 4)), np.ones((4, 4)))
    assert errors(nothing).relative_error == math.inf
    assert nothing.proof is None
    assert between(np.zeros(3), -np.zeros(3)).structure == Structure("copy", "float64", 64)
    zeroed = between(X, np.zeros_like(X))
    assert errors(zeroed).relative_error == 1.0
    assert (made(zeroed).n_values, made(zeroed).index_bits) == (1, 0)
    assert proof(zeroed).lower_bound == pytest.approx(
        X.var(dtype=np.float64) * X.size / np.sum(X.astype(float) ** 2)
    )


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e170, 1e300])
def test_huge_and_tiny_numbers(between: Any, scale: float) -> None:
    """Relative errors do not over- or underflow with the squares."""
    a = X.astype(np.float64) * scale
    b = X.astype(np.float16).astype(np.float64) * scale
    assert errors(between(a, b)).relative_error == pytest.approx(relative(X, X.astype(np.float16)))
    json.loads(json_text(between(a, quantize(X, 4).decode().astype(np.float64) * scale).to_dict()))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16, np.int64, np.complex64])
def test_other_dtypes(between: Any, dtype: Any) -> None:
    """Integers, flags and complex numbers are compared, and not proved."""
    a = RNG.integers(0, 2, (20, 64)).astype(dtype)
    b = a.copy()
    b[0, :3] = 1 - b[0, :3] if dtype is not np.bool_ else ~b[0, :3]
    assert between(a, a).equal
    found = between(a, b)
    assert errors(found).n_different == 3
    assert errors(found).error == 3.0
    assert found.proof is None
    assert (found.structure is None) == (dtype is np.complex64)


def test_integers_beyond_float64(between: Any) -> None:
    a = np.array([2**60, 2**60 + 1])
    assert errors(between(a, a[::-1])).n_different == 2


def test_dtypes_unknown_to_numpy(tmp_path: Path) -> None:
    """Only their bytes are compared."""
    files = []
    for name, data in (("a", b"\x01\x02"), ("b", b"\x01\x02"), ("c", b"\x01\x03")):
        header = json.dumps({"w": {"dtype": "F8_E5M2FNUZ", "shape": [2], "data_offsets": [0, 2]}})
        files.append(tmp_path / f"{name}.safetensors")
        files[-1].write_bytes(len(header).to_bytes(8, "little") + header.encode() + data)
    assert diff(files[0], files[1]).equal
    found = diff(files[0], files[2]).tensors[0]
    assert not found.equal
    assert "F8_E5M2FNUZ" in found.why_not


# Files


def test_compressed_file_on_either_side(tmp_path: Path) -> None:
    """What compress wrote is restored; its gap and bits are those that compress reports."""
    model, small = write(tmp_path / "model.safetensors", tensors()), tmp_path / "small.safetensors"
    report = compress(model, small, n_values=8, min_size=16, layout="row")
    found = diff(model, small)
    assert (found.nbytes_a, found.nbytes_b) == (model.stat().st_size, small.stat().st_size)
    told = {t.name: t for t in report.tensors}
    for tensor in found.tensors:
        expected = told[tensor.name]
        assert errors(tensor).relative_error == pytest.approx(expected.relative_error, rel=1e-9)
        assert tensor.equal == (expected.relative_error == 0.0)
    weight = next(t for t in found.tensors if t.name == "layer.weight")
    assert (made(weight).per, made(weight).n_values) == ("row", 8)
    assert proof(weight).lower_bound == pytest.approx(told["layer.weight"].lower_bound)
    back = diff(small, model)
    assert back.nbytes_a == found.nbytes_b
    assert {t.name for t in back.tensors} == {t.name for t in found.tensors}
    assert diff(small, small).equal


def test_formats_mix(tmp_path: Path) -> None:
    data = {"x": X, "y": X[:3]}
    np.savez(tmp_path / "a.npz", **data)
    assert diff(tmp_path / "a.npz", write_shards(tmp_path / "folder", data)).equal


def test_no_certify_and_progress(tmp_path: Path) -> None:
    left = write(tmp_path / "a.safetensors", {"x": X, "y": X[:3]})
    right = write(tmp_path / "b.safetensors", {"x": quantize(X, 4).decode(), "z": X})
    calls: list[tuple[str, int, int]] = []
    found = diff(left, right, certify=False, progress=lambda *call: calls.append(call))
    assert found.tensors[0].proof is None
    assert made(found.tensors[0]).n_values == 4
    total = 2 * X.nbytes + X[:3].nbytes
    assert [call[0] for call in calls] == ["x", "y", "z"]
    assert calls[-1][1:] == (total, total)


def test_bad_files(tmp_path: Path) -> None:
    good = write(tmp_path / "good.safetensors", {"x": X})
    small = tmp_path / "small.safetensors"
    compress(good, small)
    bad = tmp_path / "bad.safetensors"
    for raw in (b"", good.read_bytes()[:-1], b"junk" * 9, small.read_bytes()[:-1] + b"\x7f"):
        bad.write_bytes(raw)
        for sides in ((good, bad), (bad, good)):
            with pytest.raises(FormatError, match=r"bad\.safetensors"):
                diff(*sides)
    with pytest.raises(FileNotFoundError):
        diff(good, tmp_path / "none.safetensors")

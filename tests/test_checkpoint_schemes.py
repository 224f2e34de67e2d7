"""Layouts, scales, restricted tables, coded indices: restored as documented, told as measured."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from checkpoints import write
from numpy.typing import NDArray

from solvq import checkpoint, rans
from solvq.checkpoint._container import NUMPY_DTYPES, SafetensorsReader
from solvq.checkpoint._layout import Layout, layout_of
from solvq.checkpoint._report import TensorReport
from solvq.checkpoint._restore import Compressed
from solvq.checkpoint._scheme import Scheme

Data = dict[str, NDArray[Any]]
LAYOUTS = ("tensor", "row", "column", "rows:5", "group:12", "block:4x9", "block:99x99")
SCALES = ("", "tensor", "row", "column", "group:13", "block:5x7")
VALUES = ("auto", "same", "float16", "bfloat16", "e4m3", "int8")
SCALE_DTYPES = ("float16", "bfloat16", "e8m0")
CASES = [
    (layout, scale, VALUES[i % len(VALUES)], SCALE_DTYPES[i // 2 % len(SCALE_DTYPES)])
    for i, (layout, scale) in enumerate(itertools.product(LAYOUTS, SCALES), 1)
    if scale or VALUES[i % len(VALUES)] != "int8"
]


def odd_tensors() -> Data:
    """Weights of every float dtype in shapes that no block divides."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((26, 51)) * 2.0 ** rng.integers(-3, 3, (26, 1))
    return {
        "f4": rows.astype("f4"),
        "f2": rng.standard_normal((17, 29)).astype("f2"),
        "conv": rng.standard_normal((6, 5, 3, 3)).astype(ml_dtypes.bfloat16),
        "f8": rng.standard_normal((13, 31)),
        "line": rng.standard_normal((1, 130)).astype("f4"),
        "stack": rng.standard_normal((90, 1)).astype("f4"),
    }


def block_numbers(layout: Layout) -> NDArray[np.int64]:
    """Number of the block of each weight of a flat tensor, weight by weight."""
    across = -(-layout.columns // layout.width)
    return np.array(
        [
            r // layout.height * across + c // layout.width
            for r in range(layout.rows)
            for c in range(layout.columns)
        ]
    )


def reference(small: Path, name: str) -> NDArray[Any]:
    """A tensor restored from the entries of the file, as the format is documented."""
    reader, about = SafetensorsReader(small), Compressed(small).manifest.tensors[name]
    scheme = about.scheme
    assert scheme is not None
    stream = reader.array(f"{name}:indices")
    if scheme.coded is None:
        bits = max(1, int(scheme.n_values - 1).bit_length())
        stored = np.unpackbits(stream, bitorder="little")[: about.size * bits].reshape(-1, bits)
        indices = stored @ (1 << np.arange(bits))
    else:
        indices = rans.decode(stream.copy(), about.size).astype(int)
    wide = np.float64 if about.dtype == "F64" else np.float32
    tables = reader.array(f"{name}:codebook").astype(wide)
    found = tables[block_numbers(scheme.tables) * scheme.n_values + indices]
    if scheme.scales is not None:
        found = found * reader.array(f"{name}:scales").astype(wide)[block_numbers(scheme.scales)]
    return found.astype(NUMPY_DTYPES[about.dtype]).reshape(about.shape)


def figures_agree(x: NDArray[Any], restored: NDArray[Any], told: TensorReport) -> None:
    """The reported error is that of the restored tensor; the bound is not above it."""
    wide = x.astype(np.float64)
    error = float(((wide - restored.astype(np.float64)) ** 2).sum())
    assert told.energy == pytest.approx(float((wide**2).sum()), rel=1e-10)
    assert told.relative_error * told.energy == pytest.approx(error, rel=1e-9)
    assert 0.0 <= told.lower_bound <= told.relative_error


def uniform_error(x: NDArray[Any], scheme: Scheme, n_values: int) -> float:
    """Squared error of evenly spaced entries over the range of each block of the scales."""
    wide = x.reshape(-1).astype(np.float64)
    blocks = block_numbers(scheme.scales or scheme.tables)
    largest = np.zeros(blocks.max() + 1)
    np.maximum.at(largest, blocks, np.abs(wide))
    step = 2.0 * largest[blocks] / n_values
    cells = np.clip(np.floor(wide / step), -n_values // 2, n_values // 2 - 1)
    return float(((wide - (cells + 0.5) * step) ** 2).sum())


@pytest.mark.parametrize(("layout", "scale", "values", "scale_dtype"), CASES)
def test_every_scheme(
    tmp_path: Path, layout: str, scale: str, values: str, scale_dtype: str
) -> None:
    """Restored as documented, sizes and figures as stored and measured, proved again the same."""
    data = odd_tensors()
    model = write(tmp_path / "m.safetensors", data)
    small = tmp_path / "s.safetensors"
    options = {"layout": layout, "scale": scale, "values": values, "scale_dtype": scale_dtype}
    report = checkpoint.compress(model, small, n_values=4, min_size=0, n_jobs=1, **options)
    restored, reader = checkpoint.load(small), SafetensorsReader(small)
    about = Compressed(small).manifest.tensors
    proved = checkpoint.inspect(small, original=model)
    assert len(report.compressed) >= 3
    for told, again in zip(report.tensors, proved.tensors, strict=True):
        x, scheme = data[told.name], about[told.name].scheme
        if scheme is None:
            assert told.kept_because == "would not shrink"
            assert restored[told.name].tobytes() == x.tobytes()
            continue
        expected = reference(small, told.name)
        assert restored[told.name].dtype == x.dtype
        assert restored[told.name].tobytes() == expected.tobytes()
        figures_agree(x, expected, told)
        own = [e.nbytes for key, e in reader.entries.items() if key.startswith(f"{told.name}:")]
        assert told.nbytes_after == sum(own) == scheme.nbytes < x.nbytes
        assert all(nbytes % 8 == 0 for nbytes in own)
        assert again.relative_error == pytest.approx(told.relative_error, rel=1e-9)
        assert again.lower_bound == pytest.approx(told.lower_bound, rel=1e-4)
        coarse = scale_dtype == "e8m0" and scale  # powers of two may cost that much
        if scheme.tables.blocks == 1 and not coarse:
            error = told.relative_error * told.energy
            assert error <= 1.001 * uniform_error(x, scheme, 4)


@pytest.mark.parametrize("values", ["auto", "same", "bfloat16", "e4m3"])
def test_every_scheme_with_coded_indices(tmp_path: Path, values: str) -> None:
    """The same with entropy coding; equal for any number of threads."""
    data = {k: np.tile(x, (4, 3) + (1,) * (x.ndim - 2)) for k, x in odd_tensors().items()}
    model = write(tmp_path / "m.safetensors", data)
    small = tmp_path / "s.safetensors"
    report = checkpoint.compress(model, small, avg_bits=3.0, entropy=True, values=values)
    restored = checkpoint.load(small)
    proved = checkpoint.inspect(small, original=model)
    assert len(report.compressed) >= 3
    for told, again in zip(report.compressed, proved.compressed, strict=True):
        expected = reference(small, told.name)
        assert restored[told.name].tobytes() == expected.tobytes()
        figures_agree(data[told.name], expected, told)
        assert told.layout.endswith("coded")
        assert again.relative_error == pytest.approx(told.relative_error, rel=1e-9)
        assert again.lower_bound == pytest.approx(told.lower_bound, rel=1e-4)


def test_coded_is_smaller_at_equal_error(tmp_path: Path) -> None:
    """Peaked weights: fewer bytes than indices of fixed length need."""
    rng = np.random.default_rng(0)
    data = {"w": rng.laplace(size=(96, 96)).astype("f4"), "b": rng.normal(size=96).astype("f2")}
    model = write(tmp_path / "m.safetensors", data)
    packed = checkpoint.compress(model, tmp_path / "p.safetensors", n_values=16)
    coded = checkpoint.compress(
        model, tmp_path / "c.safetensors", max_error=packed.relative_error, entropy=True
    )
    assert coded.relative_error <= packed.relative_error
    assert coded.nbytes_after < 0.95 * packed.nbytes_after
    np.testing.assert_array_equal(checkpoint.load(tmp_path / "c.safetensors")["b"], data["b"])


def test_lossless(tmp_path: Path) -> None:
    """Every tensor comes back to the bit, NaN and the signs of zeros too, from fewer bytes."""
    rng = np.random.default_rng(0)
    data: Data = {k: np.tile(x, (9,) + (1,) * (x.ndim - 1)) for k, x in odd_tensors().items()}
    data["odd"] = np.array([[np.nan, -0.0, np.inf]], "f4")
    data["half"] = (0.02 * rng.standard_normal((64, 96))).astype(ml_dtypes.bfloat16)
    model = write(tmp_path / "m.safetensors", data)
    report = checkpoint.compress(model, tmp_path / "s.safetensors", lossless=True)
    restored = checkpoint.load(tmp_path / "s.safetensors")
    assert {k: x.tobytes() for k, x in restored.items()} == {
        k: x.tobytes() for k, x in data.items()
    }
    assert report.nbytes_after < 0.8 * report.nbytes_before
    assert report.compressed == ()
    assert {t.kept_because for t in report.tensors} == {"lossless"}
    again = checkpoint.inspect(tmp_path / "s.safetensors", original=model)
    assert again.tensors == report.tensors


RNG = np.random.default_rng(5)
NORMAL = RNG.standard_normal((24, 40))
HARD: Data = {
    "zeros": np.zeros((24, 40), "f4"),
    "constant": np.full((24, 40), 0.1, "f4"),
    "equal rows": np.repeat(NORMAL[:, :1], 40, axis=1).astype("f4"),
    "tiny": (1e-30 * NORMAL).astype("f4"),
    "huge": (1e30 * NORMAL).astype("f4"),
    "denormal": (1e-42 * NORMAL).astype("f4"),
    "half denormal": (1e-6 * NORMAL).astype("f2"),
    "half largest": (6e4 * np.tanh(NORMAL)).astype("f2"),
    "offset": NORMAL + 1e8,
    "wide": 10.0 ** (4.0 * NORMAL),
    "one outlier": np.where(np.arange(960).reshape(24, 40) == 77, 1e4, NORMAL).astype("f4"),
    "zero rows": np.where(np.arange(24)[:, None] % 3, NORMAL, 0.0).astype("f4"),
}
FEW: Data = {
    "few": RNG.integers(-3, 4, (24, 40)).astype("f4"),
    "few odd": (RNG.integers(-3, 4, (24, 40)) / 3.0).astype("f4"),
    "few double": RNG.integers(0, 5, (24, 40)) / 7.0,
}


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "tensor"},
        {"layout": "row"},
        {"layout": "block:5x7"},
        {"layout": "tensor", "scale": "row"},
        {"layout": "tensor", "scale": "group:8", "scale_dtype": "e8m0"},
        {"layout": "row", "scale": "tensor", "scale_dtype": "bfloat16"},
        {"scale": "row", "values": "e4m3"},
        {"scale": "row", "values": "int8"},
        {"entropy": True},
        {"avg_bits": 4.0},
        {"avg_bits": 4.0, "entropy": True},
    ],
    ids=str,
)
def test_hard_values(tmp_path: Path, options: dict[str, Any]) -> None:
    """Zeros, constants, tiny, huge and offset values come through finite and close."""
    data = HARD | FEW
    model = write(tmp_path / "m.safetensors", data)
    small = tmp_path / "s.safetensors"
    report = checkpoint.compress(model, small, min_size=0, **options)
    restored = checkpoint.load(small)
    for told in report.compressed:
        x = data[told.name]
        assert np.isfinite(restored[told.name].astype(np.float64)).all(), told.name
        assert restored[told.name].tobytes() == reference(small, told.name).tobytes()
        figures_agree(x, restored[told.name], told)
        if told.name != "denormal" or options.get("values", "auto") == "auto":
            assert told.relative_error < 0.25, told.name
    assert not restored["zeros"].any()
    if "scale" not in options and "avg_bits" not in options and "entropy" not in options:
        for name in ("constant", *FEW):
            assert restored[name].tobytes() == data[name].tobytes()
    proved = checkpoint.inspect(small, original=model)
    for one, two in zip(proved.compressed, report.compressed, strict=True):
        assert one.relative_error == pytest.approx(two.relative_error, rel=1e-9)
        assert one.lower_bound <= one.relative_error


def test_values_outside_float16_fall_back(tmp_path: Path) -> None:
    """Tables are float16 by default, but in the tensor's own dtype where that would do harm."""
    model = write(tmp_path / "m.safetensors", HARD)
    checkpoint.compress(model, tmp_path / "s.safetensors", min_size=0)
    about = Compressed(tmp_path / "s.safetensors").manifest.tensors
    stored = {name: found.scheme.values for name, found in about.items() if found.scheme}
    exact = {"constant", "tiny", "huge", "denormal", "wide"}
    assert {name for name, dtype in stored.items() if dtype == "F32"} == exact - {"wide"}
    assert stored["offset"] == stored["wide"] == "F64"


def test_restricted_tables_hold_what_they_say(tmp_path: Path) -> None:
    """Entries are of the dtype asked for, optimal under it: no worse than those rounded."""
    data = {"w": NORMAL.astype("f4")}
    model = write(tmp_path / "m.safetensors", data)
    wanted = {"float16": "F16", "bfloat16": "BF16", "e4m3": "F8_E4M3", "same": "F32"}
    for values, dtype in wanted.items():
        small = tmp_path / f"{values}.safetensors"
        report = checkpoint.compress(model, small, n_values=8, values=values, min_size=0)
        assert SafetensorsReader(small).entries["w:codebook"].dtype == dtype

        assert report.tensors[0].gap >= -1e-12
    free_table = np.unique(checkpoint.load(tmp_path / "same.safetensors")["w"])
    rounded = free_table.astype(ml_dtypes.float8_e4m3fn).astype(np.float64)
    nearest = rounded[np.abs(NORMAL[..., None] - rounded).argmin(-1)]
    told = checkpoint.inspect(tmp_path / "e4m3.safetensors").tensors[0]
    assert told.relative_error <= ((NORMAL - nearest) ** 2).sum() / (NORMAL**2).sum()


@pytest.mark.parametrize("shape", [(12, 30), (7,), (5, 3, 2, 2), (1, 9), (9, 1)])
@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_cover_every_weight(shape: tuple[int, ...], name: str) -> None:
    """Blocks are numbered without a hole, and their name leads back to them."""
    layout = layout_of(name, shape)
    numbers = block_numbers(layout)
    assert layout.size == numbers.size == np.prod(shape)
    np.testing.assert_array_equal(np.unique(numbers), np.arange(layout.blocks))
    again = layout_of(layout.name, shape)
    np.testing.assert_array_equal(block_numbers(again), numbers)
    if layout.length:  # blocks are runs of consecutive weights
        np.testing.assert_array_equal(numbers, np.arange(layout.size) // layout.length)


@pytest.mark.parametrize("bad", ["", "rows", "rows:0", "group:-1", "block:3", "block:0x3", "Row"])
def test_unknown_layouts(bad: str) -> None:
    """Named, with all that are allowed."""
    with pytest.raises(ValueError, match=r"layout is .*; give tensor, row, column"):
        layout_of(bad, (3, 4))

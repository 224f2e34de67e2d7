"""Checkpoints through compress, decompress, load and inspect."""

import json
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from checkpoints import tensors, write, write_shards
from safetensors import safe_open
from safetensors.numpy import load_file

import solvq
from solvq import checkpoint
from solvq.scalar import METHODS

KEPT = {"layer.bias", "small", "odd", "flags", "count", "empty"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.safetensors", tensors(), format="pt", note='"quoted" \u00fc')


def test_per_tensor_is_quantize(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    report = checkpoint.compress(model, out, n_values=9, values="same")
    restored = checkpoint.load(tmp_path / "out.safetensors")
    assert {t.name for t in report.tensors if t.n_values is None} == KEPT
    for name, x in tensors().items():
        expected = x if name in KEPT else solvq.quantize(x, n_values=9).decode()
        assert restored[name].dtype == x.dtype
        np.testing.assert_array_equal(restored[name], expected)


@pytest.mark.parametrize("layout", ["tensor", "row", "group:64", "group:7"])
@pytest.mark.parametrize("n_values", [1, 2, 5, 16])
def test_decompress_gives_an_ordinary_file(
    model: Path, tmp_path: Path, layout: str, n_values: int
) -> None:
    small, back = tmp_path / "small.safetensors", tmp_path / "back.safetensors"
    report = checkpoint.compress(model, small, n_values=n_values, layout=layout)
    assert checkpoint.decompress(small, back).tensors == report.tensors
    loaded, restored = checkpoint.load(small), load_file(back)
    assert set(loaded) == set(restored) == set(tensors())
    for name, x in tensors().items():
        assert restored[name].dtype == x.dtype
        assert restored[name].shape == x.shape
        np.testing.assert_array_equal(restored[name], loaded[name])
    with safe_open(back, "numpy") as file:
        assert file.metadata() == {"format": "pt", "note": '"quoted" \u00fc'}


def test_figures_are_those_of_the_restored_tensors(model: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.safetensors"
    for layout in ("tensor", "row", "group:50"):
        report = checkpoint.compress(model, small, layout=layout, n_values=5, force=True)
        restored = checkpoint.load(small)
        for t in report.compressed:
            x = tensors()[t.name].astype(np.float64)
            error = float(((x - restored[t.name].astype(np.float64)) ** 2).sum())
            assert t.relative_error * t.energy == pytest.approx(error, rel=1e-9)
            assert t.energy == pytest.approx(float((x**2).sum()), rel=1e-11)
            assert t.lower_bound <= t.relative_error
        assert report.nbytes_after == small.stat().st_size
        assert report.nbytes_before == model.stat().st_size
        proved = checkpoint.inspect(small, original=model)
        for one, two in zip(proved.tensors, report.tensors, strict=True):
            assert one.relative_error == pytest.approx(two.relative_error, rel=1e-9)
            assert one.lower_bound == pytest.approx(two.lower_bound, rel=1e-9)


def test_optimal_is_never_beaten(model: Path, tmp_path: Path) -> None:
    reports = {
        method: checkpoint.compress(
            model, tmp_path / f"{method}.safetensors", method=method, include=("layer*", "double")
        )
        for method in METHODS
    }
    for report in reports.values():
        assert report.relative_error >= reports["optimal"].relative_error * (1 - 1e-12)
        assert report.gap >= 0


def test_entries_are_aligned_and_plain(model: Path, tmp_path: Path) -> None:
    small, back = tmp_path / "small.safetensors", tmp_path / "back.safetensors"
    checkpoint.compress(model, small, n_values=3)
    checkpoint.decompress(small, back)
    for path in (small, back):
        raw = path.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        assert length % 8 == 0
        header = json.loads(raw[8 : 8 + length])
        sizes = {"BOOL": 1, "I8": 1, "U8": 1, "F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I64": 8}
        for name, entry in header.items():
            if name != "__metadata__":
                assert entry["data_offsets"][0] % sizes[entry["dtype"]] == 0, name
    with safe_open(small, "numpy") as file:
        assert file.get_tensor("layer.weight:codebook").dtype == np.float16
        assert file.get_tensor("layer.weight:indices").dtype == np.uint8


def test_sizes_are_what_the_bits_say(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    model = write(tmp_path / "m.safetensors", {"w": x})
    for bits in (1, 2, 3, 4, 7, 8):
        report = checkpoint.compress(
            model, tmp_path / "s.safetensors", n_values=2**bits, force=True
        )
        assert report.tensors[0].nbytes_after == x.size * bits // 8 + max(8, 2 * 2**bits)


@pytest.mark.parametrize("pack", ["shards", "npz"])
def test_other_sources_give_the_same(tmp_path: Path, pack: str) -> None:
    data = tensors()
    del data["brain"]  # NumPy archives cannot hold bfloat16
    model = write(tmp_path / "model.safetensors", data)
    other = tmp_path / "other.npz"
    if pack == "npz":
        np.savez_compressed(other, **data)  # type: ignore[arg-type]
    else:
        other = write_shards(tmp_path / "folder", data)
    checkpoint.compress(model, tmp_path / "one.safetensors", layout="row")
    report = checkpoint.compress(other, tmp_path / "two.safetensors", layout="row")
    one = checkpoint.load(tmp_path / "one.safetensors")
    two = checkpoint.load(tmp_path / "two.safetensors")
    assert set(one) == set(two)
    for name, x in one.items():
        np.testing.assert_array_equal(two[name], x)
    files = [other] if other.is_file() else list(other.glob("*.safetensors"))
    assert report.nbytes_before == sum(file.stat().st_size for file in files)


def test_globs_choose(model: Path, tmp_path: Path) -> None:
    report = checkpoint.compress(
        model, tmp_path / "s.safetensors", include=("layer.*", "h*"), exclude=("half",), min_size=0
    )
    reasons = {t.name: t.kept_because for t in report.tensors}
    assert reasons["half"] == "excluded"
    assert reasons["double"] == "not included"
    assert reasons["layer.bias"] == "1-D"
    assert [t.name for t in report.compressed] == ["layer.weight"]


def test_float8_is_kept_to_the_bit(tmp_path: Path) -> None:
    raw = np.arange(256, dtype=np.uint8).reshape(16, 16)
    header = {
        "w": {"dtype": "F8_E4M3", "shape": [16, 16], "data_offsets": [0, 256]},
        "v": {"dtype": "F8_E8M0", "shape": [8], "data_offsets": [256, 264]},
    }
    text = json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    model = tmp_path / "m.safetensors"
    model.write_bytes(len(text).to_bytes(8, "little") + text + raw.tobytes() + bytes(8))
    checkpoint.compress(model, tmp_path / "s.safetensors", min_size=0)
    restored = checkpoint.load(tmp_path / "s.safetensors")
    assert restored["w"].dtype == ml_dtypes.float8_e4m3fn
    np.testing.assert_array_equal(restored["w"].view(np.uint8), raw)


def test_threads_change_nothing(model: Path, tmp_path: Path) -> None:
    for settings in ({"layout": "row"}, {"avg_bits": 3.0, "entropy": True}):
        files = []
        for n_jobs in (1, 3):
            path = tmp_path / f"{n_jobs}.safetensors"
            checkpoint.compress(model, path, n_jobs=n_jobs, force=True, **settings)  # type: ignore[arg-type]
            files.append(path.read_bytes())
        assert files[0] == files[1]


def test_many_tensors_and_long_names_fit_the_header(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f'{i}/\u00e9\u4e2d\\"{"x" * (i % 90)}' for i in range(150)]
    data = {name: rng.standard_normal((5, 9)).astype(np.float32) for name in names}
    data[names[0]][0, 0] = np.nan
    model = write(tmp_path / "m.safetensors", data)
    checkpoint.compress(
        model, tmp_path / "s.safetensors", n_values=2, min_size=0, skip_nonfinite=True
    )
    assert set(checkpoint.load(tmp_path / "s.safetensors")) == set(names)


def test_progress_counts_every_byte(model: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def progress(name: str, done: int, total: int) -> None:
        seen.append((name, done, total))

    calls: list[Callable[[], object]] = [
        lambda: checkpoint.compress(model, tmp_path / "s.safetensors", progress=progress),
        lambda: checkpoint.decompress(
            tmp_path / "s.safetensors", tmp_path / "d.safetensors", progress=progress
        ),
        lambda: checkpoint.inspect(tmp_path / "s.safetensors", original=model, progress=progress),
    ]
    total = sum(x.nbytes for x in tensors().values())
    for call in calls:
        seen.clear()
        call()
        assert {name for name, _, _ in seen} - {""} == set(tensors())
        assert seen[-1][1:] == (total, total)

"""Folders with their companions, ONNX models and archives: there and back, whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import tensors, write, write_shards
from numpy.typing import NDArray
from safetensors.numpy import load_file

from solvq import checkpoint
from solvq.checkpoint import FormatError, _carry, _compress

Data = dict[str, NDArray[Any]]
CARRIED = {
    "config.json": '{"hidden": 4}',
    "tokenizer.json": "{}",
    "vocab.txt": "a\nb",
    "1_Pooling/config.json": "{}",
}
LEFT = {"modeling.py": "evil()", ".cache": "x", "onnx/model.onnx": "x", "README.md": "x"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its name there."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A sharded model with what belongs to it, and with what does not."""
    folder = write_shards(tmp_path / "model", tensors())
    for name, text in (CARRIED | LEFT).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_folder_there_and_back(model: Path, tmp_path: Path) -> None:
    """Weights in one file, companions to the byte, the rest left behind, the input untouched."""
    before = contents(model)
    small, back = tmp_path / "small", tmp_path / "back"
    report = checkpoint.compress(model, small, n_values=4)
    assert set(contents(small)) == {*CARRIED, "model.safetensors"}
    assert report.nbytes_after == (small / "model.safetensors").stat().st_size
    assert checkpoint.decompress(small, back).tensors == report.tensors
    found = contents(back)
    assert set(found) == {*CARRIED, "model.safetensors"}
    assert {name: found[name].decode() for name in CARRIED} == CARRIED
    restored = load_file(back / "model.safetensors")
    for name, x in checkpoint.load(small).items():
        assert restored[name].tobytes() == x.tobytes()
    assert checkpoint.inspect(small, original=model).relative_error > 0
    assert contents(model) == before
    assert {path.name for path in tmp_path.iterdir()} == {"model", "small", "back"}


def test_folder_to_files(model: Path, tmp_path: Path) -> None:
    """An output that is named as a file becomes one, both ways."""
    small = tmp_path / "small.safetensors"
    checkpoint.compress(model, small)
    assert small.is_file()
    checkpoint.compress(model, tmp_path / "folder")
    for name in ("back.safetensors", "BACK.SAFETENSORS"):
        checkpoint.decompress(tmp_path / "folder", tmp_path / name)
        assert set(load_file(tmp_path / name)) == set(tensors())
    with pytest.raises(FormatError, match=r"give a name in \.safetensors, \.npz, \.onnx"):
        checkpoint.decompress(small, tmp_path / "back.pth")
    with pytest.raises(FormatError, match="was not made from an ONNX model"):
        checkpoint.decompress(tmp_path / "folder", tmp_path / "back.onnx")
    assert not (tmp_path / "back.onnx").exists()


def test_existing_folders_need_force(model: Path, tmp_path: Path) -> None:
    """Without it nothing changes; with it files are replaced, and what else is there stays."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    (out / "config.json").write_text("old")
    with pytest.raises(FileExistsError, match="--force"):
        checkpoint.compress(model, out)
    assert contents(out) == {"mine.txt": b"mine", "config.json": b"old"}
    checkpoint.compress(model, out, force=True)
    assert contents(out)["mine.txt"] == b"mine"
    assert contents(out)["config.json"].decode() == CARRIED["config.json"]
    assert set(checkpoint.load(out)) == set(tensors())
    with pytest.raises(FormatError, match="is the input"):
        checkpoint.compress(model, model, force=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FormatError, match="a folder becomes a folder"):
        checkpoint.compress(model, tmp_path / "file", force=True)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        checkpoint.compress(model, tmp_path / "no" / "out")


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "old.safetensors", "a.bin"])
def test_folders_of_other_weights_are_refused(model: Path, tmp_path: Path, name: str) -> None:
    """They would be read in place of those written."""
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(FormatError, match=f"holds other weights .{name}"):
        checkpoint.compress(model, out, force=True)
    assert contents(out) == {name: b"mine"}


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("moment", ["weights", "companions", "report"])
def test_nothing_half_is_left(
    model: Path, tmp_path: Path, moment: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure while weights or companions are written leaves what was there before."""
    out = tmp_path / "out"
    if there:
        out.mkdir()
        (out / "config.json").write_text("old")
    before = contents(tmp_path)

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if moment == "weights":
        monkeypatch.setattr(_compress, "finish", fails)
    elif moment == "companions":
        monkeypatch.setattr(_carry.shutil, "copyfile", fails)
    else:
        monkeypatch.setattr(_compress, "Compressed", fails)
    with pytest.raises(OSError, match=f"No space left.*{out}"):
        checkpoint.compress(model, out, force=True)
    assert contents(tmp_path) == before
    assert out.exists() == there


def test_onnx_there_and_back(tmp_path: Path) -> None:
    """The model runs on restored weights: nodes, names and kept tensors are the same."""
    onnx = pytest.importorskip("onnx")
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((40, 48)).astype("f4"), rng.standard_normal(48).astype("f4")
    helper, float_ = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", float_, [1, 40])],
        [helper.make_tensor_value_info("y", float_, [1, 48])],
        [onnx.numpy_helper.from_array(w, "w"), onnx.numpy_helper.from_array(b, "b")],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    small, back = tmp_path / "small.safetensors", tmp_path / "back.onnx"
    report = checkpoint.compress(tmp_path / "m.onnx", small, avg_bits=4.5)
    assert [t.name for t in report.compressed] == ["w"]
    checkpoint.decompress(small, back)
    found = onnx.load(back)
    onnx.checker.check_model(found)
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in found.graph.initializer}
    assert arrays["b"].tobytes() == b.tobytes()
    assert arrays["w"].tobytes() == checkpoint.load(small)["w"].tobytes()
    assert found.graph.node == graph.node
    checkpoint.decompress(small, tmp_path / "back.safetensors")
    assert set(load_file(tmp_path / "back.safetensors")) == {"w", "b"}


def test_archives_come_out(tmp_path: Path) -> None:
    """NumPy archives of what NumPy knows; other dtypes are refused, and nothing is left."""
    data = tensors()
    model = write(tmp_path / "m.safetensors", data)
    small, back = tmp_path / "small.safetensors", tmp_path / "back.npz"
    checkpoint.compress(model, small)
    with pytest.raises(FormatError, match=r"'brain' is BF16, which \.npz cannot hold"):
        checkpoint.decompress(small, back)
    assert {path.name for path in tmp_path.iterdir()} == {"m.safetensors", "small.safetensors"}
    del data["brain"]
    checkpoint.compress(write(model, data), small, force=True)
    checkpoint.decompress(small, back)
    with np.load(back) as archive:
        assert set(archive.files) == set(data)
        for name, x in checkpoint.load(small).items():
            assert archive[name].tobytes() == x.tobytes()
            assert archive[name].shape == x.shape


def test_folder_of_no_model(tmp_path: Path) -> None:
    """Only companions: refused, and nothing is made."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    for call in (checkpoint.compress, checkpoint.decompress):
        with pytest.raises((FormatError, FileNotFoundError), match="model"):
            call(tmp_path / "model", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_damaged_folder_stays_refused(model: Path, tmp_path: Path) -> None:
    """A compressed folder whose weights are damaged does not become a half folder."""
    small = tmp_path / "small"
    checkpoint.compress(model, small)
    file = small / "model.safetensors"
    raw = bytearray(file.read_bytes())
    header = int.from_bytes(raw[:8], "little")
    raw[header + 40] ^= 1
    file.write_bytes(raw)
    with pytest.raises(FormatError, match="damaged"):
        checkpoint.decompress(small, tmp_path / "back")
    shutil.rmtree(small)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert json.loads((model / "config.json").read_text()) == {"hidden": 4}

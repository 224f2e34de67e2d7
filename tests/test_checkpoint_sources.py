"""Which checkpoints can be opened, what goes with them, and how bad ones are refused."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import tensors, write, write_shards
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvq import checkpoint
from solvq.checkpoint import FormatError
from solvq.checkpoint.source._npz import NpzSource
from solvq.checkpoint.source._open import READERS, open_source

torch = pytest.importorskip("torch")
W = {"w": torch.arange(6.0).reshape(2, 3)}


def refusal(path: Path) -> str:
    """The one line with which a path is refused; it names the path."""
    with pytest.raises(FormatError) as caught:
        open_source(path)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert "\n" not in line
    assert len(line) < 600
    return line


def test_every_suffix_is_told(tmp_path: Path) -> None:
    """A file of another kind is refused with the suffixes of all that can be read."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    line = refusal(tmp_path / "model.gguf")
    assert all(suffix in line for suffix in READERS)
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        open_source(tmp_path / "none.pt")
    os.mkfifo(tmp_path / "pipe.pt")
    assert "not an ordinary file" in refusal(tmp_path / "pipe.pt")


@pytest.mark.parametrize("suffix", READERS)
def test_empty_and_foreign_files(tmp_path: Path, suffix: str) -> None:
    """Each reader refuses what is empty, garbage, or the start of something, in one line."""
    path = tmp_path / f"m{suffix}"
    for content in (b"", b"\0", b"hello world", b"PK\x03\x04", b"\x80\x02.", b"\x93NUMPY", b"{}"):
        path.write_bytes(content)
        refusal(path)


def test_wrong_suffix_is_told(tmp_path: Path) -> None:
    """A file under another format's name is refused with what it looks like."""
    model = write(tmp_path / "m.safetensors", tensors())
    model.rename(tmp_path / "m.bin")
    assert "looks like a .safetensors file" in refusal(tmp_path / "m.bin")
    torch.save(W, model)
    line = refusal(model)
    assert "not a valid safetensors file" in line
    assert "looks like a zip archive" in line
    model.rename(tmp_path / "m.npz")
    assert "no .npy file" in refusal(tmp_path / "m.npz")


def test_torch_files_are_compressed(tmp_path: Path) -> None:
    """From a training checkpoint to a compressed file and back to the tensors."""
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    torch.save({"model": {"module.w": x, "module.b": x[0]}, "epoch": 1}, tmp_path / "m.pt")
    checkpoint.compress(tmp_path / "m.pt", tmp_path / "s.safetensors", n_values=256)
    found = checkpoint.load(tmp_path / "s.safetensors")
    assert set(found) == {"w", "b"}
    np.testing.assert_array_equal(found["b"], x[0].numpy())
    np.testing.assert_allclose(found["w"], x.numpy(), atol=0.05)


def hugging_face(folder: Path) -> Path:
    """Folder with files that go with the weights and files that do not."""
    folder.mkdir()
    carried = "config.json tokenizer.json vocab.txt spiece.model chat_template.jinja merges.txt"
    for name in f"{carried} README.md modeling.py .hidden.json training.log".split():
        (folder / name).write_text("{}")
    for sub, name in (("1_Pooling", "config.json"), (".cache", "x.json"), ("old", "config.json")):
        (folder / sub).mkdir()
        (folder / sub / name).write_text("{}")
    write(folder / "old" / "model.safetensors", tensors())
    return folder


def test_companions(tmp_path: Path) -> None:
    """Configuration and tokenizer go with the weights; programs, hidden and other files do not."""
    folder = hugging_face(tmp_path / "hf")
    write(folder / "model.safetensors", tensors())
    source = open_source(folder)
    assert {str(f.relative_to(folder)) for f in source.companions} == {
        "config.json",
        "tokenizer.json",
        "vocab.txt",
        "spiece.model",
        "chat_template.jinja",
        "merges.txt",
        "1_Pooling/config.json",
    }
    assert source.notes == ()
    assert list(source.entries) == list(open_source(folder / "model.safetensors").entries)
    assert open_source(folder / "model.safetensors").companions == ()


def torch_shards(folder: Path) -> dict[str, str]:
    """Two torch files with an index in a folder, and where each tensor is."""
    homes = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    for i, (name, home) in enumerate(homes.items()):
        torch.save({name: W["w"] + i}, folder / home)
    index = {"metadata": {}, "weight_map": homes}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return homes


def test_torch_folders(tmp_path: Path) -> None:
    """One file of torch in a folder, or several with an index; beside safetensors they wait."""
    folder = hugging_face(tmp_path / "hf")
    torch.save(W | {"epoch": 1}, folder / "pytorch_model.bin")
    torch.save({"args": 1}, folder / "training_args.bin")
    source = open_source(folder)
    np.testing.assert_array_equal(source.array("w"), W["w"].numpy())
    assert source.notes == ("pytorch_model.bin: left out: epoch",)
    assert len(source.companions) == 7
    torch_shards(folder)
    source = open_source(folder)
    for i, name in enumerate("ab"):
        np.testing.assert_array_equal(source.array(name), W["w"].numpy() + i)
    assert len(source.companions) == 7
    write(folder / "model.safetensors", tensors())
    source = open_source(folder)
    assert set(source.entries) == set(tensors())
    assert source.notes == (
        "left out: pytorch_model.bin.index.json, since model.safetensors is there too",
    )


def test_folders_without_weights(tmp_path: Path) -> None:
    """A folder without weights, or with several files and no index, says what was looked for."""
    line = refusal(hugging_face(tmp_path / "hf"))
    assert "found 0 .safetensors files" in line
    assert "pytorch_model.bin" in line
    for name in "ab":
        write(tmp_path / "hf" / f"{name}.safetensors", tensors())
    assert "found 2 .safetensors files" in refusal(tmp_path / "hf")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda homes: homes | {"ghost": homes["a"]}, "'ghost' is not where"),
        (lambda homes: {"a": homes["a"], "x": homes["b"]}, "'b' is not where"),
        (lambda homes: homes | {"w": "../pytorch_model.bin"}, "outside the folder"),
        (lambda homes: homes | {"w": "/etc/passwd"}, "outside the folder"),
        (lambda homes: homes | {"w": "a\0.bin"}, "outside the folder"),
        (lambda homes: homes | {"w": 3}, "not a valid index"),
        (lambda _: ["a"], "not a valid index"),
    ],
)
def test_lying_indexes(tmp_path: Path, change: Callable[[Any], Any], words: str) -> None:
    """An index must fit its shards and stay in its folder, for torch as for safetensors."""
    folder = tmp_path / "hf"
    folder.mkdir()
    homes = change(torch_shards(folder))
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": homes}))
    assert words in refusal(folder)
    index.write_text("[" * 100_000)
    assert "not a valid index" in refusal(folder)
    index.write_text(json.dumps({"weight_map": {"w": "none.bin"}}))
    with pytest.raises(FileNotFoundError, match=r"none\.bin"):
        open_source(folder)


def test_safetensors_shards_carry_files(tmp_path: Path) -> None:
    """The index of the shards is not carried along, since the shards are not."""
    folder = write_shards(tmp_path / "hf", tensors())
    (folder / "config.json").write_text("{}")
    assert [f.name for f in open_source(folder).companions] == ["config.json"]


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """Header of a NumPy file."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((10**12,)), "not as long as its header says"),
        (header((2**62, 2**62)), "not as long as its header says"),
        (header((-4,)) + bytes(16), "not as long as its header says"),
        (header((4,)) + bytes(15), "not as long as its header says"),
        (header((4,)) + bytes(17), "not as long as its header says"),
        (header((4,), "|O") + bytes(32), "has dtype object"),
        (header((4,), "<U9") + bytes(144), "has dtype"),
        (header((4,), "nonsense"), "cannot be read"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "cannot be read"),
        (b"\x93NUMPY\x09\x09", "cannot be read"),
        (b"", "cannot be read"),
        (b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000, "cannot be read"),
        (b"\x93NUMPY\x01\x00\x10\x27" + b"-" * 9_999 + b"1", "cannot be read"),
    ],
)
def test_lying_arrays(tmp_path: Path, content: bytes, words: str) -> None:
    """A header that asks for more than the member holds is refused before anything is allocated."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("w.npy", content)
    assert words in refusal(tmp_path / "a.npz")


def test_bombs_and_doubles(tmp_path: Path) -> None:
    """Members longer than deflate can make them, packed otherwise, encrypted, or twice there."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, w=np.zeros(4, "f4"))
    raw = path.read_bytes()
    place = raw.rindex(b"PK\x01\x02")
    changes = {
        "too many for": (24, struct.pack("<I", 2**31)),
        "outside the file": (20, struct.pack("<I", 2**31)),
        "is encrypted": (8, struct.pack("<H", 1)),
        "packed with method": (10, struct.pack("<H", 14)),
    }
    for words, (field, value) in changes.items():
        lying = bytearray(raw)
        lying[place + field : place + field + len(value)] = value
        path.write_bytes(lying)
        assert words in refusal(path)
    path.write_bytes(raw)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("w.npy", header((0,)))
    assert "stands twice" in refusal(path)


def test_other_members_are_told(tmp_path: Path) -> None:
    """Members that are no arrays are left out, and named."""
    np.savez(tmp_path / "a.npz", w=np.array(2.0), f=np.asfortranarray(np.ones((2, 3), ">f8")))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file:
        file.writestr("readme.txt", "hello")
    source = open_source(tmp_path / "a.npz")
    assert source.notes == ("left out: readme.txt",)
    assert source.array("w").shape == source.entries["w"].shape == ()
    assert source.array("f").flags.c_contiguous
    assert source.raw("f").tobytes() == np.ones(6).tobytes()


@pytest.mark.filterwarnings("ignore:Reading .npy:UserWarning")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_archives(tmp_path: Path, data: st.DataObject) -> None:
    """Flipped bytes and cut ends: the arrays that were saved, or one line."""
    path, x = tmp_path / "a.npz", np.arange(40.0)
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    save(path, w=x)
    raw = bytearray(path.read_bytes())
    places = st.integers(0, len(raw) - 1)
    for place, flip in data.draw(st.lists(st.tuples(places, st.integers(1, 255)), max_size=3)):
        raw[place] ^= flip
    path.write_bytes(raw[: len(raw) - data.draw(st.sampled_from([0, 0, 1, 50]))])
    try:
        source = NpzSource(path)
        found = [source.array(name) for name in source.entries]
    except FormatError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    for array in found:
        np.testing.assert_array_equal(array, x)

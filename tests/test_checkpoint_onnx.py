"""ONNX models: tensors out, tensors back in, and the model computes the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from solvq.checkpoint import FormatError
from solvq.checkpoint._container import NUMPY_DTYPES
from solvq.checkpoint.source import _onnx_model as _onnx
from solvq.checkpoint.source._onnx import OnnxSource
from solvq.checkpoint.source._onnx_model import write_onnx
from solvq.checkpoint.source._open import open_source

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, INT64, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL

RNG = np.random.default_rng(0)
WEIGHT, BIAS = RNG.standard_normal((8, 5)).astype("f4"), RNG.standard_normal(5).astype("f4")
SCALE, SHIFT = np.array(1.5, "f4"), RNG.standard_normal(5).astype("f4")


def constant(name: str, array: NDArray[Any]) -> Any:
    """Constant node of an array."""
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def branch(name: str, array: NDArray[Any], inner: str) -> Any:
    """Graph that adds an initialiser and a constant, whose names other branches have too."""
    out = helper.make_tensor_value_info(f"{name}_out", FLOAT, ["n", 5])
    nodes = [
        constant("c", array + 1),
        helper.make_node("Add", ["c", inner], ["s"]),
        helper.make_node("Add", ["hidden", "s"], [f"{name}_out"]),
    ]
    return helper.make_graph(nodes, name, [], [out], [numpy_helper.from_array(array, inner)])


def model(weight: NDArray[Any] = WEIGHT) -> Any:
    """Model with an initialiser, constants, subgraphs, a function, integers and text."""
    nodes = [
        constant("scale", SCALE),
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        constant("text", np.array(["a", "b"], object)),
        helper.make_node("Gemm", ["x", "weight", "bias"], ["g"]),
        helper.make_node("Mul", ["g", "scale"], ["scaled"]),
        helper.make_node("Shift", ["scaled"], ["hidden"], domain="own"),
        constant("yes", np.array(True)),
        helper.make_node(
            "If",
            ["yes"],
            ["y"],
            then_branch=branch("then", SHIFT, "w"),
            else_branch=branch("else", -SHIFT, "w"),
        ),
    ]
    function = helper.make_function(
        "own",
        "Shift",
        ["a"],
        ["b"],
        [constant("k", SHIFT * 2), helper.make_node("Add", ["a", "k"], ["b"])],
        [helper.make_opsetid("", 18)],
    )
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", FLOAT, ["n", 5])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(BIAS, "bias")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    result = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=9)
    helper.set_model_props(result, {"author": "somebody"})
    return result


def outputs(path: Path) -> NDArray[Any]:
    """What a model computes."""
    x = np.random.default_rng(1).standard_normal((3, 8)).astype("f4")
    (y,) = reference.ReferenceEvaluator(str(path)).run(None, {"x": x})
    return np.asarray(y)


def refusal(path: Path) -> str:
    """The one line with which a file is refused; it names the file."""
    with pytest.raises(FormatError) as caught:
        open_source(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The model in one file."""
    onnx.save(model(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_tensors_of_all_places(path: Path) -> None:
    """Initialisers, constants, subgraphs and functions give tensors of unique names."""
    source = open_source(path)
    expected = {
        "weight": WEIGHT,
        "bias": BIAS,
        "scale": SCALE,
        "yes": np.array(True),
        "y/then_branch/w": SHIFT,
        "y/then_branch/c": SHIFT + 1,
        "y/else_branch/w": -SHIFT,
        "y/else_branch/c": -SHIFT + 1,
        "own.Shift/k": SHIFT * 2,
    }
    assert set(source.entries) == set(expected)
    for name, x in expected.items():
        np.testing.assert_array_equal(source.array(name), x)
        assert source.entries[name].shape == x.shape
        assert NUMPY_DTYPES[source.entries[name].dtype] == source.array(name).dtype == x.dtype
        assert source.raw(name).tobytes() == x.tobytes()
    assert source.notes == ("left in the graph: text",)
    assert source.nbytes == path.stat().st_size


def test_tensors_go_back(path: Path, tmp_path: Path) -> None:
    """The skeleton holds no weights; with them it is a valid model that computes the same."""
    source, back = open_source(path), tmp_path / "back.onnx"
    assert source.skeleton is not None
    assert WEIGHT.tobytes() not in source.skeleton
    write_onnx(source.skeleton, source.array, back)
    onnx.checker.check_model(str(back), full_check=True)
    assert onnx.load(back) == onnx.load(path)
    np.testing.assert_array_equal(outputs(back), outputs(path))
    write_onnx(source.skeleton, lambda n: np.zeros_like(source.array(n)), back, force=True)
    assert not np.array_equal(outputs(back), outputs(path))


def test_lists_of_graphs_and_empty_tensors(tmp_path: Path) -> None:
    """A node with several graphs numbers them; a tensor without values has none."""
    node = helper.make_node("Many", [], ["out"], domain="own")
    graphs = [branch(f"b{i}", SHIFT + i, "w") for i in range(2)]
    node.attribute.append(helper.make_attribute("parts", graphs))
    empty = numpy_helper.from_array(np.empty((0, 3), "f4"), "empty")
    result = helper.make_model(helper.make_graph([node], "g", [], [], [empty]))
    onnx.save(result, tmp_path / "m.onnx")
    source = open_source(tmp_path / "m.onnx")
    assert source.array("empty").shape == (0, 3)
    for i in range(2):
        np.testing.assert_array_equal(source.array(f"out/parts.{i}/w"), SHIFT + i)


def test_large_models_get_a_second_file(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model beyond what one message can hold is written with its tensors beside it."""
    monkeypatch.setattr(_onnx, "LARGEST", 100)
    source, back = open_source(path), tmp_path / "back.onnx"
    assert source.skeleton is not None
    write_onnx(source.skeleton, source.array, back)
    assert (tmp_path / "back.onnx.data").is_file()
    onnx.checker.check_model(str(back))
    np.testing.assert_array_equal(outputs(back), outputs(path))
    again = open_source(back)
    assert list(again.entries) == list(source.entries)
    for name in source.entries:
        np.testing.assert_array_equal(again.array(name), source.array(name))
    back.unlink()
    with pytest.raises(FileExistsError, match=r"back\.onnx\.data"):
        write_onnx(source.skeleton, source.array, back)
    with pytest.raises(ValueError, match="array 'weight'"):
        write_onnx(source.skeleton, lambda _: BIAS, back, force=True)
    assert again.array("weight").tobytes() == WEIGHT.tobytes()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["back.onnx.data", "m.onnx"]


def test_arrays_that_do_not_fit(path: Path, tmp_path: Path) -> None:
    """Another shape or dtype is named, and no file is left."""
    source, back = open_source(path), tmp_path / "back.onnx"
    skeleton = source.skeleton
    assert skeleton is not None
    for change in (lambda x: x.astype("f8"), lambda x: x[..., None]):
        with pytest.raises(ValueError, match=r"array 'weight' is .*, the model needs float32"):
            write_onnx(skeleton, lambda name, change=change: change(source.array(name)), back)
    with pytest.raises(FileExistsError):
        write_onnx(skeleton, source.array, path)
    with pytest.raises(FormatError, match="not a valid ONNX model"):
        write_onnx(skeleton[:-3], source.array, back)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["m.onnx"]


def bare(*tensors: Any) -> Any:
    """Model of nothing but initialisers."""
    return helper.make_model(helper.make_graph([], "g", [], [], list(tensors)))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("number", _onnx.DTYPES, ids=_onnx.DTYPES.values())
def test_dtypes(tmp_path: Path, number: int, raw: bool) -> None:
    """Every dtype that safetensors can hold, as raw bytes and in typed fields."""
    dtype = NUMPY_DTYPES[_onnx.DTYPES[number]]
    x = np.array([[0, 1, 2], [4, 8, 16]]).astype(dtype)
    if dtype.kind in "if" or dtype == ml_dtypes.bfloat16:
        x[0, 1] = -1
    tensor = numpy_helper.from_array(x, "x")
    if not raw:
        values, field = x.ravel(), _onnx.FIELDS.get(_onnx.DTYPES[number], _onnx.NARROW)
        if field == _onnx.NARROW and dtype.kind not in "iu":
            values = values.view(f"u{dtype.itemsize}")
        elif dtype.kind == "c":
            values = values.view("f4")
        tensor.ClearField("raw_data")
        getattr(tensor, field).extend(values.tolist())
    assert numpy_helper.to_array(tensor).tobytes() == x.tobytes()
    onnx.save(bare(tensor), tmp_path / "m.onnx")
    source = open_source(tmp_path / "m.onnx")
    assert (source.array("x").dtype, source.array("x").shape) == (dtype, x.shape)
    assert source.raw("x").tobytes() == x.tobytes()


def external(folder: Path, **place: str) -> Path:
    """Model whose weight stands in another file, at a place that may be changed."""
    weight = numpy_helper.from_array(WEIGHT, "w")
    onnx.external_data_helper.set_external_data(weight, "w.data", offset=4)
    for entry in weight.external_data:
        entry.value = place.pop(entry.key, entry.value)
    for key, value in place.items():
        weight.external_data.add(key=key, value=value)
    weight.ClearField("raw_data")
    (folder / "w.data").write_bytes(b"skip" + WEIGHT.tobytes())
    (folder / "m.onnx").write_bytes(bare(weight).SerializeToString())
    return folder / "m.onnx"


def test_external_data(tmp_path: Path) -> None:
    """Values in a file of their own are mapped from there."""
    path = external(tmp_path)
    source = open_source(path)
    np.testing.assert_array_equal(source.array("w"), WEIGHT)
    assert source.nbytes == path.stat().st_size + WEIGHT.nbytes + 4
    np.testing.assert_array_equal(
        open_source(external(tmp_path, length=str(WEIGHT.nbytes))).array("w"), WEIGHT
    )


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"location": "../w.data"}, "outside"),
        ({"location": "sub/../../w.data"}, "outside"),
        ({"location": "link"}, "outside"),
        ({"location": "/etc/passwd"}, "cannot be"),
        ({"location": ""}, "cannot be"),
        ({"location": "w\0.data"}, "cannot be"),
        ({"location": "none.data"}, "missing"),
        ({"location": "."}, "missing"),
        ({"offset": "5"}, "does not hold"),
        ({"offset": "-4"}, "does not hold"),
        ({"offset": str(10**15)}, "does not hold"),
        ({"offset": "four"}, "unreadable"),
        ({"offset": "9" * 5000}, "unreadable"),
        ({"length": "159"}, "does not hold"),
        ({"length": str(10**15)}, "does not hold"),
    ],
    ids=str,
)
def test_external_data_that_lies(tmp_path: Path, place: dict[str, str], words: str) -> None:
    """No file outside the model's folder is read, and none beyond its end."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "w.data").write_bytes(bytes(200))
    (folder / "link").symlink_to(tmp_path / "w.data")
    assert words in refusal(external(folder, **place))


def test_lying_tensors(tmp_path: Path) -> None:
    """Shapes without values, values without shape, doubled names, segments."""
    path = tmp_path / "m.onnx"

    def tensor(**changes: Any) -> Any:
        result = numpy_helper.from_array(BIAS, "b")
        for field, value in changes.items():
            result.ClearField(field)
            getattr(result, field).extend(value)
        return result

    raw = tensor()
    raw.ClearField("raw_data")
    segment = tensor()
    segment.segment.begin = 1
    short = numpy_helper.from_array(np.array(["a"], object), "text")
    short.data_location = onnx.TensorProto.EXTERNAL
    cases = [
        ([tensor(dims=[10**12])], "asks for 4000000000000"),
        ([tensor(dims=[2**62, 2**62])], "its shape asks for"),
        ([tensor(dims=[-5])], "has the shape"),
        ([raw], "has 0 bytes"),
        ([tensor(), tensor()], "tensor 'b' stands twice"),
        ([segment], "segments"),
        ([short], "not read"),
    ]
    for tensors, words in cases:
        path.write_bytes(bare(*tensors).SerializeToString())
        assert words in refusal(path)


def test_foreign_files(tmp_path: Path) -> None:
    """What is no model: nothing, garbage, another format, a model cut short."""
    path = tmp_path / "m.onnx"
    whole = model().SerializeToString()
    for content in (b"", b"hello", b"\xff" * 50, whole[:-7], whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert "not a valid ONNX model" in refusal(path)
    np.savez(tmp_path / "a.npz", w=WEIGHT)
    (tmp_path / "a.npz").replace(path)
    assert "looks like a zip archive" in refusal(path)


def test_missing_package(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package there is one line that says how to get it."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="pip install onnx"):
        open_source(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files(tmp_path: Path, data: st.DataObject) -> None:
    """Flipped bytes and cut ends: tensors of the sizes promised, or one line."""
    raw = bytearray(model().SerializeToString())
    places = st.integers(0, len(raw) - 1)
    for place, flip in data.draw(st.lists(st.tuples(places, st.integers(1, 255)), max_size=3)):
        raw[place] ^= flip
    path = tmp_path / "m.onnx"
    path.write_bytes(raw[: len(raw) - data.draw(st.sampled_from([0, 0, 1, 50]))])
    try:
        source = OnnxSource(path)
    except FormatError:
        refusal(path)
        return
    for name, entry in source.entries.items():
        assert source.raw(name).nbytes == entry.nbytes

"""Tensors in an ONNX model: initialisers and constants, in subgraphs and functions too."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import ALIGN, NUMPY_DTYPES
from solvq.checkpoint.source._base import reason
from solvq.files import FormatError, check_target, replacing

ArrayOf = Callable[[str], NDArray[Any]]
DTYPES = {
    1: "F32",
    2: "U8",
    3: "I8",
    4: "U16",
    5: "I16",
    6: "I32",
    7: "I64",
    9: "BOOL",
    10: "F16",
    11: "F64",
    12: "U32",
    13: "U64",
    14: "C64",
    16: "BF16",
    17: "F8_E4M3",
    19: "F8_E5M2",
    24: "F8_E8M0",
}  # by TensorProto.DataType
FIELDS = {
    "F32": "float_data",
    "C64": "float_data",
    "F64": "double_data",
    "I64": "int64_data",
    "U32": "uint64_data",
    "U64": "uint64_data",
}  # where values stand that are not raw bytes; all others stand in NARROW
NARROW = "int32_data"
OTHER_FIELDS = ("raw_data", "external_data", "data_location")
GRAPH, GRAPHS, EXTERNAL = 5, 10, 1  # AttributeProto.AttributeType, TensorProto.DataLocation
LARGEST = 2**31 - 2**16  # bytes of a model; protobuf writes no message of 2 GiB


def parse_model(data: bytes, path: Path) -> Any:
    """Model of its bytes.

    Raises
    ------
    FormatError
        If it is no ONNX model.
    ImportError
        If the package `onnx` is not installed.
    """
    try:
        onnx = importlib.import_module("onnx")
        message = importlib.import_module("google.protobuf.message")
    except ModuleNotFoundError:
        raise ImportError(f"{path}: ONNX models need onnx: pip install onnx") from None
    try:
        model = onnx.ModelProto.FromString(data)
    except (message.DecodeError, RecursionError, ValueError) as error:
        raise FormatError(f"{path}: not a valid ONNX model ({reason(error)})") from None
    if model.ir_version < 1 or not model.HasField("graph"):
        raise FormatError(f"{path}: not a valid ONNX model (no version or no graph)")
    return model


def model_tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Tensors of a model, those of subgraphs and functions under ``scope/name``."""
    yield from _in_graph(model.graph, "")
    for function in model.functions:
        yield from _in_nodes(function.node, f"{_text(function.domain)}.{_text(function.name)}/")


def _text(name: str | bytes) -> str:
    """A name of a model, which protobuf gives as bytes if they are no text."""
    if isinstance(name, bytes):
        raise FormatError(f"it has a damaged name, {name[:100]!r}")
    return name


def _in_graph(graph: Any, scope: str) -> Iterator[tuple[str, Any]]:
    for tensor in graph.initializer:
        yield scope + _text(tensor.name), tensor
    yield from _in_nodes(graph.node, scope)


def _in_nodes(nodes: Iterable[Any], scope: str) -> Iterator[tuple[str, Any]]:
    for node in nodes:
        output = _text(node.output[0] if node.output else node.name)
        for attribute in node.attribute:
            inner = f"{scope}{output}/{_text(attribute.name)}"
            if node.op_type == "Constant" and attribute.HasField("t"):
                yield scope + output, attribute.t
            elif attribute.type == GRAPH:
                yield from _in_graph(attribute.g, f"{inner}/")
            elif attribute.type == GRAPHS:
                for i, graph in enumerate(attribute.graphs):
                    yield from _in_graph(graph, f"{inner}.{i}/")


def tensor_length(tensor: Any) -> int:
    """Bytes that the values of a tensor take."""
    nbytes = NUMPY_DTYPES[DTYPES[tensor.data_type]].itemsize
    for n in tensor.dims:
        if n < 0:
            raise FormatError(f"has the shape {tuple(tensor.dims)}")
        nbytes *= n
    return nbytes


def inner_values(tensor: Any) -> NDArray[np.uint8]:
    """Bytes of a tensor that the model itself holds, little-endian."""
    nbytes = tensor_length(tensor)
    dtype = NUMPY_DTYPES[DTYPES[tensor.data_type]]
    if tensor.HasField("raw_data"):
        raw = np.frombuffer(tensor.raw_data, np.uint8)
    elif DTYPES[tensor.data_type] in FIELDS:
        values = getattr(tensor, FIELDS[DTYPES[tensor.data_type]])
        raw = np.array(values, np.float32 if dtype.kind == "c" else dtype).view(np.uint8)
    else:  # floats of 16 and 8 bits stand there as their bits
        unit = dtype if dtype.kind in "iub" else np.dtype(f"u{dtype.itemsize}")
        raw = np.array(tensor.int32_data, np.int32).astype(unit).view(np.uint8)
    if raw.size != nbytes:
        raise FormatError(f"has {raw.size} bytes of values, its shape asks for {nbytes}")
    return raw


def outer_file(tensor: Any, folder: Path) -> tuple[Path, int]:
    """File inside the model's folder that holds a tensor, and its first byte there.

    Raises
    ------
    FormatError
        If the file lies outside the folder, is missing, or too short.
    """
    said = {_text(entry.key): _text(entry.value) for entry in tensor.external_data}
    location = said.get("location", "")
    if not location or "\0" in location or Path(location).is_absolute():
        raise FormatError(f"has its values in the file {location!r}, which cannot be")
    file = (folder / location).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise FormatError(f"has its values in {location!r}, outside the model's folder")
    if not file.is_file():
        raise FormatError(f"has its values in {location!r}, which is missing")
    nbytes = tensor_length(tensor)
    try:
        start, length = int(said.get("offset") or 0), int(said.get("length") or nbytes)
    except ValueError:
        raise FormatError(f"has an unreadable place in {location!r}") from None
    if length != nbytes or start < 0 or start + nbytes > file.stat().st_size:
        raise FormatError(f"has {nbytes} bytes by its shape, which {location!r} does not hold")
    return file, start


def without_values(tensor: Any) -> None:
    """Take the values out of a tensor; its name, dtype and shape stay."""
    for field in (*FIELDS.values(), NARROW, *OTHER_FIELDS):
        tensor.ClearField(field)


def write_onnx(skeleton: bytes, arrays: ArrayOf, path: Path, *, force: bool = False) -> None:
    """Put tensors back into a model without them, and write it, whole or not at all.

    Parameters
    ----------
    skeleton : bytes
        `Source.skeleton` of a source that was read from ONNX.
    arrays : callable
        Array of a name of that source's entries, of the same shape and dtype; called once each.
    path : Path
        File to write. A model that is too large for one file (2 GiB) gets its tensors into a
        second one beside it, ``path`` with ``.data`` behind.
    force : bool
        Whether to replace existing files.

    Raises
    ------
    ValueError
        If an array has another shape or dtype.
    FormatError
        If the skeleton is damaged.
    OSError
        If a file exists or cannot be written.
    """
    check_target(path, force)
    model = parse_model(skeleton, path)
    tensors = [(name, x) for name, x in model_tensors(model) if x.data_type in DTYPES]
    beside = path.with_name(f"{path.name}.data")
    if len(skeleton) + sum(tensor_length(x) for _, x in tensors) <= LARGEST:
        with replacing(path) as part:
            for name, tensor in tensors:
                tensor.raw_data = _checked(name, tensor, arrays(name)).tobytes()
            part.write_bytes(model.SerializeToString())
        return
    check_target(beside, force)
    with replacing(beside) as values, replacing(path) as part:
        with values.open("wb") as file:
            for name, tensor in tensors:
                _move_out(tensor, _checked(name, tensor, arrays(name)), file, beside.name)
        part.write_bytes(model.SerializeToString())


def _move_out(tensor: Any, values: NDArray[np.uint8], file: BinaryIO, location: str) -> None:
    """Append values to a file, and let their tensor say where they are."""
    file.write(bytes(-file.tell() % ALIGN))
    place = {"location": location, "offset": file.tell(), "length": values.size}
    file.write(values.data)
    tensor.data_location = EXTERNAL
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))


def _checked(name: str, tensor: Any, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes of an array that fits a tensor."""
    shape, dtype = tuple(tensor.dims), NUMPY_DTYPES[DTYPES[tensor.data_type]]
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"array {name!r} is {array.dtype} {array.shape}, the model needs {dtype} {shape}"
        )
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)

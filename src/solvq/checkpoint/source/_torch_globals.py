"""The only names that a pickle of torch may use, and what they stand for here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solvq.checkpoint.source._torch_tensors import (
    DTYPES,
    STORAGES,
    Global,
    Storage,
    Tensor,
    make_tensor,
)
from solvq.files import FormatError


class Inert:
    """In place of an object that is no tensor and no plain value; it does nothing."""


def _key(key: Any) -> Any:
    """Key of a dictionary: a plain value, or an object of its own in place of any other."""
    return key if isinstance(key, (str, int, float, bytes)) or key is None else Inert()


def fill(target: dict[Any, Any], pairs: Any) -> None:
    """Put pairs into a dictionary."""
    for key, value in pairs:
        target[_key(key)] = value


def _dict(pairs: Any = None) -> dict[Any, Any]:
    """Dictionary of a list of pairs, which is used up: no file can have it copied many times."""
    result: dict[Any, Any] = {}
    if isinstance(pairs, list):
        fill(result, pairs)
        pairs.clear()
    elif pairs is not None:
        raise FormatError("an ordered dictionary in its pickle is damaged")
    return result


def _size(sizes: Any = ()) -> tuple[Any, ...]:
    if type(sizes) is not tuple:
        raise FormatError("a size in its pickle is damaged")
    return sizes


def _plain(flags: Any) -> None:
    """Refuse tensors whose values are not the bytes that are stored."""
    if isinstance(flags, dict) and (flags.get("conj") or flags.get("neg")):
        raise FormatError("a tensor is a conjugate or negated view; save it after clone()")


def _tensor_v1(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise FormatError("a tensor in its pickle is damaged")
    return make_tensor(storage, storage.dtype, offset, shape, strides)


def _tensor_v2(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    _gradient: Any = None,
    _hooks: Any = None,
    flags: Any = None,
) -> Tensor:
    _plain(flags)
    return _tensor_v1(storage, offset, shape, strides)


def _tensor_v3(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Tensor:
    _gradient, _hooks, dtype, *flags = more
    _plain(flags[0] if flags else None)
    name = dtype.name if isinstance(dtype, Global) else "an unknown dtype"
    if name not in DTYPES:
        raise FormatError(f"tensors of {name} are not read; convert them")
    return make_tensor(storage, DTYPES[name], offset, shape, strides)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise FormatError("a parameter in its pickle is damaged")
    return data


def _typed(function: Any, _kind: Any, args: Any, _state: Any) -> Any:
    """Tensor with attributes of its own, which are left out."""
    return call(function, args)


CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dict,
    "collections.defaultdict": lambda *_: {},
    "torch.Size": _size,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_tensor": _tensor_v1,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
}
INERT = frozenset(
    [f"{home}.{name}" for home in ("builtins", "__builtin__") for name in (
        "bool", "bytearray", "complex", "dict", "float", "frozenset", "int", "list", "long",
        "object", "set", "slice", "str", "tuple",
    )]
    + [f"{home}.multiarray.{name}" for home in ("numpy.core", "numpy._core") for name in (
        "_reconstruct", "scalar",
    )]
    + [f"torch.{name}" for name in (
        "complex128", "complex32", "float8_e4m3fnuz", "float8_e5m2fnuz", "float4_e2m1fn_x2",
        "Tensor", "device", "contiguous_format", "channels_last", "preserve_format", "strided",
    )]
    + [
        "_codecs.encode", "argparse.Namespace", "collections.Counter", "collections.deque",
        "datetime.date", "datetime.datetime", "datetime.timedelta", "decimal.Decimal",
        "numpy.dtype", "numpy.ndarray", "pathlib.Path", "pathlib.PosixPath",
        "pathlib.PurePosixPath", "pathlib.WindowsPath", "torch.nn.parameter.Buffer",
        "torch.nn.parameter.Parameter", "torch.serialization._get_layout", "types.SimpleNamespace",
    ]
)  # fmt: skip
REMEDIES = {
    "torch._utils._rebuild_qtensor": "quantized tensors are not read; dequantize() them",
    "torch._utils._rebuild_sparse_tensor": "sparse tensors are not read; save to_dense()",
    "torch._utils._rebuild_meta_tensor_no_storage": "tensors on the meta device hold no values",
    "torch.ComplexDoubleStorage": "tensors of complex128 are not read; convert them",
}


def find(name: str) -> Global:
    """Name that a pickle asks for, if it is one of the allowed."""
    if name in CALLS or name in INERT or name in STORAGES or name in DTYPES:
        return Global(name)
    remedy = REMEDIES.get(
        name,
        "only tensors in plain containers are read, and nothing is run; "
        "save model.state_dict(), not the model",
    )
    raise FormatError(f"its pickle asks for {name[:100]!r}, which is refused: {remedy}")


def call(function: Any, args: Any) -> Any:
    """What an allowed name makes of its arguments."""
    if not isinstance(function, Global) or type(args) is not tuple:
        raise FormatError("its pickle calls what is no function")
    if function.name in CALLS:
        return CALLS[function.name](*args)
    return Inert()

"""Tensors as torch's pickles describe them: a storage, and where in it the values stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from solvq.checkpoint._container import NUMPY_DTYPES
from solvq.files import FormatError

MOST_DIMENSIONS = 64  # NumPy's limit
DTYPES = {
    "torch.bfloat16": "BF16",
    "torch.bool": "BOOL",
    "torch.complex64": "C64",
    "torch.float16": "F16",
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.float8_e8m0fnu": "F8_E8M0",
    "torch.int8": "I8",
    "torch.int16": "I16",
    "torch.int32": "I32",
    "torch.int64": "I64",
    "torch.uint8": "U8",
    "torch.uint16": "U16",
    "torch.uint32": "U32",
    "torch.uint64": "U64",
}
STORAGES = {
    "torch.BFloat16Storage": "BF16",
    "torch.BoolStorage": "BOOL",
    "torch.ByteStorage": "U8",
    "torch.CharStorage": "I8",
    "torch.ComplexFloatStorage": "C64",
    "torch.DoubleStorage": "F64",
    "torch.FloatStorage": "F32",
    "torch.HalfStorage": "F16",
    "torch.IntStorage": "I32",
    "torch.LongStorage": "I64",
    "torch.ShortStorage": "I16",
    "torch.UntypedStorage": "U8",
    "torch.storage.UntypedStorage": "U8",
}


class Global(NamedTuple):
    """A name that a pickle uses; nothing is ever imported for it."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A stretch of a record of bytes, all lengths in bytes."""

    key: str
    dtype: str
    start: int
    nbytes: int
    record: int  # bytes the whole record must have


@dataclass(frozen=True)
class Tensor:
    """Values in a storage: the first one's byte, and strides in values."""

    storage: Storage
    dtype: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return NUMPY_DTYPES[self.dtype].itemsize

    @property
    def extent(self) -> int:
        """Bytes from the first value to the end of the last one."""
        if 0 in self.shape:
            return 0
        steps = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        return (steps + 1) * self.itemsize


def _naturals(*values: Any) -> bool:
    """Whether all are integers of at least 0 that a file can need."""
    return all(type(value) is int and 0 <= value < 2**63 for value in values)


def make_storage(identity: Any) -> Storage:
    """Storage of a persistent identity: ``('storage', class, key, device, length, view)``."""
    if not (type(identity) is tuple and len(identity) in (5, 6) and identity[0] == "storage"):
        raise FormatError("a reference in its pickle is none to a storage")
    kind, key, _, length = identity[1:5]
    dtype = STORAGES.get(kind.name) if isinstance(kind, Global) else None
    if dtype is None or type(key) is not str or not _naturals(length):
        raise FormatError("a storage in its pickle is damaged")
    itemsize = NUMPY_DTYPES[dtype].itemsize
    record = length * itemsize
    view = identity[5] if len(identity) == 6 else None
    if view is None:
        return Storage(key, dtype, 0, record, record)
    if not (type(view) is tuple and len(view) == 3 and _naturals(*view[1:])):
        raise FormatError("a view of a storage in its pickle is damaged")
    start, nbytes = view[1] * itemsize, view[2] * itemsize
    if start + nbytes > record:
        raise FormatError("a view of a storage in its pickle reaches beyond it")
    return Storage(key, dtype, start, nbytes, record)


def make_tensor(storage: Any, dtype: str, offset: Any, shape: Any, strides: Any) -> Tensor:
    """Tensor whose values all lie in its storage."""
    if not (isinstance(storage, Storage) and type(shape) is type(strides) is tuple):
        raise FormatError("a tensor in its pickle is damaged")
    if len(shape) > MOST_DIMENSIONS:
        raise FormatError(f"a tensor has {len(shape)} dimensions, at most {MOST_DIMENSIONS} can be")
    if not (len(shape) == len(strides) and _naturals(offset, *shape, *strides)):
        raise FormatError("a tensor in its pickle is damaged")
    tensor = Tensor(storage, dtype, offset * NUMPY_DTYPES[dtype].itemsize, shape, strides)
    if tensor.extent and tensor.start + tensor.extent > storage.nbytes:
        raise FormatError(f"a tensor of shape {shape} reaches beyond its storage")
    return tensor

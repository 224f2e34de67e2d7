"""Safetensors files, read through a memory map and written as a stream.

The `safetensors` library checks every file that is read. Its writer wants all tensors in memory
at once; the one here takes them one by one, into a space behind a header of reserved length
(the format allows trailing blanks in it), under a temporary name beside the final one.
"""

from __future__ import annotations

import json
import mmap
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from solvq.files import FormatError

ALIGN = 8  # bytes: tensors of a multiple of it are written first, so all stay aligned
NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "C64": np.dtype(np.complex64),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}
NAMES = {dtype: name for name, dtype in NUMPY_DTYPES.items()}


class Entry(NamedTuple):
    """A tensor in a file: dtype in the names of safetensors, shape, and bytes it takes."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON object whose keys must differ."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise FormatError("a name stands twice in the header")
    return result


class SafetensorsReader:
    """Tensors of one safetensors file, mapped, not loaded.

    Raises
    ------
    FormatError
        If the file is not a valid safetensors file.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise FormatError(f"{path}: is a folder; give a .safetensors file")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            with safe_open(str(path), framework="numpy") as checked:
                names = set(checked.keys())
            header, start = self._header()
        except (SafetensorError, UnicodeDecodeError, json.JSONDecodeError, FormatError) as error:
            raise FormatError(f"{path}: not a valid safetensors file ({error})") from None
        self.metadata: dict[str, str] = header.pop("__metadata__", None) or {}
        if set(header) != names:
            raise FormatError(f"{path}: not a valid safetensors file (names differ)")
        self._offsets = {name: tuple(info["data_offsets"]) for name, info in header.items()}
        self.entries = {
            name: Entry(info["dtype"], tuple(info["shape"]), b - a)
            for (name, info), (a, b) in zip(header.items(), self._offsets.values(), strict=True)
        }
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._start = start
        self._bytes: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)[start:]

    def _header(self) -> tuple[dict[str, Any], int]:
        """Parsed header and where the data begins; the library has checked both."""
        with self.path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_unique)
        return header, 8 + length

    def raw(self, name: str) -> NDArray[np.uint8]:
        """Bytes of a tensor."""
        start, stop = self._offsets[name]
        return self._bytes[start:stop]

    def release(self, name: str) -> None:
        """Let the system forget what it has read of a tensor, until that is read again."""
        start, stop = (self._start + end for end in self._offsets[name])
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = stop // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, first, length)

    def array(self, name: str) -> NDArray[Any]:
        """Tensor as a read-only array, mapped where alignment allows."""
        entry, raw = self.entries[name], self.raw(name)
        if entry.dtype not in NUMPY_DTYPES:
            raise FormatError(
                f"{self.path}: tensor {name!r} has dtype {entry.dtype}, unknown to NumPy"
            )
        dtype = NUMPY_DTYPES[entry.dtype]
        if raw.size and raw.ctypes.data % dtype.alignment:
            raw = raw.copy()
        return np.asarray(raw).view(dtype).reshape(entry.shape)


def late(entry: Entry) -> bool:
    """Whether a tensor would leave what follows it in a stream unaligned."""
    return entry.nbytes % ALIGN != 0


def by_alignment(entry: Entry) -> int:
    """Sort key under which tensors that are `late` stay aligned among themselves."""
    return -(entry.nbytes // max(1, entry.size))


def header_text(entries: dict[str, dict[str, Any]], metadata: dict[str, str]) -> bytes:
    """Header of a safetensors file, without its length and filling."""
    header = {"__metadata__": metadata} | entries if metadata else entries
    return json.dumps(header, separators=(",", ":")).encode()


def header_size(
    entries: Iterable[tuple[str, tuple[str, tuple[int, ...]]]],
    metadata: dict[str, str],
    nbytes: int,
) -> int:
    """Most bytes that the header of such entries (name, dtype, shape) takes in a file.

    The tensors are not more than ``nbytes`` together.
    """
    longest = [nbytes, nbytes]
    full = {
        name: {"dtype": dtype, "shape": list(shape), "data_offsets": longest}
        for name, (dtype, shape) in entries
    }
    return -(-len(header_text(full, metadata)) // ALIGN) * ALIGN


class SafetensorsWriter:
    """Stream of tensors into a safetensors file that appears whole or not at all.

    A context manager: the file takes its name when the block ends without an error and
    `finish` has been called.

    Parameters
    ----------
    path : Path
        File to write; an existing one is replaced at the end.
    reserve : int
        Bytes to leave for the header.
    """

    def __init__(self, path: Path, reserve: int) -> None:
        self.path = path
        self._reserve = -(-reserve // ALIGN) * ALIGN
        self._entries: dict[str, dict[str, Any]] = {}
        self._position = 0
        self._header: bytes | None = None
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with self._naming_target():
            self._file = self._part.open("wb")
            self._file.seek(8 + self._reserve)

    @contextmanager
    def _naming_target(self) -> Iterator[None]:
        """Let errors of the system name the file that was wanted."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def add(self, name: str, dtype: str, shape: Iterable[int], data: NDArray[Any]) -> int:
        """Append a tensor; returns its checksum."""
        if name in self._entries:
            raise FormatError(f"{self.path}: two tensors would be named {name!r}")
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        with self._naming_target():
            self._file.write(raw.data)
        offsets = [self._position, self._position + raw.size]
        self._entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        self._position += raw.size
        return zlib.crc32(raw.data)

    @property
    def nbytes(self) -> int:
        """Size of the file so far, the header included."""
        return 8 + self._reserve + self._position

    def finish(self, metadata: dict[str, str]) -> None:
        """Write the header; the file is complete."""
        text = header_text(self._entries, metadata)
        if len(text) > self._reserve:
            raise RuntimeError(f"header of {len(text)} bytes in {self._reserve} reserved")
        with self._naming_target():
            self._file.seek(0)
            self._file.write(self._reserve.to_bytes(8, "little") + text.ljust(self._reserve))
            self._file.flush()
            os.fsync(self._file.fileno())
        self._header = text

    def __enter__(self) -> SafetensorsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the finished file its name, or remove what was written."""
        try:
            with self._naming_target():
                self._file.close()
                if kind is None and self._header is not None:
                    self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)

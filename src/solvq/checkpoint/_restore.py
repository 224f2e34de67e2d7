"""A compressed checkpoint as ordinary tensors again."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq import rans
from solvq.checkpoint._carry import weights_file
from solvq.checkpoint._container import (
    NUMPY_DTYPES,
    SafetensorsReader,
)
from solvq.checkpoint._lossless import unpack_lossless
from solvq.checkpoint._pack import index_width, unpack
from solvq.checkpoint._report import Report
from solvq.checkpoint._schema import KEY, MANIFEST, SKELETON, check_version, read_manifest
from solvq.checkpoint._scheme import Scheme, Stored
from solvq.files import FormatError


class Compressed:
    """An opened compressed checkpoint; tensors are restored one at a time.

    Raises
    ------
    FormatError
        If the file was not written by `compress`, is damaged, or of an unknown version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path = weights_file(path)
        self._reader = SafetensorsReader(path)
        check_version(path, self._reader.metadata)
        if MANIFEST not in self._reader.entries:
            raise FormatError(f"{path}: has lost its description {MANIFEST!r}")
        packed = np.asarray(self._reader.raw(MANIFEST))
        entries = self._reader.entries
        self.manifest = read_manifest(path, self._reader.metadata, packed, entries)
        self.metadata = {k: v for k, v in self._reader.metadata.items() if k != KEY}
        expected: Stored = {}
        for name, description in self.manifest.tensors.items():
            stored = description.stored(name)
            if len(description.crc32) != len(stored):
                raise FormatError(f"{path}: checksums of {name!r} are missing")
            expected |= stored
        if self.manifest.skeleton is not None:
            expected[SKELETON] = ("U8", (self.manifest.skeleton[0],))
        found = {name: e[:2] for name, e in entries.items() if name != MANIFEST}
        if expected != found:
            odd = sorted({k for k in expected | found if expected.get(k) != found.get(k)})
            raise FormatError(f"{path}: entries do not fit the description {odd[:1]}")

    @property
    def skeleton(self) -> bytes:
        """The model that the tensors belong to, without them.

        Raises
        ------
        FormatError
            If the original was no such model, or the bytes are damaged.
        """
        if self.manifest.skeleton is None:
            raise FormatError(f"{self.path}: was not made from an ONNX model; give .safetensors")
        raw = self._reader.raw(SKELETON).tobytes()
        if zlib.crc32(raw) != self.manifest.skeleton[1]:
            raise FormatError(f"{self.path}: entry {SKELETON!r} is damaged (checksum differs)")
        return raw

    def _parts(self, name: str) -> list[NDArray[Any]]:
        """Stored parts of a tensor, checked, each in its dtype."""
        found, parts = self.manifest.tensors[name], []
        for (entry, (dtype, _)), crc in zip(found.stored(name).items(), found.crc32, strict=True):
            raw = np.ascontiguousarray(self._reader.raw(entry))
            if zlib.crc32(raw.data) != crc:
                raise FormatError(f"{self.path}: entry {entry!r} is damaged (checksum differs)")
            if dtype in NUMPY_DTYPES and raw.ctypes.data % NUMPY_DTYPES[dtype].alignment:
                raw = raw.copy()
            parts.append(raw.view(NUMPY_DTYPES[dtype]) if dtype in NUMPY_DTYPES else raw)
        return parts

    def _restored(self, name: str, scheme: Scheme, parts: list[NDArray[Any]]) -> NDArray[Any]:
        """Weights of a compressed tensor, flat."""
        found = self.manifest.tensors[name]
        if scheme.coded is None:
            indices = unpack(parts[-1], index_width(scheme.n_values), found.size)
        else:
            indices = rans.decode(parts[-1], found.size)
        if indices.size and int(indices.max()) >= scheme.n_values:
            raise ValueError("an index lies outside its table")
        tables = parts[0][: scheme.tables.blocks * scheme.n_values].reshape(-1, scheme.n_values)
        scales = parts[1] if scheme.scales is not None else np.empty(0)
        return scheme.restore(tables, scales, indices, found.dtype)

    def scales(self, name: str) -> NDArray[Any]:
        """Stored scales of a compressed tensor, with what fills them up; empty if it has none."""
        scheme = self.manifest.tensors[name].scheme
        return np.empty(0) if scheme is None or scheme.scales is None else self._parts(name)[1]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """Bytes of a restored tensor."""
        found, parts = self.manifest.tensors[name], self._parts(name)
        try:
            if found.scheme is not None:
                return self._restored(name, found.scheme, parts).view(np.uint8)
            if found.coded is not None:
                return unpack_lossless(parts[0], found.nbytes, NUMPY_DTYPES[found.dtype].itemsize)
        except ValueError as error:
            raise FormatError(f"{self.path}: tensor {name!r} is damaged ({error})") from None
        return parts[0].reshape(-1).view(np.uint8)

    def array(self, name: str) -> NDArray[Any]:
        """Restored tensor."""
        found = self.manifest.tensors[name]
        if found.dtype not in NUMPY_DTYPES:
            raise FormatError(
                f"{self.path}: tensor {name!r} has dtype {found.dtype}, unknown to NumPy"
            )
        return self.raw(name).view(NUMPY_DTYPES[found.dtype]).reshape(found.shape).copy()

    def report(self) -> Report:
        """What the file says became of each tensor."""
        entries, tensors = self._reader.entries, []
        for name, found in self.manifest.tensors.items():
            after = sum(entries[key].nbytes for key in found.stored(name))
            tensors.append(found.report(name, after))
        about = self.manifest
        return Report(
            tuple(tensors),
            about.nbytes_before,
            self.path.stat().st_size,
            0.0,
            about.settings,
            about.plan,
            about.notes,
        )


def load(src: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Restored tensors of a compressed checkpoint, by name.

    Raises
    ------
    FormatError
        If ``src`` was not written by `compress` or is damaged.
    """
    source = Compressed(Path(src))
    return {name: source.array(name) for name in source.manifest.tensors}

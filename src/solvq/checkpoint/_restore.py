"""A compressed checkpoint as ordinary tensors again."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq import rans
from solvq.checkpoint._container import (
    NUMPY_DTYPES,
    Entry,
    SafetensorsReader,
    SafetensorsWriter,
    by_alignment,
    header_size,
    late,
)
from solvq.checkpoint._lossless import unpack_lossless
from solvq.checkpoint._pack import index_width, unpack
from solvq.checkpoint._report import Report
from solvq.checkpoint._schema import KEY, MANIFEST, check_version, read_manifest
from solvq.checkpoint._scheme import Scheme, Stored
from solvq.files import FormatError, check_target


class Compressed:
    """An opened compressed checkpoint; tensors are restored one at a time.

    Raises
    ------
    FormatError
        If the file was not written by `compress`, is damaged, or of an unknown version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = SafetensorsReader(path)
        check_version(path, self._reader.metadata)
        if MANIFEST not in self._reader.entries:
            raise FormatError(f"{path}: has lost its description {MANIFEST!r}")
        packed = np.asarray(self._reader.raw(MANIFEST))
        self.manifest = read_manifest(path, self._reader.metadata, packed)
        self.metadata = {k: v for k, v in self._reader.metadata.items() if k != KEY}
        expected: Stored = {}
        for name, description in self.manifest.tensors.items():
            stored = description.stored(name)
            if len(description.crc32) != len(stored):
                raise FormatError(f"{path}: checksums of {name!r} are missing")
            expected |= stored
        found = {name: e[:2] for name, e in self._reader.entries.items() if name != MANIFEST}
        if expected != found:
            odd = sorted({k for k in expected | found if expected.get(k) != found.get(k)})
            raise FormatError(f"{path}: entries do not fit the description {odd[:1]}")

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
                return unpack_lossless(parts[0], found.nbytes, NUMPY_DTYPES[found.dtype])
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
        manifest, size = self.manifest, self.path.stat().st_size
        sizes = manifest.nbytes_before, size
        return Report(tuple(tensors), *sizes, manifest.seconds, manifest.settings, manifest.plan)


def decompress(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Write a compressed checkpoint back as an ordinary safetensors file.

    Names, shapes, dtypes and metadata are those of the original; kept tensors are bit for bit
    the same.

    Parameters
    ----------
    src : path
        File that `compress` wrote.
    dst : path
        Output; it appears whole or not at all.
    force : bool, default False
        Replace an existing output.
    progress : callable, optional
        Called with a tensor's name, the bytes done and the bytes in total.

    Returns
    -------
    Report
        What the file says became of each tensor; the seconds are those of this call.

    Raises
    ------
    FormatError
        If ``src`` was not written by `compress` or is damaged.
    FileExistsError
        If ``dst`` exists and ``force`` is not set.
    """
    started = time.perf_counter()
    source, target = Compressed(Path(src)), Path(dst)
    check_target(target, force)
    report, tensors = source.report(), source.manifest.tensors
    sizes = {t.name: Entry(t.dtype, t.shape, t.nbytes_before) for t in report.tensors}
    names = sorted(sizes, key=lambda n: (late(sizes[n]), late(sizes[n]) and by_alignment(sizes[n])))
    stored = {name: (entry.dtype, entry.shape) for name, entry in sizes.items()}
    done, total = 0, sum(entry.nbytes for entry in sizes.values())
    header = header_size(stored.items(), source.metadata, total)
    with SafetensorsWriter(target, header) as writer:
        for name in names:
            writer.add(name, tensors[name].dtype, tensors[name].shape, source.raw(name))
            done += sizes[name].nbytes
            if progress is not None:
                progress(name, done, total)
        writer.finish(source.metadata)
    return replace(report, seconds=time.perf_counter() - started)


def load(src: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Restored tensors of a compressed checkpoint, by name.

    Raises
    ------
    FormatError
        If ``src`` was not written by `compress` or is damaged.
    """
    source = Compressed(Path(src))
    return {name: source.array(name) for name in source.manifest.tensors}

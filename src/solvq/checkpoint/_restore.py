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

from solvq.checkpoint._container import (
    NUMPY_DTYPES,
    Entry,
    SafetensorsReader,
    SafetensorsWriter,
    by_alignment,
    header_size,
    late,
)
from solvq.checkpoint._pack import gather, index_width, unpack
from solvq.checkpoint._report import Report
from solvq.checkpoint._schema import CHECK, KEY, read_manifest
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
        self.manifest = read_manifest(path, self._reader.metadata)
        self.metadata = {k: v for k, v in self._reader.metadata.items() if k not in (KEY, CHECK)}
        expected: dict[str, tuple[str, tuple[int, ...]]] = {}
        for name, description in self.manifest.tensors.items():
            expected |= description.stored(name)
        found = {name: entry[:2] for name, entry in self._reader.entries.items()}
        if expected != found or set(found) != set(self.manifest.crc32):
            odd = sorted({k for k in expected | found if expected.get(k) != found.get(k)})
            raise FormatError(f"{path}: entries do not fit the description {odd[:1]}")

    def _raw(self, entry: str) -> NDArray[np.uint8]:
        """Bytes of an entry, checked."""
        raw = self._reader.raw(entry)
        if zlib.crc32(np.ascontiguousarray(raw).data) != self.manifest.crc32[entry]:
            raise FormatError(f"{self.path}: entry {entry!r} is damaged (checksum differs)")
        return raw

    def raw(self, name: str) -> NDArray[np.uint8]:
        """Bytes of a restored tensor."""
        found = self.manifest.tensors[name]
        if found.layout is None or found.n_values is None:
            return self._raw(name)
        word = np.dtype(f"u{NUMPY_DTYPES[found.dtype].itemsize}")
        tables = np.frombuffer(self._raw(f"{name}:codebook").tobytes(), word)
        used = found.layout.n_tables * found.n_values
        packed = self._raw(f"{name}:indices")
        indices = unpack(packed, index_width(found.n_values), found.size)
        if indices.size and int(indices.max()) >= found.n_values:
            raise FormatError(f"{self.path}: an index of {name!r} lies outside its table")
        out = np.empty(indices.size, word)
        gather(tables[:used].reshape(-1, found.n_values), indices, found.layout.length, out)
        return out.view(np.uint8)

    def array(self, name: str) -> NDArray[Any]:
        """Restored tensor."""
        found = self.manifest.tensors[name]
        if found.dtype not in NUMPY_DTYPES:
            raise FormatError(
                f"{self.path}: tensor {name!r} has dtype {found.dtype}, unknown to NumPy"
            )
        raw = self.raw(name)
        return np.frombuffer(raw.tobytes(), NUMPY_DTYPES[found.dtype]).reshape(found.shape).copy()

    def report(self) -> Report:
        """What the file says became of each tensor."""
        entries, tensors = self._reader.entries, []
        for name, found in self.manifest.tensors.items():
            after = sum(entries[key].nbytes for key in found.stored(name))
            tensors.append(found.report(name, after))
        manifest, size = self.manifest, self.path.stat().st_size
        return Report(
            tuple(tensors), manifest.nbytes_before, size, manifest.seconds, manifest.settings
        )


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
    with SafetensorsWriter(target, header_size(stored, source.metadata)) as writer:
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

"""A NumPy ``.npz`` archive as a source."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NAMES, Entry
from solvq.checkpoint.source._archive import DAMAGE, open_archive
from solvq.checkpoint.source._base import Source, listed, reason
from solvq.files import FormatError


class NpzSource(Source):
    """Arrays of a NumPy ``.npz`` archive; pickled objects are refused."""

    def __init__(self, path: Path) -> None:
        self.path, self.metadata = path, {}
        self.nbytes = path.stat().st_size
        self._archive, members = open_archive(path)
        arrays = {name: m for name, m in members.items() if name.endswith(".npy")}
        self._members = {name.removesuffix(".npy"): m for name, m in arrays.items()}
        if members and not arrays:
            raise FormatError(f"{path}: not a valid .npz archive (no .npy file in it)")
        other = [name for name in members if name not in arrays]
        self.notes = (f"left out: {listed(other)}",) if other else ()
        self.entries = {name: self._entry(name, member) for name, member in self._members.items()}

    def _entry(self, name: str, member: zipfile.ZipInfo) -> Entry:
        """Shape and dtype of a member, checked against its length."""
        try:
            with self._archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_2_0
                if version == (1, 0):
                    read = np.lib.format.read_array_header_1_0
                shape, _, dtype = read(file)
                start = file.tell()
        except (*DAMAGE, MemoryError) as error:  # Python's parser raises both
            raise FormatError(
                f"{self.path}: array {name!r} cannot be read ({reason(error)})"
            ) from None
        native = dtype.newbyteorder("=")
        if native not in NAMES:
            raise FormatError(
                f"{self.path}: array {name!r} has dtype {dtype}, which safetensors cannot hold; "
                "leave it out or convert it"
            )
        nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if min(shape, default=0) < 0 or start + nbytes != member.file_size:
            raise FormatError(f"{self.path}: array {name!r} is not as long as its header says")
        return Entry(NAMES[native], tuple(shape), nbytes)

    def array(self, name: str) -> NDArray[Any]:
        try:
            with self._archive.open(self._members[name]) as file:
                array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
                file.read(1)  # at the end the archive compares its checksum
        except DAMAGE as error:
            raise FormatError(
                f"{self.path}: array {name!r} cannot be read ({reason(error)})"
            ) from None
        return np.asarray(array, array.dtype.newbyteorder("="), order="C")

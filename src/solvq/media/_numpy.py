"""NumPy's own files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from solvq.files import FormatError
from solvq.media._base import Medium, choose, kind_of

DAMAGE = (ValueError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError, KeyError)


class ArrayFile(Medium):
    """One array in an ``.npy`` file."""

    TARGETS: ClassVar[tuple[str, ...]] = (".npy",)

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.kept = path, {}
        if columns:
            raise FormatError(f"{path}: holds one array; leave out --column (columns=)")
        try:
            array = np.load(path, allow_pickle=False)
        except DAMAGE as error:
            raise FormatError(f"{path}: not a valid .npy file ({error})") from None
        if not isinstance(array, np.ndarray):
            raise FormatError(f"{path}: not a valid .npy file (an archive); name it .npz")
        self.parts = {"": array}

    def write(self, path: Path, decoded: Mapping[str, NDArray[Any]]) -> None:
        with path.open("wb") as file:
            np.save(file, decoded[""].astype(self.parts[""].dtype, copy=False))


class ArchiveFile(Medium):
    """Named arrays in an ``.npz`` file; those that are not quantized are kept."""

    TARGETS: ClassVar[tuple[str, ...]] = (".npz",)

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as archive:
                self._arrays = {name: archive[name] for name in archive.files}
            with zipfile.ZipFile(path) as members:
                self._packed = any(m.compress_type != zipfile.ZIP_STORED for m in members.filelist)
        except (*DAMAGE, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: not a valid .npz archive ({error})") from None
        found = {name: kind_of(array.dtype) for name, array in self._arrays.items()}
        chosen = choose(self, found, columns)
        self.parts = {name: self._arrays[name] for name in chosen}
        self.kept = {name: found[name] or "not asked for" for name in found if name not in chosen}

    def write(self, path: Path, decoded: Mapping[str, NDArray[Any]]) -> None:
        arrays = dict(self._arrays)
        for name, array in decoded.items():
            arrays[name] = array.astype(arrays[name].dtype, copy=False)
        with zipfile.ZipFile(
            path, "w", zipfile.ZIP_DEFLATED if self._packed else zipfile.ZIP_STORED
        ) as archive:
            for name, array in arrays.items():  # np.savez takes no array that is named "file"
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

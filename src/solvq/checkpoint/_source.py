"""Checkpoints that can be read: safetensors files, sharded folders, NumPy archives."""

from __future__ import annotations

import json
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NAMES, Entry, SafetensorsReader
from solvq.files import FormatError

INDEX = "model.safetensors.index.json"


class Source(ABC):
    """Named tensors that are read one at a time.

    Attributes
    ----------
    path : Path
        What was opened.
    entries : dict of str to Entry
        Tensors in the order of the file.
    metadata : dict of str to str
        Free text that the file carries.
    nbytes : int
        Size on disk.
    """

    path: Path
    entries: dict[str, Entry]
    metadata: dict[str, str]
    nbytes: int

    @abstractmethod
    def array(self, name: str) -> NDArray[Any]:
        """Tensor of a name, in native byte order."""

    def raw(self, name: str) -> NDArray[np.uint8]:
        """Bytes of a tensor, little-endian and in C order."""
        return np.ascontiguousarray(self.array(name)).reshape(-1).view(np.uint8)


class SafetensorsSource(Source):
    """One or several safetensors files as one checkpoint."""

    def __init__(self, path: Path, readers: list[SafetensorsReader]) -> None:
        self.path = path
        self._home = {name: reader for reader in readers for name in reader.entries}
        self.entries = {name: reader.entries[name] for name, reader in self._home.items()}
        self.metadata = {key: text for reader in readers for key, text in reader.metadata.items()}
        self.nbytes = sum(reader.path.stat().st_size for reader in readers)

    def array(self, name: str) -> NDArray[Any]:
        return self._home[name].array(name)

    def raw(self, name: str) -> NDArray[np.uint8]:
        return self._home[name].raw(name)


class NpzSource(Source):
    """Arrays of a NumPy ``.npz`` archive; pickled objects are refused."""

    def __init__(self, path: Path) -> None:
        self.path, self.metadata = path, {}
        self.nbytes = path.stat().st_size
        try:
            self._archive = zipfile.ZipFile(path)
            members = [m for m in self._archive.infolist() if m.filename.endswith(".npy")]
            self._members = {m.filename.removesuffix(".npy"): m for m in members}
            self.entries = {name: self._entry(name) for name in self._members}
        except FormatError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, OSError) as error:
            raise FormatError(f"{path}: not a valid .npz archive ({error})") from None

    def _entry(self, name: str) -> Entry:
        """Shape and dtype of a member, checked against its length."""
        member = self._members[name]
        with self._archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            else:
                shape, _, dtype = np.lib.format.read_array_header_2_0(file)
            start = file.tell()
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
        except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
            raise FormatError(f"{self.path}: array {name!r} cannot be read ({error})") from None
        return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def _shards(folder: Path) -> list[SafetensorsReader]:
    """Readers of a sharded folder, checked against its index."""
    index = folder / INDEX
    if not index.is_file():
        files = sorted(folder.glob("*.safetensors"))
        if len(files) == 1:
            return [SafetensorsReader(files[0])]
        raise FormatError(f"{folder}: found {len(files)} .safetensors files and no {INDEX}")
    try:
        homes = json.loads(index.read_text("utf-8"))["weight_map"]
        names = sorted(set(homes.values()))
        if any(Path(name).name != name for name in names):
            raise FormatError(f"{index}: a shard lies outside the folder")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{index}: not a valid index ({error})") from None
    readers = [SafetensorsReader(folder / name) for name in names]
    for reader in readers:
        expected = {name for name, home in homes.items() if home == reader.path.name}
        if expected != set(reader.entries):
            odd = sorted(expected ^ set(reader.entries))[0]
            raise FormatError(f"{reader.path}: tensor {odd!r} is not where {INDEX} says")
    return readers


def open_source(path: Path) -> Source:
    """Checkpoint of a path.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    FormatError
        If it is no checkpoint that can be read.
    """
    if path.is_dir():
        return SafetensorsSource(path, _shards(path))
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.suffix == ".npz":
        return NpzSource(path)
    if path.suffix == ".safetensors":
        return SafetensorsSource(path, [SafetensorsReader(path)])
    raise FormatError(f"{path}: give a .safetensors file, a folder with {INDEX}, or an .npz")

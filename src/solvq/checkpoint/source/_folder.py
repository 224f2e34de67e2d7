"""Folders as Hugging Face lays them out: files of weights, and what goes with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint.source._base import Source, listed, reason
from solvq.checkpoint.source._safetensors import SafetensorsSource
from solvq.checkpoint.source._torch import TorchSource
from solvq.files import FormatError


class Layout(NamedTuple):
    """A kind of weights in a folder: the file that holds all of them, and its suffix."""

    single: str
    suffix: str
    reader: Callable[[Path], Source]

    @property
    def index_name(self) -> str:
        """File that says which shard holds which tensor."""
        return f"{self.single}.index.json"


LAYOUTS = (
    Layout("model.safetensors", ".safetensors", SafetensorsSource),
    Layout("pytorch_model.bin", ".bin", TorchSource),
)  # the first that is there is read
INDEX = LAYOUTS[0].index_name
CARRIED = {".bpe", ".jinja", ".json", ".model", ".spm", ".tiktoken", ".txt", ".vocab"}
WEIGHTS = {".bin", ".ckpt", ".h5", ".msgpack", ".npz", ".onnx", ".pt", ".pth", ".safetensors"}


class FolderSource(Source):
    """Files of weights in a folder as one checkpoint; `companions` are the files to carry along.

    Raises
    ------
    FileNotFoundError
        If a file is missing that the index names.
    FormatError
        If there are no weights, the index does not fit them, or a file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        layout, others = _layouts(path)
        parts = _parts(path, layout)
        self._home = {name: part for part in parts for name in part.entries}
        self.entries = {name: part.entries[name] for name, part in self._home.items()}
        self.metadata = {key: text for part in parts for key, text in part.metadata.items()}
        self.nbytes = sum(part.nbytes for part in parts)
        self.companions = companions_of(path)
        notes = [f"{part.path.name}: {note}" for part in parts for note in part.notes]
        if others:
            notes.append(f"left out: {listed(others)}, since {layout.single} is there too")
        self.notes = tuple(notes)

    def array(self, name: str) -> NDArray[Any]:
        return self._home[name].array(name)

    def raw(self, name: str) -> NDArray[np.uint8]:
        return self._home[name].raw(name)

    def release(self, name: str) -> None:
        self._home[name].release(name)


def _single(folder: Path, layout: Layout) -> Path | None:
    """File that holds all weights, if there is one."""
    if (folder / layout.single).is_file():
        return folder / layout.single
    if layout.suffix == ".bin":  # many other things have this suffix
        return None
    files = sorted(folder.glob(f"*{layout.suffix}"))
    return files[0] if len(files) == 1 else None


def _layouts(folder: Path) -> tuple[Layout, list[str]]:
    """Kind of weights to read, and files of other kinds that are there too."""
    there = [k for k in LAYOUTS if (folder / k.index_name).is_file() or _single(folder, k)]
    if not there:
        count = len(list(folder.glob("*.safetensors")))
        raise FormatError(
            f"{folder}: found {count} .safetensors files and no {INDEX}, "
            f"nor {LAYOUTS[1].single} or {LAYOUTS[1].index_name}"
        )
    others = [k.index_name if (folder / k.index_name).is_file() else k.single for k in there[1:]]
    return there[0], others


def _parts(folder: Path, layout: Layout) -> list[Source]:
    """Readers of a folder's weights, checked against the index if there is one."""
    index = folder / layout.index_name
    if not index.is_file():
        return [layout.reader(_single(folder, layout) or folder / layout.single)]
    try:
        homes = json.loads(index.read_text("utf-8"))["weight_map"]
        names = sorted(set(homes.values()))
        if any(Path(name).name != name or "\0" in name for name in names):
            raise FormatError(f"{index}: a shard lies outside the folder")
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{index}: not a valid index ({reason(error)})") from None
    parts = []
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: no such file, but {layout.index_name} names it"
            )
        parts.append(layout.reader(folder / name))
        expected = {tensor for tensor, home in homes.items() if home == name}
        if odd := sorted(expected ^ set(parts[-1].entries)):
            raise FormatError(
                f"{folder / name}: tensor {odd[0]!r} is not where {layout.index_name} says"
            )
    return parts


def companions_of(folder: Path) -> tuple[Path, ...]:
    """Configuration, tokenizer and the like, also in subfolders without weights of their own."""
    found = []
    for place in [folder, *sorted(folder.iterdir())]:
        if not place.is_dir() or (place != folder and place.name.startswith(".")):
            continue
        files = sorted(file for file in place.iterdir() if file.is_file())
        if place != folder and any(file.suffix in WEIGHTS for file in files):
            continue
        found += [file for file in files if _is_carried(file)]
    return tuple(found)


def _is_carried(file: Path) -> bool:
    """Whether a file goes with the weights: no weights, no program, no hidden file."""
    hidden = file.name.startswith(".")
    return file.suffix in CARRIED and not hidden and not file.name.endswith(".index.json")

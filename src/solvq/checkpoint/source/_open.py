"""Checkpoints that can be read, by the suffix of their file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from solvq.checkpoint.source._base import Source
from solvq.checkpoint.source._folder import FolderSource
from solvq.checkpoint.source._npz import NpzSource
from solvq.checkpoint.source._onnx import OnnxSource
from solvq.checkpoint.source._safetensors import SafetensorsSource
from solvq.checkpoint.source._torch import TorchSource
from solvq.checkpoint.source._torch_file import SNIFFED, is_legacy
from solvq.files import FormatError

READERS: dict[str, Callable[[Path], Source]] = {
    ".safetensors": SafetensorsSource,
    ".npz": NpzSource,
    ".onnx": OnnxSource,
    ".pt": TorchSource,
    ".pth": TorchSource,
    ".bin": TorchSource,
    ".ckpt": TorchSource,
}


def open_source(path: Path) -> Source:
    """Checkpoint of a path.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    FormatError
        If it is no checkpoint that can be read.
    ImportError
        If its format needs a package that is not installed.
    """
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if not path.is_file():
        raise FormatError(f"{path}: is not an ordinary file")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise FormatError(
            f"{path}: unknown suffix {path.suffix!r}; give a file with one of "
            f"{', '.join(READERS)}, or a folder as Hugging Face lays it out"
        )
    try:
        return reader(path)
    except FormatError as error:
        found = _content(path)
        if found is None or reader in found[1]:
            raise
        raise FormatError(f"{error}; it looks like {found[0]}") from None


def _content(path: Path) -> tuple[str, tuple[Callable[[Path], Source], ...]] | None:
    """What a file looks like by its first bytes, and the readers that it may be for."""
    with path.open("rb") as file:
        start = file.read(SNIFFED)
    if start[:4] == b"PK\x03\x04":
        return "a zip archive, as torch (.pt) and NumPy (.npz) write", (TorchSource, NpzSource)
    if is_legacy(start):
        return "an older file of torch.save (.pt)", (TorchSource,)
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and length < path.stat().st_size:
        return "a .safetensors file", (SafetensorsSource,)
    return None

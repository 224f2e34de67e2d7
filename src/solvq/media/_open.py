"""Which file is what, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from solvq.files import FormatError
from solvq.media._base import Medium
from solvq.media._image import ImageFile
from solvq.media._numpy import ArchiveFile, ArrayFile
from solvq.media._table import TableFile

KINDS: dict[str, Callable[[Path, Sequence[str]], Medium]] = {
    ".npy": ArrayFile,
    ".npz": ArchiveFile,
    ".csv": TableFile,
    ".parquet": TableFile,
    ".png": ImageFile,
    ".jpg": ImageFile,
    ".jpeg": ImageFile,
    ".tif": ImageFile,
    ".tiff": ImageFile,
}


def open_medium(path: Path, columns: Sequence[str] = ()) -> Medium:
    """File of numbers, with the wanted columns, arrays or channels, all if none is named.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FormatError
        If it cannot be read as what its name says, or a wanted part is not there.
    """
    if path.suffix.lower() not in KINDS:
        raise FormatError(f"{path}: cannot be read; give a file named {', '.join(KINDS)}")
    if path.is_dir():
        raise FormatError(f"{path}: is a folder; give a file")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    return KINDS[path.suffix.lower()](path, columns)

"""Zip archives of images."""

from __future__ import annotations

import zipfile
from pathlib import Path

from solvq.files import FormatError
from solvq.train.data._files import list_zip
from solvq.train.data._folder import from_files
from solvq.train.data._source import Source


def read_zip(source: str, size: int | None) -> Source | None:
    """Read all images of a zip archive, without unpacking it; split as in a folder."""
    path = Path(source)
    if not path.is_file() or (path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path)):
        return None
    files = list_zip(path)
    if not files.names:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("data.mdb") for name in archive.namelist()):
                raise FormatError(f"{path} holds an LMDB, which is read from disk: unzip it first")
    return from_files(path.stem, files)

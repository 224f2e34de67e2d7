"""Folders of images."""

from __future__ import annotations

from pathlib import Path

from solvq.train.data._divide import named_for_test
from solvq.train.data._files import Files, list_folder
from solvq.train.data._source import Division, Encoded, Source


def read_folder(source: str, size: int | None) -> Source | None:
    """Read all images of a folder and the folders in it.

    Folders or file names beginning with train, val or test give the split.
    """
    path = Path(source)
    if not path.is_dir():
        return None
    return from_files(path.resolve().name, list_folder(path))


def from_files(name: str, files: Files) -> Source:
    """Make a source of image files, split by their names if these say it.

    Parameters
    ----------
    name : str
        What the data is called in tables.
    files : Files
    """
    if not files.names:
        raise ValueError(
            f"{files.where}: no images in it; allowed are files that end in .png, .jpg, .webp, "
            ".ppm, .bmp, .tif or .gif, official data sets and .npz archives"
        )
    marks = named_for_test(files.names)
    note = f"{len(files.names)} images of {files.where}"
    if marks is not None:
        note += f"; {marks.sum()} named val or test are for testing"
    labels = [f"{files.where}: {name}" for name in files.names]
    return Encoded(name, Division(marks, files.names, note), labels, files.read)

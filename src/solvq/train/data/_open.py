"""One verb for every form in which people have image data."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from solvq.train.data._divide import held_out
from solvq.train.data._readers import READERS
from solvq.train.data._source import Arrays, Source
from solvq.train.data._split import Decoded, Images, Split, Stored

IN_MEMORY = 10**9
SIZES = (4, 4096)
CHUNK = 64
ALLOWED = (
    "photos (tiles of photographs that come with scikit-image and scikit-learn), CIFAR-10 and "
    "GTSRB as published, an LMDB of LSUN, a folder or zip of images, a .npz archive, a folder "
    "saved by Hugging Face datasets, or hf:NAME"
)


def open_images(
    source: str | Path, *, size: int | None = None, test: str | Path | None = None
) -> Images:
    """Open a data set of images, split into training and test images.

    Parameters
    ----------
    source : str or Path
        ``photos``: tiles of photographs that installed packages ship. CIFAR-10: the folder
        ``cifar-10-batches-py`` or ``cifar-10-batches-bin``, or its ``.tar.gz``. GTSRB: the
        official folders or zips. LSUN: a folder with ``data.mdb``. A folder or zip of images,
        whose folders or file names say train, val or test; otherwise about every tenth is for
        testing, by a hash of its name. A ``.npz`` with ``x_train`` and ``x_test``, ``x``, or
        ``jpeg`` and ``offsets``. A folder saved by Hugging Face datasets, or ``hf:NAME`` from its
        cache. Official files must have their official checksums. Nothing is downloaded.
    size : int or None, default=None
        Height and width in pixels: the central square of each image is resized to it, and
        ``photos`` are cut into tiles of it. None takes images as they are; then all must be
        squares of one size.
    test : str or Path or None, default=None
        Another source whose images, all of them, are the test images. Test images that `source`
        names itself are then left out; images that would only have been drawn are trained on.

    Returns
    -------
    Images

    Raises
    ------
    FormatError
        A file is damaged, or not what its name says.
    FileNotFoundError, ValueError
        There is no such data, too little of it, or its images have no common size.
    ImportError
        A package that this data needs is not installed.
    """
    if size is not None and not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size must be from {SIZES[0]} to {SIZES[1]} pixels, got {size}")
    found = _find(str(source), size)
    _need(found, 1)
    edge = found.image(0, size).shape[0]
    if test is None:
        marks, how = _marks(found)
        rest, note = _load(found, np.flatnonzero(marks), edge, size), _note(found, how)
        return Images(found.name, _load(found, np.flatnonzero(~marks), edge, size), rest, note)
    own = found.division.test
    chosen = np.arange(len(found)) if own is None else np.flatnonzero(~own)
    other = _find(str(test), edge)
    _need(other, 1)
    rest = _load(other, np.arange(len(other)), edge, edge)
    note = f"{_note(found, '')}; test: all images of {other.name}: {_note(other, '')}"
    return Images(found.name, _load(found, chosen, edge, size), rest, note)


def _find(source: str, size: int | None) -> Source:
    for read in READERS.values():
        found = read(source, size)
        if found is not None:
            return found
    if not Path(source).exists():
        raise FileNotFoundError(f"{source}: no such file or folder; data may be {ALLOWED}")
    raise ValueError(f"{source}: not a form of data that is known; it may be {ALLOWED}")


def _need(found: Source, n_images: int) -> None:
    if len(found) < n_images:
        raise ValueError(f"{found.name} has {len(found)} images; at least {n_images} are needed")


def _marks(found: Source) -> tuple[NDArray[np.bool_], str]:
    """Return which images are for testing, and how that came about if it had to be drawn."""
    division = found.division
    if division.test is not None:
        return division.test, ""
    _need(found, 2)
    names = division.groups
    marks = held_out([str(index) for index in range(len(found))] if names is None else names)
    if not 0 < marks.sum() < len(marks):
        raise ValueError(
            f"{found.name}: all images belong to one group (such as one track), which is not "
            "split; give test another source"
        )
    grouped = names is not None and len(set(names)) < len(names)
    what = "whole groups (tracks)" if grouped else "images"
    return marks, f"test: {marks.sum()} images, about every tenth of the {what} by a hash of names"


def _note(found: Source, how: str) -> str:
    return "; ".join(part for part in (found.division.note, how) if part)


def _load(found: Source, indices: NDArray[np.int64], edge: int, size: int | None) -> Split:
    """Take images into memory, unless they are too many."""
    if isinstance(found, Arrays) and found.images.shape[1:3] == (edge, edge):
        return Stored(np.ascontiguousarray(_rows(found.images, indices)))
    if len(indices) * edge * edge * 3 > IN_MEMORY:
        return Decoded(found, indices, edge, size)
    images = np.empty((len(indices), edge, edge, 3), np.uint8)

    def place(start: int) -> None:
        part = slice(start, start + CHUNK)
        images[part] = found.images_at(indices[part], edge, size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for _ in pool.map(place, range(0, len(indices), CHUNK)):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Stored(images)


def _rows(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    if len(indices) and len(indices) == indices[-1] - indices[0] + 1:
        return images[indices[0] : indices[-1] + 1]
    return images[indices]

"""One verb for every form in which people have image data."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from solvq.train.data._divide import held_out
from solvq.train.data._npz import read_npz
from solvq.train.data._source import Arrays, Source
from solvq.train.data._split import Decoded, Images, Joined, Split, Stored

IN_MEMORY = 10**9
SIZES = (4, 4096)


def open_images(
    source: str | Path, *, size: int | None = None, test: str | Path | None = None
) -> Images:
    """Open a data set of images, split into training and test images.

    Parameters
    ----------
    source : str or Path
        A ``.npz`` archive.
    size : int or None, default=None
        Height and width in pixels: the central square of each image is resized to it. None
        takes images as they are; then all must be squares of one size.
    test : str or Path or None, default=None
        Another source whose images, all of them, are the test images. The test images of
        `source` itself are then left out if it names them, and trained on if they would only
        have been drawn.

    Returns
    -------
    Images
    """
    if size is not None and not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size must be from {SIZES[0]} to {SIZES[1]} pixels, got {size}")
    found = _find(source, size)
    _need_images(found, 1)
    edge = found.image(0, size).shape[0]
    if test is None:
        marks, how = _marks(found)
        kept = _load(found, np.flatnonzero(marks), edge, size)
        return Images(
            found.name, _load(found, np.flatnonzero(~marks), edge, size), kept, _note(found, how)
        )
    other = open_images(test, size=edge)
    own = found.division.test
    chosen = np.arange(len(found)) if own is None or own.all() else np.flatnonzero(~own)
    note = f"{_note(found, '')}; test: all images of {other.name} ({other.note})"
    return Images(
        found.name, _load(found, chosen, edge, size), Joined(other.train, other.test), note
    )


def _find(source: str | Path, size: int | None) -> Source:
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    return read_npz(path)


def _need_images(found: Source, n_images: int) -> None:
    if len(found) < n_images:
        raise ValueError(f"{found.name} has {len(found)} images; at least {n_images} are needed")


def _marks(found: Source) -> tuple[NDArray[np.bool_], str]:
    division = found.division
    if division.test is not None and division.test.any() and not division.test.all():
        return division.test, ""
    _need_images(found, 2)
    if division.groups is not None:
        marks, what = held_out(division.groups), "groups of images that belong together"
    else:
        marks, what = held_out([found.label(index) for index in range(len(found))]), "images"
    if not 0 < marks.sum() < len(marks):
        raise ValueError(f"{found.name}: all images belong to one group; give test another source")
    return marks, f"test: every tenth of the {what}, by a hash of the name"


def _note(found: Source, how: str) -> str:
    return "; ".join(part for part in (found.division.note, how) if part)


def _load(found: Source, indices: NDArray[np.int64], edge: int, size: int | None) -> Split:
    if isinstance(found, Arrays) and found.images.shape[1:3] == (edge, edge):
        return Stored(np.ascontiguousarray(_rows(found.images, indices)))
    if len(indices) * edge * edge * 3 > IN_MEMORY:
        return Decoded(found, indices, edge)
    images = np.empty((len(indices), edge, edge, 3), np.uint8)

    def place(start: int) -> None:
        for row in range(start, min(start + 64, len(indices))):
            images[row] = _same(found, int(indices[row]), edge, size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(place, range(0, len(indices), 64)):
            pass
    return Stored(images)


def _same(found: Source, index: int, edge: int, size: int | None) -> NDArray[np.uint8]:
    image = found.image(index, size)
    if image.shape[0] != edge:
        raise ValueError(
            f"{found.label(index)} is {image.shape[0]} pixels wide, {found.label(0)} is {edge}; "
            "give size to bring all images to one size"
        )
    return image


def _rows(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    if len(indices) == indices[-1] - indices[0] + 1:
        return images[indices[0] : indices[-1] + 1]
    return images[indices]


Reader = Callable[[Path], Source]

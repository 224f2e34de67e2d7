"""NumPy archives: arrays of pixels, or JPEG strings with their offsets."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.files import FormatError
from solvq.train.data._source import Arrays, Division, Encoded, Source

WANTED = {
    *("x_train", "x_test", "x", "jpeg", "offsets", "is_test"),
    *("track_train", "track", "y_train", "y", "label"),
}
DAMAGE = (
    *(ValueError, KeyError, OSError, EOFError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)
KEYS = "x_train and x_test, or x, or jpeg and offsets (with is_test if known)"


def read_npz(source: str, size: int | None) -> Source | None:
    """Read a NumPy archive.

    It has ``x_train`` and ``x_test`` (or ``x`` alone), uint8 of shape (N, H, W), (N, H, W, 1) or
    (N, H, W, 3); or ``jpeg``, all strings one after the other, and ``offsets``, where each begins
    and the last ends. ``is_test`` marks the test images of ``x`` or ``jpeg``. If there is no test
    part, ``track`` or ``track_train`` says which images belong together (beside ``y`` or
    ``y_train``, tracks are numbered within a class).
    """
    path = Path(source)
    if not path.is_file() or path.suffix.lower() != ".npz":
        return None
    found = _arrays(path)
    if "x_train" in found:
        return _two_parts(path, found)
    if "x" in found:
        return _one_part(path, found, "x")
    if "jpeg" in found and "offsets" in found:
        return _strings(path, found)
    raise FormatError(f"{path}: has no images; needed are {KEYS}")


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is one array, not an archive")
            return {key: archive[key] for key in archive.files if key in WANTED}
    except DAMAGE as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise FormatError(f"{path}: not a .npz archive of plain arrays ({error})") from error


def _two_parts(path: Path, found: Mapping[str, NDArray[Any]]) -> Source:
    if "x_test" not in found:
        return _one_part(path, found, "x_train")
    train, test = (_pixels(path, key, found[key]) for key in ("x_train", "x_test"))
    if train.shape[1:] != test.shape[1:]:
        raise FormatError(
            f"{path}: images of x_train are {train.shape[1:]}, of x_test {test.shape[1:]}; "
            "they must have one shape"
        )
    marks = np.arange(len(train) + len(test)) >= len(train)
    note = f"{path.name}: {len(train)} images of x_train, {len(test)} of x_test; split as in file"
    if "track_train" in found:
        note += "; x_test has no track numbers, so that tracks are disjoint is the word of the file"
    return Arrays(path.stem, Division(marks, None, note), np.concatenate([train, test]))


def _one_part(path: Path, found: Mapping[str, NDArray[Any]], key: str) -> Source:
    images = _pixels(path, key, found[key])
    marks = _marks(path, found, len(images))
    groups = _groups(path, found, len(images)) if marks is None else None
    note = f"{path.name}: {len(images)} images of {key}"
    return Arrays(path.stem, Division(marks, groups, note), images)


def _strings(path: Path, found: Mapping[str, NDArray[Any]]) -> Source:
    jpeg, offsets = found["jpeg"], found["offsets"]
    good = jpeg.dtype == np.uint8 and jpeg.ndim == 1 and offsets.ndim == 1 and len(offsets) > 1
    good = good and np.issubdtype(offsets.dtype, np.integer)
    if not good or offsets[0] < 0 or offsets[-1] > len(jpeg) or (np.diff(offsets) <= 0).any():
        raise FormatError(
            f"{path}: jpeg must be one list of uint8 and offsets growing integers up to its "
            f"length {len(jpeg)}, got {jpeg.dtype} {jpeg.shape} and {offsets.dtype} {offsets.shape}"
        )
    n_images = len(offsets) - 1
    marks = _marks(path, found, n_images)
    groups = _groups(path, found, n_images) if marks is None else None
    note = f"{path.name}: {n_images} JPEG strings" + ("; split as in file" * (marks is not None))
    labels = [f"image {index} of {path.name}" for index in range(n_images)]

    def read(index: int) -> bytes:
        return bytes(jpeg[offsets[index] : offsets[index + 1]])

    return Encoded(path.stem, Division(marks, groups, note), labels, read)


def _pixels(path: Path, key: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    images = array[..., None] if array.ndim == 3 else array
    if array.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in {1, 3}:
        raise FormatError(
            f"{path}: {key} is {array.dtype} of shape {array.shape}; images must be uint8 of "
            "shape (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
        )
    return np.broadcast_to(images, (*images.shape[:3], 3))


def _marks(path: Path, found: Mapping[str, NDArray[Any]], n_images: int) -> Any:
    if "is_test" not in found:
        return None
    if found["is_test"].shape != (n_images,):
        raise FormatError(f"{path}: is_test has shape {found['is_test'].shape}, not ({n_images},)")
    return found["is_test"].astype(bool)


def _groups(path: Path, found: Mapping[str, NDArray[Any]], n_images: int) -> list[str] | None:
    for track, classes in (("track_train", "y_train"), ("track", "y")):
        if track not in found:
            continue
        columns = [found[key] for key in (classes, track) if key in found]
        for column in columns:
            if column.shape != (n_images,):
                raise FormatError(f"{path}: {track} and {classes} must have {n_images} entries")
        return ["/".join(str(entry) for entry in row) for row in zip(*columns, strict=True)]
    return None

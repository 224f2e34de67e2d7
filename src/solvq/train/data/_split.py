"""What a data set looks like to the training loop: two lists of square RGB images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvq.train.data._source import Source


class Split(ABC):
    """Give any choice of images of a set as one array, by their indices.

    Attributes
    ----------
    size : int
        Height and width of every image, in pixels.
    """

    size: int

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def _images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return images at indices that exist."""

    def batch(self, indices: NDArray[np.int64] | Sequence[int]) -> NDArray[np.uint8]:
        """Return images as an array (n, size, size, 3) of red, green and blue in 0 ... 255.

        Parameters
        ----------
        indices : array of int, shape (n,)
            From 0 to the number of images less one; any order, repeats allowed.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        if wanted.ndim != 1:
            raise ValueError(f"indices must be one list of numbers, got shape {wanted.shape}")
        outside = (wanted < 0) | (wanted >= len(self))
        if outside.any():
            raise ValueError(
                f"image {wanted[outside][0]} was asked for, but there are {len(self)}: "
                f"indices go from 0 to {len(self) - 1}"
            )
        return self._images(wanted)


class Stored(Split):
    """Images that are decoded once and kept in memory.

    Parameters
    ----------
    images : array of uint8, shape (N, size, size, 3)
        Not copied.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images = images
        self.size = int(images.shape[1])

    def __len__(self) -> int:
        return len(self.images)

    def _images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.images[indices]


class Decoded(Split):
    """Images that are read and decoded each time they are asked for; safe to use from threads.

    Parameters
    ----------
    source : Source
        Where they come from.
    indices : array of int64
        Which of its images belong to this split.
    edge : int
        Height and width they have.
    size : int or None
        `edge` if images may be resized to it; None if they must have it.
    """

    def __init__(
        self, source: Source, indices: NDArray[np.int64], edge: int, size: int | None
    ) -> None:
        self.source = source
        self.indices = indices
        self.size = edge
        self._resized = size

    def __len__(self) -> int:
        return len(self.indices)

    def _images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.source.images_at(self.indices[indices], self.size, self._resized)


@dataclass(frozen=True)
class Images:
    """A data set: images to train on, images to report on, and how they were told apart.

    Attributes
    ----------
    name : str
        What it is, for tables.
    train, test : Split
        Disjoint; of the same size.
    note : str
        What was read, how it was split, and whether official checksums were met.
    """

    name: str
    train: Split
    test: Split
    note: str

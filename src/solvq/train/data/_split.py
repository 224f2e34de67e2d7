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
    size : int
        Height and width they get.
    """

    def __init__(self, source: Source, indices: NDArray[np.int64], size: int) -> None:
        self.source = source
        self.indices = indices
        self.size = size

    def __len__(self) -> int:
        return len(self.indices)

    def _images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        images = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        for place, index in enumerate(self.indices[indices]):
            images[place] = self.source.image(int(index), self.size)
        return images


class Joined(Split):
    """Two splits one after the other.

    Parameters
    ----------
    first, second : Split
        Of the same size.
    """

    def __init__(self, first: Split, second: Split) -> None:
        self.first = first
        self.second = second
        self.size = first.size

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def _images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        images = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        late = indices >= len(self.first)
        images[~late] = self.first.batch(indices[~late])
        images[late] = self.second.batch(indices[late] - len(self.first))
        return images


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

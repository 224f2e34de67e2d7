"""Where images come from: arrays in memory, or encoded files that are decoded when asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvq.train.data._decode import decode, fit


@dataclass(frozen=True)
class Division:
    """What a source knows about its split.

    Attributes
    ----------
    test : array of bool, or None
        The images that the source itself keeps for testing; None if it says nothing.
    groups : sequence of str, or None
        A name an image, by which it falls on a side if `test` is None: its own, or that of a
        group which must stay together; None numbers the images.
    note : str
        What was read, and how the source tells the sides apart if it does.
    """

    test: NDArray[np.bool_] | None = None
    groups: Sequence[str] | None = None
    note: str = ""


class Source(ABC):
    """Give any image of a data set as a square of the size asked for.

    Parameters
    ----------
    name : str
        What it is, for tables.
    division : Division
        What it knows about its split.
    """

    def __init__(self, name: str, division: Division) -> None:
        self.name = name
        self.division = division

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def label(self, index: int) -> str:
        """Return the name of an image, for messages."""

    @abstractmethod
    def image(self, index: int, size: int | None) -> NDArray[np.uint8]:
        """Return an image (size, size, 3); with None as it is, which must be a square."""

    def images_at(
        self, indices: NDArray[np.int64], edge: int, size: int | None
    ) -> NDArray[np.uint8]:
        """Return images (n, edge, edge, 3).

        Parameters
        ----------
        indices : array of int64, shape (n,)
        edge : int
            Their height and width.
        size : int or None
            `edge` if images may be resized to it; None if they must have it.
        """
        images = np.empty((len(indices), edge, edge, 3), np.uint8)
        for place, index in enumerate(indices):
            image = self.image(int(index), size)
            if image.shape[0] != edge:
                raise ValueError(
                    f"{self.label(index)} is {image.shape[0]} pixels wide, {self.label(0)} is "
                    f"{edge}; give size to bring all images to one size"
                )
            images[place] = image
        return images


class Arrays(Source):
    """Images of one shape in memory.

    Parameters
    ----------
    name, division
        As for `Source`.
    images : array of uint8, shape (N, H, W, 3)
        Grey ones are a broadcast view, so that they take no more memory.
    """

    def __init__(self, name: str, division: Division, images: NDArray[np.uint8]) -> None:
        super().__init__(name, division)
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def label(self, index: int) -> str:
        return f"image {index} of {self.name}"

    def image(self, index: int, size: int | None) -> NDArray[np.uint8]:
        return fit(self.images[index], self.label(index), size)


class Encoded(Source):
    """Images as files, members of archives or strings of bytes.

    Parameters
    ----------
    name, division
        As for `Source`.
    labels : sequence of str
        The name of each image.
    read : callable
        Gives the bytes of the image at an index; called from several threads at once.
    """

    def __init__(
        self, name: str, division: Division, labels: Sequence[str], read: Callable[[int], bytes]
    ) -> None:
        super().__init__(name, division)
        self.labels = labels
        self.read = read

    def __len__(self) -> int:
        return len(self.labels)

    def label(self, index: int) -> str:
        return self.labels[index]

    def image(self, index: int, size: int | None) -> NDArray[np.uint8]:
        return decode(self.read(index), self.label(index), size)

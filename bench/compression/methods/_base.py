"""What a competitor is: one hook that stores a tensor in its published layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Coded(NamedTuple):
    """A tensor after storage: what is read back, and the bytes of each stored part."""

    restored: Array
    parts: dict[str, int]


class Method(ABC):
    """A way to store a weight tensor in fewer bits.

    Subclasses are final but where a family differs by a number.

    Attributes
    ----------
    name : str
        In the tables.
    about : str
        Whose layout it is, and what is stored.
    rates : tuple of float
        Nominal bits per weight that the layout has.
    """

    name: str
    about: str
    rates: tuple[float, ...]

    @abstractmethod
    def code(self, x: Array, bits: float) -> Coded:
        """Store a float32 tensor at a nominal rate of `rates`, whatever its shape."""


def blocks(x: Array, length: int) -> Array:
    """Weights in blocks (n, length) of the flattened tensor; the last one repeats its last weight.

    As all packages do where a block divides the rows; the notes of the tables say what they do
    with others.
    """
    flat = x.reshape(-1).astype(np.float32)
    missing = -flat.size % length
    padded = np.concatenate([flat, np.full(missing, flat[-1], np.float32)])
    return padded.reshape(-1, length)


def unblocked(values: Array, like: Array) -> Array:
    """Tensor of a shape from its blocks."""
    return values.reshape(-1)[: like.size].reshape(like.shape).astype(np.float32)


def packed(n_codes: int, bits: int) -> int:
    """Bytes of so many codes without gaps."""
    return -(-n_codes * bits // 8)

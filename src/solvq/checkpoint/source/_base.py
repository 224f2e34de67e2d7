"""What every checkpoint that can be read offers, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import Entry


class Source(ABC):
    """Named tensors that are read one at a time.

    Attributes
    ----------
    path : Path
        What was opened.
    entries : dict of str to Entry
        Tensors in the order of the file.
    metadata : dict of str to str
        Free text that the file carries.
    nbytes : int
        Size on disk of what holds the tensors.
    notes : tuple of str
        What the reader left out or renamed, one line each.
    companions : tuple of Path
        Files inside `path` that belong to the model and hold no weights, to be carried along.
    skeleton : bytes or None
        The model without its tensors, for formats that hold more than tensors.
    """

    path: Path
    entries: dict[str, Entry]
    metadata: dict[str, str]
    nbytes: int
    notes: tuple[str, ...] = ()
    companions: tuple[Path, ...] = ()
    skeleton: bytes | None = None

    @abstractmethod
    def array(self, name: str) -> NDArray[Any]:
        """Tensor of a name, in native byte order and C order."""

    def release(self, name: str) -> None:  # noqa: B027 (most readers hold nothing)
        """Hold nothing of a tensor that is done; it can be read again."""

    def raw(self, name: str) -> NDArray[np.uint8]:
        """Bytes of a tensor, little-endian and in C order."""
        return np.ascontiguousarray(self.array(name)).reshape(-1).view(np.uint8)


def listed(names: list[str]) -> str:
    """A few names of a list, and how many more there are."""
    few = ", ".join(names[:5])
    return few if len(names) <= 5 else f"{few} and {len(names) - 5} more"


def reason(error: BaseException) -> str:
    """Message of an error, short enough for a line."""
    return " ".join(str(error).split())[:200]

"""How much the weights of a checkpoint matter: a file beside it that says so.

A safetensors file or NumPy archive. An entry ``NAME`` weighs the squared errors of the tensor of
that name: it has its shape or one that broadcasts to it. ``NAME:hessian`` and ``NAME:mean`` are the
second moments (N, N) and the means (N,) of the inputs that the tensor, seen as a matrix (M, N), is
multiplied with. `solvq.runtime.importance` collects all three.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NUMPY_DTYPES
from solvq.checkpoint.source._open import open_source
from solvq.files import FormatError

HESSIAN, MEAN = ":hessian", ":mean"
FLOOR = 1e-6  # of the mean weight is the least weight
ROUNDED = 0.01  # a matrix in float16 need not be exactly what it was


class Importance:
    """A file of weights, opened; each entry is checked when it is read.

    Raises
    ------
    FormatError
        If the file cannot be read, or an entry is not what it should be; the message names the
        file, the entry and, where they differ, both shapes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._source = open_source(self.path)
        if not self._source.entries:
            raise FormatError(f"{path}: holds no weights")

    def has(self, ending: str) -> bool:
        """Whether there is an entry, of whatever tensor, with such an ending."""
        return any(entry.endswith(ending) for entry in self._source.entries)

    def check(self, names: Iterable[str]) -> None:
        """Refuse entries that are about none of the tensors of a checkpoint."""
        known = set(names)
        lost = [
            entry
            for entry in self._source.entries
            if entry not in known
            and entry.removesuffix(HESSIAN) not in known
            and entry.removesuffix(MEAN) not in known
        ]
        if lost:
            raise FormatError(
                f"{self.path}: {len(lost)} of {len(self._source.entries)} entries are about no "
                f"tensor of the checkpoint, the first is {lost[0]!r}; rename or remove them"
            )

    def weights(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
        """Weight of every element of a tensor of a shape, not a copy; None if there is no entry.

        None is below a millionth of the mean, so that what no input reached, be it a whole row,
        still has a best table of its own.
        """
        array = self._finite(name)
        if array is None or 0 in shape:
            return None
        try:
            fits = np.broadcast_shapes(array.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise FormatError(
                f"{self.path}: {name!r} has shape {array.shape}, which does not broadcast to the "
                f"tensor's {shape}"
            )
        largest = array.max()
        if array.min() < 0.0 or largest == 0.0:
            fault = "has negative entries" if array.min() < 0.0 else "is zero everywhere"
            raise FormatError(f"{self.path}: {name!r} {fault}; give weights >= 0, not all zero")
        floor = FLOOR * float((array / largest).mean()) * largest
        return np.broadcast_to(np.maximum(array, floor), shape)

    @cached_property
    def typical(self) -> float:
        """Mean weight of the elements of an entry, mean over entries: for tensors without one."""
        names = [n for n in self._source.entries if not n.endswith((HESSIAN, MEAN))]
        means = [float(array.mean()) for n in names if (array := self._finite(n)) is not None]
        return float(np.mean(means)) if means else 1.0

    def hessian(self, name: str, columns: int) -> NDArray[np.float64] | None:
        """Second moments (columns, columns) of the inputs; None if there is no entry."""
        entry = name + HESSIAN
        array = self._finite(entry, (columns, columns))
        if array is None:
            return None
        diagonal = np.diag(array)
        if diagonal.min(initial=0.0) < 0.0 or not diagonal.any():
            raise FormatError(
                f"{self.path}: {entry!r} has a negative or zero diagonal; give second moments"
            )
        root = np.sqrt(diagonal)
        room = ROUNDED * root[:, None] * root
        if (np.abs(array) > root[:, None] * root + room).any():
            raise FormatError(
                f"{self.path}: {entry!r} has entries above those of its diagonal; give second "
                "moments"
            )
        if (np.abs(array - array.T) > room).any():
            raise FormatError(f"{self.path}: {entry!r} is not symmetric; give second moments")
        return 0.5 * (array + array.T)

    def mean(self, name: str, columns: int) -> NDArray[np.float64] | None:
        """Means (columns,) of the inputs; None if there is no entry."""
        return self._finite(name + MEAN, (columns,))

    def _finite(
        self, entry: str, shape: tuple[int, ...] | None = None
    ) -> NDArray[np.float64] | None:
        """Finite numbers of an entry, of a shape if one is given."""
        if entry not in self._source.entries:
            return None
        dtype, found, _ = self._source.entries[entry]
        if dtype not in NUMPY_DTYPES or dtype in ("BOOL", "C64"):
            raise FormatError(f"{self.path}: {entry!r} has dtype {dtype}; give real numbers")
        if shape is not None and found != shape:
            raise FormatError(
                f"{self.path}: {entry!r} has shape {found}; the tensor as a matrix needs {shape}"
            )
        if 0 in found:
            raise FormatError(f"{self.path}: {entry!r} is empty, of shape {found}")
        array: NDArray[Any] = self._source.array(entry).astype(np.float64)
        if not np.isfinite(array).all():
            raise FormatError(f"{self.path}: {entry!r} has NaN or infinite entries")
        return array

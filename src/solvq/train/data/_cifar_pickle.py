"""The pickles of CIFAR-10 without running what a pickle could run."""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.files import FormatError

PIXELS = 3072


class _Type:
    """What stands in a pickle where NumPy's dtype would: only its code is kept."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment mean nothing for bytes."""


class _Array:
    """What stands in a pickle where NumPy's array would: shape, type and bytes."""

    def __init__(self, *_: Any) -> None:
        self.pixels = np.empty((0, PIXELS), np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, _Type) or kind.code != "u1":
            raise pickle.UnpicklingError("an array is not of bytes")
        flat = np.frombuffer(data, np.uint8)
        self.pixels = flat.reshape(shape, order="F" if by_columns else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Give the three names that official batches use; refuse every other."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no official batch does")
        return ALLOWED[module, name]


def unpickle(data: bytes, where: str) -> NDArray[np.uint8]:
    """Return the pixels (N, 3072) of a batch in the Python version of CIFAR-10.

    Parameters
    ----------
    data : bytes
        The pickle, as Python 2 wrote it.
    where : str
        The name of the file, for messages.
    """
    try:
        batch = _Unpickler(BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a damaged pickle may raise anything, MemoryError too
        raise FormatError(f"{where}: not a batch of CIFAR-10 ({error})") from error
    found = batch.get(b"data") if isinstance(batch, dict) else None
    if (
        not isinstance(found, _Array)
        or found.pixels.shape[1:] != (PIXELS,)
        or not len(found.pixels)
    ):
        raise FormatError(f"{where}: not a batch of CIFAR-10 (it has no rows of {PIXELS} pixels)")
    return found.pixels

"""What a compressed checkpoint may cost, in bytes or in error."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20}
UNITS |= {"GiB": 2**30, "KB": 10**3, "k": 10**3, "M": 10**6, "G": 10**9}


class Budget(NamedTuple):
    """Exactly one limit.

    Attributes
    ----------
    size : int
        Bytes of the file.
    ratio : float
        Bytes of the original over bytes of the file, at least.
    avg_bits : float
        Bits per weight of the compressed tensors, tables and scales included.
    max_error : float
        Sum of squared errors over sum of squares, of all compressed tensors together.
    max_tensor_error : float
        The same of each tensor.
    """

    size: int | None = None
    ratio: float | None = None
    avg_bits: float | None = None
    max_error: float | None = None
    max_tensor_error: float | None = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> Budget:
        """Checked budget.

        Raises
        ------
        ValueError
            If there are two limits, or one is not a positive number.
        """
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; give one budget")
        for name, value in given.items():
            if not isinstance(value, int | float) or not 0.0 < value < math.inf:
                raise ValueError(f"{name} is {value!r}; give a positive number")
        return cls(**given)

    @property
    def in_bytes(self) -> bool:
        """Whether bytes are limited, and the error is to be least."""
        return self.max_error is None and self.max_tensor_error is None


def parse_size(text: str) -> int:
    """Bytes of a text as ``12MB`` (10^6 bytes), ``12MiB`` (2^20) or ``12000000``.

    Raises
    ------
    ValueError
        If it is no such text.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2] not in UNITS:
        raise ValueError(f"size is {text!r}; give bytes, as 12MB, 11.5MiB or 12000000")
    return int(float(found[1]) * UNITS[found[2]])

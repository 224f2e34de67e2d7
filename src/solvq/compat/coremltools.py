"""For the custom mode of the palettization of ``coremltools``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.scalar import quantize
from solvq.scalar._base import check_count
from solvq.scalar._quantize import make_quantizer

__all__ = ["lut_function"]

WIDTHS = (1, 2, 3, 4, 6, 8)  # bits of an index that Core ML knows
LutFunction = Callable[[Any], tuple[NDArray[Any], NDArray[np.uint8]]]


def _width(nbits: int | None, n_values: int | None) -> tuple[int, int]:
    """Bits of an index, and number of values."""
    if (nbits is None) == (n_values is None):
        raise ValueError(f"nbits is {nbits} and n_values is {n_values}; give one of them")
    if nbits is not None:
        if nbits not in WIDTHS:
            raise ValueError(f"nbits is {nbits!r}; give one of {', '.join(map(str, WIDTHS))}")
        return nbits, 1 << nbits
    check_count("n_values", n_values)
    fitting = [width for width in WIDTHS if n_values is not None and n_values <= 1 << width]
    if not fitting:
        raise ValueError(f"n_values is {n_values}; give at most {1 << WIDTHS[-1]}")
    return fitting[0], int(n_values or 0)


def lut_function(
    nbits: int | None = None, n_values: int | None = None, method: str = "optimal"
) -> LutFunction:
    """Function of a weight that finds the table of values with the least squared error.

    For ``coremltools.optimize.coreml.OpPalettizerConfig(mode="custom", lut_function=...)``, whose
    own modes find local optima.

    Parameters
    ----------
    nbits : int, optional
        Bits of an index: 1, 2, 3, 4, 6 or 8; 3 needs a deployment target of iOS 18.
    n_values : int, optional
        Instead of it the number of values; the table is filled up to the next such size.
    method : str, default "optimal"
        Name in `solvq.scalar.METHODS`.

    Returns
    -------
    callable
        Takes a weight of any shape; gives the table, of ``2**nbits`` ascending values in the dtype
        of the weight (the last one repeated if fewer are needed), and the flat indices as uint8.

    Raises
    ------
    ValueError
        If not exactly one of ``nbits`` and ``n_values`` is given, or one is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from solvq.compat.coremltools import lut_function
    >>> lut, indices = lut_function(nbits=1)(np.array([[0.0, 1.0], [9.0, 8.0]]))
    >>> lut, indices
    (array([0.5, 8.5]), array([0, 0, 1, 1], dtype=uint8))
    """
    width, count = _width(nbits, n_values)
    make_quantizer(method, count, {})

    def find(weight: Any) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        code = quantize(weight, count, method)
        table = np.full(1 << width, code.codebook[-1], code.dtype)
        table[: len(code.codebook)] = code.codebook
        return table, code.indices.reshape(-1).astype(np.uint8)

    return find

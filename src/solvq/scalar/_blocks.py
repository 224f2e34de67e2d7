"""One codebook per block of an array: channels, groups, tiles."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import to_numpy
from solvq.scalar._kernels import Float64
from solvq.scalar._reduce import checked
from solvq.scalar._rows import quantize_rows


class Blocks(NamedTuple):
    """Codes of the blocks of an array.

    For an array cut into ``(B1, ..., Bd)`` blocks of shape `block`, `codebooks` has shape
    ``(B1, ..., Bd, n_values)``, or is wider where a price leaves more values. `distortion` and
    `lower_bound` are weighted means of squared errors of shape ``(B1, ..., Bd)``, and `indices` has
    the shape of the array. A block that needs fewer
    values repeats its largest.
    """

    codebooks: NDArray[Any]
    indices: NDArray[Any]
    distortion: Float64
    lower_bound: Float64
    block: tuple[int, ...]

    def decode(self) -> NDArray[Any]:
        """Array of the nearest values."""
        places = np.meshgrid(
            *(np.arange(n) // b for n, b in zip(self.indices.shape, self.block, strict=True)),
            indexing="ij",
            sparse=True,
        )
        return np.asarray(self.codebooks[(*places, self.indices)])


def _checked_block(block: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a block with -1 replaced by the whole axis.

    Raises
    ------
    ValueError, TypeError
        If it does not have one positive length, or -1, for each axis of the array.
    """
    try:
        sides = tuple(block)
    except TypeError:
        raise TypeError(f"block is {block!r}; give a length for each axis of {shape}") from None
    whole = all(isinstance(b, Integral) and not isinstance(b, bool) for b in sides)
    if len(sides) != len(shape) or not whole or any(b != -1 and b < 1 for b in sides):
        raise ValueError(
            f"block is {block!r}; give an integer >= 1, or -1 for all, for each axis of {shape}"
        )
    return tuple(n if b == -1 else min(int(b), n) for b, n in zip(sides, shape, strict=True))


def _cut(x: NDArray[Any], block: tuple[int, ...]) -> NDArray[Any]:
    """Blocks as rows, in C order of blocks and entries; ``block`` divides the shape."""
    counts = [n // b for n, b in zip(x.shape, block, strict=True)]
    split = x.reshape([side for pair in zip(counts, block, strict=True) for side in pair])
    axes = [*range(0, 2 * x.ndim, 2), *range(1, 2 * x.ndim, 2)]
    return np.ascontiguousarray(split.transpose(axes)).reshape(-1, int(np.prod(block)))


def _joined(rows: NDArray[Any], counts: list[int], block: tuple[int, ...]) -> NDArray[Any]:
    """Array of which `_cut` makes these rows."""
    axes = [axis for d in range(len(block)) for axis in (d, len(block) + d)]
    sides = [n * b for n, b in zip(counts, block, strict=True)]
    return rows.reshape(*counts, *block).transpose(axes).reshape(sides)


def quantize_blocks(
    x: Any,
    block: Any,
    n_values: int = 16,
    method: str = "optimal",
    sample_weight: Any = None,
    n_jobs: int | None = None,
    certify: bool = True,
    **parameters: Any,
) -> Blocks:
    """Quantize each block of an array with a codebook of its own, all in one parallel call.

    Parameters
    ----------
    x : array_like of any shape, or torch tensor
        Finite numbers, as for `solvq.quantize`.
    block : sequence of int
        Length of a block along each axis, -1 for all of it: ``(1, -1)`` for rows, ``(-1, 1)`` for
        columns, ``(1, 64)`` for groups, ``(8, 64)`` for tiles. Where it does not divide an axis,
        the last blocks are smaller.
    n_values : int, default 16
        Wanted number of values per block.
    method : str, default "optimal"
        Name in `solvq.scalar.METHODS`.
    sample_weight : array_like of the shape of ``x``, optional
        Nonnegative weights; a block whose weights are all zero is solved without.
    n_jobs, certify, **parameters
        As in `quantize_rows`.

    Returns
    -------
    Blocks
        Codebooks in the dtype of ``x``, indices, and mean distortion and its proven lower bound
        per block.

    Raises
    ------
    ValueError
        If ``x`` is not finite and non-empty, or an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from solvq.scalar import quantize_blocks
    >>> x = np.random.default_rng(0).normal(size=(16, 128))
    >>> tiles = quantize_blocks(x, (8, 64), 8, "restricted", values="e4m3")
    >>> tiles.codebooks.shape, tiles.indices.shape
    ((2, 2, 8), (16, 128))
    """
    data = checked(x)
    sides = _checked_block(block, data.shape)
    weight = None if sample_weight is None else to_numpy(sample_weight)
    if weight is not None and weight.shape != data.shape:
        raise ValueError(f"sample_weight has shape {weight.shape}; x has {data.shape}")
    shape = data.shape
    counts = [-(-n // b) for n, b in zip(shape, sides, strict=True)]
    missing = [(0, n * b - side) for n, b, side in zip(counts, sides, shape, strict=True)]
    if any(after for _, after in missing):  # copies without weight fill the last blocks
        weight = np.pad(np.ones(shape) if weight is None else weight, missing)
        data = np.pad(data, missing, mode="edge")
    weight = None if weight is None else _cut(weight, sides)
    rows = quantize_rows(_cut(data, sides), n_values, method, weight, n_jobs, certify, **parameters)
    indices = _joined(rows.indices, counts, sides)[tuple(slice(side) for side in shape)]
    return Blocks(
        rows.codebooks.reshape(*counts, -1),
        np.ascontiguousarray(indices).reshape(shape),
        rows.distortion.reshape(counts),
        rows.lower_bound.reshape(counts),
        sides,
    )

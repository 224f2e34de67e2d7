"""How a tensor is stored: tables, scales, and indices of fixed length or entropy-coded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import ALIGN, NUMPY_DTYPES
from solvq.checkpoint._layout import Layout
from solvq.checkpoint._pack import gather, index_width, multiply, packed_size

MAX_VALUES = 1 << 16
MOST_CODED = 20  # logarithm of what a coded byte may stand for
ENTRIES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "I8")
SCALES = {"float16": "F16", "bfloat16": "BF16", "e8m0": "F8_E8M0"}

Stored = dict[str, tuple[str, tuple[int, ...]]]


def filled(count: int, dtype: str) -> int:
    """Length of a list of numbers that is filled up to a multiple of `ALIGN` bytes."""
    itemsize = NUMPY_DTYPES[dtype].itemsize
    return -(-count * itemsize // ALIGN) * ALIGN // itemsize


def credible(size: int, coded: int) -> bool:
    """Whether so many coded bytes may stand for so much: a file must not claim any amount."""
    return 0 <= size <= coded << MOST_CODED


@dataclass(frozen=True)
class Scheme:
    """What is stored of a tensor.

    A weight is ``tables[t, index] * scales[s]``, where ``t`` and ``s`` are the blocks of the two
    layouts that it lies in; without scales, the entry itself. The product is computed in float32
    (float64 for float64 tensors), exactly where entry and scale have at most 16 bits, and then
    rounded once.

    Parameters
    ----------
    tables : Layout
        What shares a table.
    n_values : int
        Entries of a table.
    values : str
        Dtype of the entries, in the names of safetensors.
    scales : Layout or None
        What shares a scale.
    scale_dtype : str
        Dtype of the scales.
    coded : int or None
        Bytes of the entropy-coded indices; None where each index takes the same bits.
    """

    tables: Layout
    n_values: int
    values: str
    scales: Layout | None = None
    scale_dtype: str = "F16"
    coded: int | None = None

    def stored(self, name: str) -> Stored:
        """Dtype and shape of the entries that hold a tensor."""
        entries = filled(self.tables.blocks * self.n_values, self.values)
        found: Stored = {f"{name}:codebook": (self.values, (entries,))}
        if self.scales is not None:
            count = filled(self.scales.blocks, self.scale_dtype)
            found[f"{name}:scales"] = (self.scale_dtype, (count,))
        packed = packed_size(self.tables.size, index_width(self.n_values))
        return found | {f"{name}:indices": ("U8", (packed if self.coded is None else self.coded,))}

    @property
    def words(self) -> str:
        """What shares a table, and a scale if there are any, and how indices are stored."""
        scale = "" if self.scales is None else f" scale {self.scales.name}"
        return f"{self.tables.name}{scale}{'' if self.coded is None else ' coded'}"

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return sum(NUMPY_DTYPES[dtype].itemsize * n for dtype, (n,) in self.stored("").values())

    def check(self, size: int) -> None:
        """Raise ValueError where the parts do not fit a tensor of so many weights."""
        known = self.values in ENTRIES and self.scale_dtype in SCALES.values()
        if not known or not 1 <= self.n_values <= MAX_VALUES:
            raise ValueError("scheme is out of range")
        if self.coded is not None and not credible(size, self.coded):
            raise ValueError("coded indices are too few for the tensor")
        for layout in (self.tables, self.scales):
            if layout is None:
                continue
            inside = layout.height <= layout.rows and layout.width <= layout.columns
            if min(layout) < 1 or layout.size != size or not inside:
                raise ValueError("layout does not cover the tensor")

    def restore(
        self, tables: NDArray[Any], scales: NDArray[Any], indices: NDArray[Any], dtype: str
    ) -> NDArray[Any]:
        """Weights of indices, flat, in the dtype of the tensor."""
        wanted = NUMPY_DTYPES[dtype]
        if self.scales is None:
            word = np.dtype(f"u{wanted.itemsize}")
            out = np.empty(indices.size, word)
            with np.errstate(over="ignore"):
                gather(tables.astype(wanted).view(word), indices, self.tables, out)
            return out.view(wanted)
        wide = np.dtype(np.float64 if dtype == "F64" else np.float32)
        out = np.empty(indices.size, wide)
        gather(tables.astype(wide), indices, self.tables, out)
        multiply(out, scales.astype(wide), self.scales)
        with np.errstate(over="ignore"):
            return out.astype(wanted, copy=False)

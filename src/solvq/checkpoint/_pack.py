"""Indices as a stream of bits: value ``i`` of ``b`` bits starts at bit ``i * b``, low bit first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._layout import Layout
from solvq.code import index_bits
from solvq.scalar._kernels import kernel

PAD = 8  # the packed bytes are filled up to a multiple of this


@kernel
def _write(indices: NDArray[Any], bits: int, out: NDArray[np.uint8]) -> None:
    """Append each index to the stream."""
    held, length, position = np.uint64(0), 0, 0
    for i in range(indices.size):
        held |= np.uint64(indices[i]) << np.uint64(length)
        length += bits
        while length >= 8:
            out[position] = np.uint8(held & np.uint64(0xFF))
            held >>= np.uint64(8)
            length -= 8
            position += 1
    if length > 0:
        out[position] = np.uint8(held & np.uint64(0xFF))


@kernel
def _read(packed: NDArray[np.uint8], bits: int, out: NDArray[Any]) -> None:
    """Take each index off the stream."""
    held, length, position = np.uint64(0), 0, 0
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for i in range(out.size):
        while length < bits:
            held |= np.uint64(packed[position]) << np.uint64(length)
            length += 8
            position += 1
        out[i] = held & mask
        held >>= np.uint64(bits)
        length -= bits


@kernel
def _write_even(indices: NDArray[Any], bits: int, out: NDArray[np.uint8]) -> None:
    """`_write` where each byte holds whole indices."""
    each = 8 // bits
    full = indices.size // each
    for i in range(full):
        byte = np.uint8(0)
        for t in range(each):
            byte |= np.uint8(indices[i * each + t]) << np.uint8(t * bits)
        out[i] = byte
    for t in range(indices.size - full * each):
        out[full] |= np.uint8(indices[full * each + t]) << np.uint8(t * bits)


def index_width(n_values: int) -> int:
    """Bits of a stored index: at least one, so that no file stands for far more than it holds."""
    return max(1, index_bits(n_values))


def packed_size(count: int, bits: int) -> int:
    """Bytes of ``count`` packed indices, filling included."""
    return -(-count * bits // (8 * PAD)) * PAD


def pack(indices: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Pack indices below ``2**bits``, ``1 <= bits <= 16``."""
    out = np.zeros(packed_size(indices.size, bits), np.uint8)
    write = _write_even if 8 % bits == 0 else _write
    write(np.ascontiguousarray(indices).reshape(-1), bits, out)
    return out


def unpack(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[Any]:
    """Invert `pack`."""
    out = np.empty(count, np.uint8 if bits <= 8 else np.uint16)
    _read(packed, bits, out)
    return out


@kernel
def gather(tables: NDArray[Any], indices: NDArray[Any], layout: Layout, out: NDArray[Any]) -> None:
    """Entries of the indices, those of each block from the table of its number."""
    across = -(-layout.columns // layout.width)
    i = 0
    for r in range(layout.rows):
        first = r // layout.height * across
        for b in range(across):
            table = tables[first + b]
            for _ in range(min(layout.width, layout.columns - b * layout.width)):
                out[i] = table[indices[i]]
                i += 1


@kernel
def multiply(values: NDArray[Any], scales: NDArray[Any], layout: Layout) -> None:
    """Multiply each block by the scale of its number."""
    across = -(-layout.columns // layout.width)
    i = 0
    for r in range(layout.rows):
        first = r // layout.height * across
        for b in range(across):
            scale = scales[first + b]
            for _ in range(min(layout.width, layout.columns - b * layout.width)):
                values[i] *= scale
                i += 1


@kernel
def table_error(
    x: NDArray[Any], weight: Any, tables: Any, indices: NDArray[Any], layout: Layout
) -> float:
    """Weighted sum of squared differences to entries of the indices; empty ``weight`` counts."""
    across = -(-layout.columns // layout.width)
    total, i = 0.0, 0
    for r in range(layout.rows):
        first = r // layout.height * across
        for b in range(across):
            table, part = tables[first + b], 0.0
            for _ in range(min(layout.width, layout.columns - b * layout.width)):
                error = np.float64(x[i]) - np.float64(table[indices[i]])
                part += error * error * (weight[i] if weight.size else 1.0)
                i += 1
            total += part
    return total


@kernel
def squares(x: NDArray[Any], less: NDArray[Any], weight: Any) -> float:
    """Weighted sum of squared differences; empty ``less`` are zeros, empty ``weight`` counts."""
    total = 0.0
    for i in range(x.size):
        error = np.float64(x[i]) - (np.float64(less[i]) if less.size else 0.0)
        total += error * error * (weight[i] if weight.size else 1.0)
    return total

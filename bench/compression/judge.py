"""Every number that is reported: bytes, squared error, quality. No method marks its own work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from bench.compression.methods import Method

Array = NDArray[Any]
Tensors = dict[str, Array]
SMALLEST = 1024  # weights; smaller tensors are kept by all methods


def weights(tensors: Mapping[str, Array]) -> list[str]:
    """Tensors that all methods compress: of two dimensions and more, float, not small."""
    return [
        name
        for name, x in tensors.items()
        if x.ndim >= 2 and x.dtype.kind == "f" and x.size >= SMALLEST
    ]


def kept_bytes(tensors: Mapping[str, Array]) -> int:
    """Bytes of the tensors that are kept as they are."""
    names = set(weights(tensors))
    return sum(x.nbytes for name, x in tensors.items() if name not in names)


def store(method: Method, bits: float, tensors: Tensors) -> tuple[Tensors, int]:
    """Tensors after storage by a competitor, and the size of a safetensors file of its parts.

    The parts are of the size that the layout gives them, an entry each; the file's header counts,
    as it does for solvq.
    """
    restored, entries = dict(tensors), dict(tensors)
    for name in weights(tensors):
        x = entries.pop(name)
        coded = method.code(x.astype(np.float32), bits)
        restored[name] = coded.restored.astype(x.dtype)
        for part, size in coded.parts.items():
            entries[f"{name}:{part}"] = np.zeros(size, np.uint8)
    return restored, len(save(entries))


def relative_error(tensors: Tensors, restored: Tensors) -> float:
    """Squared error over the sum of squares, of the tensors that are compressed."""
    error = energy = 0.0
    for name in weights(tensors):
        x = tensors[name].astype(np.float64)
        error += float(((x - restored[name].astype(np.float64)) ** 2).sum())
        energy += float((x**2).sum())
    return error / energy


def bits_per_weight(tensors: Tensors, nbytes: int) -> float:
    """Bits that the file spends on a compressed weight, header included."""
    number = sum(tensors[name].size for name in weights(tensors))
    return 8 * (nbytes - kept_bytes(tensors)) / number

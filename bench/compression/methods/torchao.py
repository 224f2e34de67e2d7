"""int8 and int4 weight-only of torchao."""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_dtypes import bfloat16

from bench.compression.methods._base import Array, Coded, Method, blocks, packed, unblocked


class Int8(Method):
    """Symmetric integers, one scale per output channel."""

    name = "int8"
    about = "torchao Int8WeightOnlyConfig: 8-bit integers, a float32 scale per output channel"
    rates = (8.0,)

    def code(self, x: Array, bits: float) -> Coded:
        """Divide each channel by its largest magnitude over 127.5."""
        rows = x.reshape(len(x), -1).astype(np.float32)
        step = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127.5)
        step = np.maximum(step, np.finfo(np.float32).eps)
        codes = np.clip(np.round(rows / step), -128, 127)
        parts = {"codes": x.size, "scales": 4 * len(rows)}
        return Coded((codes * step).reshape(x.shape), parts)


class Int4(Method):
    """Sixteen even steps from the least to the largest weight of a group."""

    rates = (4.0,)

    def __init__(self, length: int) -> None:
        self.length, self.name = length, f"int4-{length}"
        self.about = (
            f"torchao Int4WeightOnlyConfig, group of {length}: bfloat16 weights, a bfloat16 scale"
            " and zero point per group; computed in float32, which errs a little less"
        )

    def code(self, x: Array, bits: float) -> Coded:
        """Spread the codes over each group's range."""
        rows = brief(blocks(x, self.length))
        low, high = rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)
        step = brief(np.maximum((high - low) / np.float32(15), np.finfo(np.float32).tiny))
        middle = brief(low + 8 * step)  # what the layout stores: the value of code 8
        codes = np.clip(np.round((rows - (middle - 8 * step)) / step), 0, 15)
        restored = (codes - 8) * step + middle
        parts = {"codes": packed(x.size, 4), "scales": 2 * len(rows), "zeros": 2 * len(rows)}
        return Coded(unblocked(restored, x), parts)


def brief(x: Any) -> Array:
    """Values as bfloat16 holds them."""
    return np.asarray(x, np.float32).astype(bfloat16).astype(np.float32)

"""NF4 of bitsandbytes: sixteen fixed values, a scale for every 64 weights."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from bench.compression.methods._base import Array, Coded, Method, blocks, packed, unblocked

BLOCK, SCALES = 64, 256  # weights of a scale, scales of a scale
OFFSET = 0.9677083  # the largest quantile that is used, as published


def levels() -> Array:
    """Table of the QLoRA paper: quantiles of the normal law, zero among them, in [-1, 1]."""
    above = norm.ppf(np.linspace(OFFSET, 0.5, 9)[:-1])
    below = -norm.ppf(np.linspace(OFFSET, 0.5, 8)[:-1])
    table = np.sort(np.concatenate([above, [0.0], below]))
    return (table / np.abs(table).max()).astype(np.float32)


def nearest(x: Array, table: Array) -> Array:
    """Index of the nearest entry of an ascending table."""
    return np.searchsorted((table[1:] + table[:-1]) / 2, x).astype(np.uint8)


def dynamic_levels() -> Array:
    """The 8-bit table of bitsandbytes' dynamic data type, for scales of scales, in [-1, 1].

    A sign, a decimal exponent in unary and a linear fraction: for each of seven exponents twice as
    many fractions as for the one below; zero and one are added.
    """
    found = [0.0, 1.0]
    for i in range(7):
        edges = np.linspace(0.1, 1.0, 2**i + 1)
        means = 10.0 ** (i - 6) * (edges[:-1] + edges[1:]) / 2
        found += [*means, *-means]
    return np.sort(np.asarray(found, np.float32))


def absmax(rows: Array) -> Array:
    """Largest magnitude of each row, one where all are zero."""
    found = np.abs(rows).max(axis=1, keepdims=True)
    return np.where(found > 0, found, np.float32(1)).astype(np.float32)


class NF4(Method):
    """The default of bitsandbytes: float32 scales, 4.5 bits a weight."""

    name = "nf4"
    about = "bitsandbytes NF4, block of 64, a float32 scale (absmax) per block"
    rates = (4.0,)

    def code(self, x: Array, bits: float) -> Coded:
        """Scale each block into [-1, 1] and take the nearest level."""
        rows = blocks(x, BLOCK)
        scale, table = absmax(rows), levels()
        codes = nearest(rows / scale, table)
        stored, parts = self._scales(scale)
        restored = table[codes] * stored
        return Coded(unblocked(restored, x), {"codes": packed(x.size, 4), **parts})

    def _scales(self, scale: Array) -> tuple[Array, dict[str, int]]:
        """Scales as they are read back, and their bytes."""
        return scale, {"scales": 4 * len(scale)}


class DoubleNF4(NF4):
    """With ``bnb_4bit_use_double_quant``: 4.127 bits a weight."""

    name = "nf4-double"
    about = (
        "NF4 with double quantization: the scales less their mean in 8 bits (dynamic type), a"
        " float32 scale for 256 of them; its tables, the same for all tensors, are not counted"
    )

    def _scales(self, scale: Array) -> tuple[Array, dict[str, int]]:
        """Quantize the scales too."""
        mean, table = np.float32(scale.mean()), dynamic_levels()
        rows = blocks(scale - mean, SCALES)
        outer = absmax(rows)
        restored = unblocked(table[nearest(rows / outer, table)] * outer, scale) + mean
        return restored, {"scales": len(scale), "outer": 4 * len(rows), "mean": 4}

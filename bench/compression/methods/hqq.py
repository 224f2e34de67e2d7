"""HQQ: affine groups whose zero points are refined for an error that forgives outliers."""

from __future__ import annotations

from typing import final

import numpy as np

from bench.compression.methods._base import Array, Coded, Method, blocks, packed, unblocked

GROUP = 64
POWER, BETA, KAPPA, STEPS = 0.7, 10.0, 1.01, 20  # the package's defaults
WORDS = {3: (10, 4)}  # ten codes of 3 bits in a word of four bytes; others fill their bytes


@final
class HQQ(Method):
    """Half-quadratic quantization with the package's defaults."""

    name = "hqq"
    about = "HQQ, group of 64: float16 scale and zero point per group, no calibration"
    rates = (8.0, 4.0, 3.0, 2.0)

    def code(self, x: Array, bits: float) -> Coded:
        """Alternate between the errors that are forgiven and the zero points."""
        rows, top = blocks(x, GROUP), 2 ** int(bits) - 1
        low, high = rows.min(axis=1, keepdims=True), rows.max(axis=1, keepdims=True)
        spread = high - low
        flat = spread <= 1e-4  # the package's rule
        scale = np.minimum(np.float32(top) / np.where(flat, np.float32(top), spread), 2e4)
        zero = -low * scale
        if bits == 4:
            zero = np.round(zero)
        zero = refined(rows, scale, zero, top)
        step, zero = half(1 / scale), half(zero)
        codes = np.clip(np.round(rows * scale + zero), 0, top)
        parts = {"codes": stored(x.size, int(bits))}
        parts |= {"scales": 2 * len(rows), "zeros": 2 * len(rows)}
        return Coded(unblocked((codes - zero) * step, x), parts)


def refined(rows: Array, scale: Array, zero: Array, top: int) -> Array:
    """Zero points after alternating steps, up to the first that does not lower the error."""
    beta, best = BETA, np.inf
    for _ in range(STEPS):
        codes = np.clip(np.round(rows * scale + zero), 0, top)
        error = rows - (codes - zero) / scale
        zero = (codes - (rows - shrunk(error, beta)) * scale).mean(axis=1, keepdims=True)
        beta *= KAPPA
        if (now := float(np.abs(error).mean())) >= best:
            break
        best = now
    return zero.astype(np.float32)


def shrunk(error: Array, beta: float) -> Array:
    """Errors that are forgiven: the proximal step of a norm with exponent below one."""
    size = np.maximum(np.abs(error), np.float32(1e-12))
    return np.sign(error) * np.maximum(size - size ** (POWER - 1) / beta, 0)


def half(x: Array) -> Array:
    """Values as float16 holds them."""
    return x.astype(np.float16).astype(np.float32)


def stored(n_codes: int, bits: int) -> int:
    """Bytes of the packed codes."""
    if bits in WORDS:
        codes, size = WORDS[bits]
        return -(-n_codes // codes) * size
    return packed(n_codes, bits)

"""Q4_0 and Q8_0 of GGUF: integers with a float16 scale for every 32 weights."""

from __future__ import annotations

import numpy as np

from bench.compression.methods._base import Array, Coded, Method, blocks, unblocked

BLOCK = 32


class Q4(Method):
    """Sixteen even steps, of which the extreme weight gets the lowest: 4.5 bits a weight."""

    name = "q4_0"
    about = "GGUF Q4_0 (as llama.cpp and the package gguf store it): 32 weights in 18 bytes"
    rates = (4.0,)

    def code(self, x: Array, bits: float) -> Coded:
        """Divide by an eighth of the weight of largest magnitude, with its sign turned."""
        rows = blocks(x, BLOCK)
        extreme = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], 1)
        step = extreme / np.float32(-8)
        codes = np.clip(np.trunc(rows * reciprocal(step) + np.float32(8.5)), 0, 15)
        restored = (codes - 8) * half(step)
        return Coded(unblocked(restored, x), {"blocks": 18 * len(rows)})


class Q8(Method):
    """255 even steps up to the largest magnitude: 8.5 bits a weight."""

    name = "q8_0"
    about = "GGUF Q8_0: 32 weights in 34 bytes"
    rates = (8.0,)

    def code(self, x: Array, bits: float) -> Coded:
        """Divide by the largest magnitude over 127, round half away from zero."""
        rows = blocks(x, BLOCK)
        step = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)
        scaled = rows * reciprocal(step)
        codes = np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))
        return Coded(unblocked(codes * half(step), x), {"blocks": 34 * len(rows)})


def reciprocal(step: Array) -> Array:
    """One over a step, zero for zero."""
    return np.divide(np.float32(1), step, out=np.zeros_like(step), where=step != 0)


def half(step: Array) -> Array:
    """A step as it is stored."""
    return step.astype(np.float16).astype(np.float32)

"""Scales of the blocks of a tensor, and how they are fitted to tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NUMPY_DTYPES
from solvq.checkpoint._layout import Layout, layout_of
from solvq.checkpoint._pack import multiply
from solvq.scalar._kernels import Float64, kernel

DAMPING = 0.01  # of the mean weight is added to that of each block
SCALE_BITS = 16
PEAKS = {"I8": 127.0, "F8_E4M3": 448.0}  # what the largest weight of a block becomes; else 1


@kernel
def _largest(x: NDArray[Any], layout: Layout, out: Float64) -> None:
    """Largest magnitude of each block."""
    across = -(-layout.columns // layout.width)
    out[:] = 0.0
    i = 0
    for r in range(layout.rows):
        first = r // layout.height * across
        for c in range(layout.columns):
            b = first + c // layout.width
            out[b] = max(out[b], abs(x[i]))
            i += 1


@kernel
def _moments(
    x: NDArray[Any], weight: Float64, q: NDArray[Any], layout: Layout, out: Float64
) -> None:
    """Weighted sums of ``x q`` and of ``q q`` of each block; empty ``weight`` counts."""
    across = -(-layout.columns // layout.width)
    out[:] = 0.0
    i = 0
    for r in range(layout.rows):
        first = r // layout.height * across
        for c in range(layout.columns):
            b = first + c // layout.width
            w = weight[i] if weight.size else 1.0
            out[0, b] += w * x[i] * q[i]
            out[1, b] += w * q[i] * q[i]
            i += 1


def stored_scales(scales: Float64, dtype: str) -> Float64:
    """Nearest positive finite scales that a dtype holds."""
    kind = NUMPY_DTYPES[dtype]
    if dtype == "F8_E8M0":
        return np.ldexp(1.0, np.clip(np.rint(np.log2(scales)), -127, 127).astype(int))
    smallest, largest = (2.0**-24, 65504.0) if dtype == "F16" else (2.0**-126, 3e38)
    return np.clip(scales, smallest, largest).astype(kind).astype(np.float64)


def block_scales(flat: NDArray[Any], layout: Layout, values: str) -> Float64:
    """Scales that bring the largest weight of each block to the peak of the tables."""
    found = np.empty(layout.blocks)
    _largest(flat, layout, found)
    found[found == 0.0] = 1.0
    return found / PEAKS.get(values, 1.0)


def first_scales(flat: NDArray[Any], layout: Layout, values: str, dtype: str) -> Float64:
    """Those of `block_scales` in the dtype that `held` gives for them."""
    found = block_scales(flat, layout, values)
    return stored_scales(found, held(found, dtype))


def held(scales: Float64, dtype: str) -> str:
    """Dtype of scales: bfloat16, of the same size, where float16 holds none of the largest."""
    largest = float(scales.max())
    return "BF16" if dtype == "F16" and not 2.0**-14 <= largest <= 65504.0 else dtype


def fitted_scales(
    flat: NDArray[Any], weight: Float64 | None, q: NDArray[Any], before: Float64, layout: Layout
) -> Float64:
    """Scales of least squared error for entries ``q``; those before where that is not positive."""
    sums = np.empty((2, layout.blocks))
    _moments(flat, np.empty(0) if weight is None else weight, q, layout, sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        best = sums[0] / sums[1]
    return np.where(np.isfinite(best) & (best > 0.0), best, before)


def wide(flat: NDArray[Any]) -> NDArray[Any]:
    """Weights in the float that scales are applied in."""
    return flat.astype(np.float64 if flat.dtype.itemsize > 4 else np.float32, copy=False)


def divided(
    flat: NDArray[Any], weight: Float64 | None, scales: Float64, layout: Layout
) -> tuple[NDArray[Any], Float64]:
    """Weights over their scales, and what an error there counts: the squared scale."""
    factor = np.ones(flat.size)
    multiply(factor, scales, layout)
    y = (flat / factor).astype(flat.dtype)
    factor *= factor
    return y, factor if weight is None else factor * weight


def _block_means(weight: Float64, layout: Layout) -> Float64:
    """Mean weight of each block, and a little of the mean of all."""
    sums = np.empty((2, layout.blocks))
    ones = np.ones(weight.size)
    _moments(weight, np.empty(0), ones, layout, sums)
    means: Float64 = sums[0] / sums[1]
    return means + DAMPING * float(weight.mean())


def balance(weight: Float64 | None, shape: tuple[int, ...]) -> str:
    """Name of the layout of scales that makes the weights of errors even; empty if none pays.

    Where errors of a block weigh ``h``, coded indices should have steps of ``h^(-1/2)``: at high
    rate this saves half the logarithm of the arithmetic over the geometric mean of ``h``.
    """
    best, name = 0.0, ""
    if weight is None or len(shape) < 2:
        return ""
    for kind in ("column", "row"):
        layout = layout_of(kind, shape)
        means = _block_means(weight, layout)
        saved = 0.5 * weight.size * float(np.log2(means.mean()) - np.log2(means).mean())
        if saved - SCALE_BITS * layout.blocks > best:
            best, name = saved - SCALE_BITS * layout.blocks, kind
    return name


def balancing(weight: Float64, layout: Layout, dtype: str) -> Float64:
    """Scales of blocks that make the weights of their errors even."""
    means = _block_means(weight, layout)
    return stored_scales(np.sqrt(means.mean() / means), dtype)

"""Arrays as users have them: NumPy, torch tensors on any device, nested numbers; and weights."""

from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray


def to_numpy(x: Any) -> NDArray[Any]:
    """NumPy view of an array, a torch tensor (any device) or nested numbers."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("x is a masked array; give x.compressed() or x.filled(value)")
    if type(x).__module__.partition(".")[0] == "torch" and hasattr(x, "detach"):
        x = x.detach().cpu().contiguous()
        name = str(x.dtype).removeprefix("torch.")
        if not hasattr(np, name):
            torch = sys.modules["torch"]
            raw = x.view(torch.uint8 if x.element_size() == 1 else torch.int16)
            return raw.numpy().view(getattr(ml_dtypes, name))
        return x.numpy()
    return np.asarray(x)


def checked_weight(sample_weight: Any, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Flat float64 weights for data of a shape, or None.

    Raises
    ------
    ValueError
        If the shape differs, a weight is negative or not finite, or all are zero.
    """
    if sample_weight is None:
        return None
    weight = to_numpy(sample_weight)
    if weight.shape != shape:
        raise ValueError(f"sample_weight has shape {weight.shape}; x has {shape}")
    weight = weight.astype(np.float64).reshape(-1)
    if not np.isfinite(weight).all() or weight.min() < 0.0:
        raise ValueError("sample_weight has negative or non-finite entries; give weights >= 0")
    if weight.max() == 0.0:
        raise ValueError("sample_weight is zero everywhere; give at least one positive weight")
    return weight


def scaled(weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Weights times ``2**-exponent``, the largest in ``[0.5, 1)`` so that no sum overflows."""
    exponent = int(np.frexp(weight.max())[1])
    return np.ldexp(weight, -exponent), exponent

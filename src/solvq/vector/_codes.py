"""Between tensors of indices and codes in NumPy."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def to_array(tensor: Tensor) -> NDArray[Any]:
    """A copy as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.cpu().numpy().copy()


def check_indices(indices: Any, n_codes: int, n_levels: int | None) -> None:
    """Raise unless ``indices`` are integers below ``n_codes``, with an axis of levels if any."""
    integer = isinstance(indices, Tensor) and not indices.is_floating_point()
    if not integer or indices.dtype == torch.bool:
        got = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
        raise TypeError(f"code is {got}; give a solvq.Code or a tensor of integer indices")
    n_axes = 1 + (n_levels is not None)
    if indices.ndim < n_axes or indices.shape[-1] != (n_levels or indices.shape[-1]):
        axis = "" if n_levels is None else f" with a last axis of {n_levels} levels"
        raise ValueError(
            f"indices have shape {tuple(indices.shape)}; give those of a forward, (N,) or "
            f"(B, *spatial){axis}"
        )
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < n_codes:
        raise ValueError(
            f"indices span {int(indices.min())}..{int(indices.max())}; the layer has codes "
            f"0..{n_codes - 1}"
        )

"""Between tensors of indices and codes in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvq.code import Code
from solvq.vector._check import check_floating


def to_array(tensor: Tensor) -> NDArray[Any]:
    """A copy as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.cpu().numpy().copy()


def mixture(weights: Tensor) -> Code:
    """Weights as a code: a table of those that occur, and indices into it."""
    table, place = np.unique(to_array(weights), return_inverse=True)
    if not table.size:
        table = np.ones(1, table.dtype)
    return Code(table, place.reshape(tuple(weights.shape)))


def check_weights(weights: Any, shape: tuple[int, ...] | None) -> None:
    """Raise unless ``weights`` have a shape, or are None where ``shape`` is."""
    if shape is None:
        if weights is not None:
            raise ValueError("weights decode nothing here, indices alone do; leave them out")
        return
    if weights is None:
        raise ValueError(
            "indices do not tell the values of a layer that mixes codewords; give the weights of "
            "the forward too, or the solvq.Code of encode"
        )
    check_floating("weights", weights)
    if weights.shape != shape:
        raise ValueError(f"weights have shape {tuple(weights.shape)}; the indices need {shape}")


def check_indices(indices: Any, n_codes: int, n_indices: int | None) -> None:
    """Raise unless ``indices`` are integers below ``n_codes``, with an axis of ``n_indices``."""
    integer = isinstance(indices, Tensor) and not indices.is_floating_point()
    if not integer or indices.dtype == torch.bool:
        got = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
        raise TypeError(f"code is {got}; give a solvq.Code or a tensor of integer indices")
    n_axes = 1 + (n_indices is not None)
    if indices.ndim < n_axes or indices.shape[-1] != (n_indices or indices.shape[-1]):
        axis = "" if n_indices is None else f" with a last axis of length {n_indices}"
        raise ValueError(
            f"indices have shape {tuple(indices.shape)}; give those of a forward, (N,) or "
            f"(B, *spatial){axis}"
        )
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < n_codes:
        raise ValueError(
            f"indices span {int(indices.min())}..{int(indices.max())}; the layer has codes "
            f"0..{n_codes - 1}"
        )

"""Checks of what comes in at the border of `solvq.vector`, and the dtype to compute in."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def check_floating(name: str, tensor: Any) -> None:
    """Raise unless ``tensor`` is a floating-point tensor."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is {type(tensor).__name__}; give a floating-point torch.Tensor")
    if not tensor.is_floating_point():
        raise TypeError(f"{name} has dtype {tensor.dtype}; give a floating-point tensor")


def check_latents(z: Any, codebook: Any) -> None:
    """Raise unless ``z`` is (N, F) and ``codebook`` (K, F), with K and F at least 1."""
    for name, tensor in (("z", z), ("codebook", codebook)):
        check_floating(name, tensor)
        if tensor.ndim != 2:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; give two dimensions")
    if z.device != codebook.device:
        raise ValueError(f"z is on {z.device}, codebook on {codebook.device}; move one of them")
    if z.shape[1] != codebook.shape[1] or 0 in codebook.shape:
        raise ValueError(
            f"z has shape {tuple(z.shape)} and codebook {tuple(codebook.shape)}; give (N, F) and "
            "(K, F), one codeword a row, with K >= 1 and F >= 1"
        )


def check_alpha(alpha: Any) -> None:
    """Raise unless ``alpha`` is a finite number above zero or a 0-d floating-point tensor."""
    if isinstance(alpha, Tensor):
        check_floating("alpha", alpha)
        if alpha.ndim != 0:
            raise ValueError(f"alpha has shape {tuple(alpha.shape)}; give a number or a 0-d tensor")
        return
    if isinstance(alpha, bool) or not isinstance(alpha, float | int):
        raise TypeError(f"alpha is {alpha!r}; give a number above 0 or a 0-d tensor")
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha is {alpha}; give a finite number above 0")


def check_stopping(tol: Any, max_iter: Any) -> None:
    """Raise unless ``tol`` is a number of at least 0 and ``max_iter`` an integer of at least 1."""
    if isinstance(tol, bool) or not isinstance(tol, float | int) or not tol >= 0:
        raise ValueError(f"tol is {tol!r}; give a number >= 0")
    if isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 1:
        raise ValueError(f"max_iter is {max_iter!r}; give an integer >= 1")


def computed(z: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in the dtype to compute in: the wider of theirs, and at least float32."""
    dtype = torch.promote_types(torch.promote_types(z.dtype, codebook.dtype), torch.float32)
    return z.to(dtype), codebook.to(dtype)


def absolute(alpha: float | Tensor, codebook: Tensor, relative: bool) -> Tensor:
    """Penalty as a 0-d tensor like ``codebook``; a relative one is times ``tr(C C^T) / F``.

    No gradient flows through the trace.
    """
    alpha = torch.as_tensor(alpha, dtype=codebook.dtype, device=codebook.device)
    if not relative:
        return alpha
    return alpha * (codebook.detach().square().sum() / codebook.shape[1])

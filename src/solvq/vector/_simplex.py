"""Euclidean projection on the probability simplex."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from solvq.vector._check import check_floating

ELEMENTS = 2**17  # of a chunk on the CPU: a few temporaries fit a cache


def _chunks(rows: Tensor) -> range:
    """First rows of chunks, and as ``step`` their length."""
    n_rows, width = rows.shape
    return range(0, n_rows, max(1, n_rows if rows.is_cuda else ELEMENTS // width))


def _threshold(rows: Tensor) -> Tensor:
    """Solve ``sum(max(y - t, 0)) = 1`` for t in each row y of maximum 0.

    Newton's method from below: the sum is convex and piecewise linear in t, so every step moves up
    to, and never past, the solution, and ends there.
    """
    width = rows.shape[1]
    threshold = ((rows.sum(1, keepdim=True) - 1) / width).clamp_min(-1)
    for _ in range(width + 1):
        above = torch.gt(rows, threshold, out=torch.empty_like(rows))
        count = above.sum(1, keepdim=True)
        total = above.mul_(rows).sum(1, keepdim=True)
        higher = torch.maximum((total - 1) / count, threshold)
        if not (higher > threshold).any():
            break
        threshold = higher
    return threshold


@torch.library.custom_op("solvq::project_rows", mutates_args=())
def project_rows(y: Tensor) -> Tensor:
    """`project_simplex` of an (N, K) tensor in float32 or float64; trusts its input."""
    result = torch.empty_like(y)
    chunks = _chunks(y)
    for first in chunks:
        rows = y[first : first + chunks.step]
        rows = rows - rows.amax(1, keepdim=True)
        positive = result[first : first + chunks.step]
        torch.sub(rows, _threshold(rows), out=positive)
        positive.clamp_min_(0)
    return result


@torch.library.custom_op("solvq::centre_rows", mutates_args=())
def centre_rows(weights: Tensor, grad: Tensor) -> Tensor:
    """``grad`` minus its mean over the support of the weights there, and zero elsewhere."""
    result = torch.empty_like(weights)
    chunks = _chunks(weights)
    for first in chunks:
        rows = slice(first, first + chunks.step)
        support = torch.gt(weights[rows], 0, out=torch.empty_like(weights[rows]))
        inside = torch.mul(grad[rows], support, out=result[rows])
        mean = inside.sum(1, keepdim=True) / support.sum(1, keepdim=True)
        inside -= support.mul_(mean)
    return result


@project_rows.register_fake
def _(y: Tensor) -> Tensor:
    return torch.empty_like(y)


@centre_rows.register_fake
def _(weights: Tensor, grad: Tensor) -> Tensor:
    return torch.empty_like(weights)


def _save_weights(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep the support of the projection, or of the weights its derivative is taken at."""
    ctx.save_for_backward(output if len(inputs) == 1 else inputs[0])


def _project_backward(ctx: Any, grad: Tensor) -> Tensor:
    """The derivative of the projection is symmetric."""
    return centre_rows(ctx.saved_tensors[0].detach(), grad)


def _centre_backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
    """Centring is linear in ``grad`` and piecewise constant in the weights."""
    return None, centre_rows(ctx.saved_tensors[0], grad)


project_rows.register_autograd(_project_backward, setup_context=_save_weights)
centre_rows.register_autograd(_centre_backward, setup_context=_save_weights)


def project_simplex(y: Tensor) -> Tensor:
    """Nearest point of the probability simplex.

    Minimises ``1/2 |p - y|^2`` subject to ``p >= 0`` and ``sum(p) = 1``, for each vector y along
    the last dimension, exactly: ``p = max(y - t, 0)`` with the t that makes the sum 1. On the
    support of p the derivative is ``I - 1 1^T / |support|``, so derivatives of any order are right
    wherever the support does not change.

    Parameters
    ----------
    y : Tensor of shape (..., K)
        Floating point, K >= 1. float16 and bfloat16 are computed in float32.

    Returns
    -------
    Tensor of shape (..., K)
        In the dtype of ``y``.

    Raises
    ------
    TypeError
        If ``y`` is not a floating-point tensor.
    ValueError
        If ``y`` has no last dimension or an empty one.
    """
    check_floating("y", y)
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ValueError(f"y has shape {tuple(y.shape)}; give (..., K) with K >= 1")
    wide = y.to(torch.promote_types(y.dtype, torch.float32))
    return project_rows(wide.reshape(-1, y.shape[-1])).reshape(y.shape).to(y.dtype)

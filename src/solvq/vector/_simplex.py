"""Euclidean projection on the probability simplex."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from solvq.vector import _kernels
from solvq.vector._check import check_floating

ELEMENTS = 2**17  # for a thread to be worth its start

Kernel = Callable[..., None]


def spans(rows: Tensor) -> list[tuple[int, int, int]]:
    """First row, end and number of the parts of rows that torch's threads may share."""
    n_rows, width = rows.shape
    n_parts = max(1, min(torch.get_num_threads(), n_rows * width // ELEMENTS))
    edges = [n_rows * i // n_parts for i in range(n_parts + 1)]
    return [(edges[i], edges[i + 1], i) for i in range(n_parts)]


def in_threads(kernel: Kernel, parts: list[tuple[int, int, int]], *arguments: Any) -> None:
    """Run a kernel of `solvq.vector._kernels` on each of the parts of `spans`.

    Numba's own threads are not safe under calls that run at once.
    """
    if len(parts) == 1:
        kernel(*arguments, parts[0])
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        for job in [pool.submit(kernel, *arguments, part) for part in parts]:
            job.result()


def array(tensor: Tensor) -> NDArray[Any]:
    """The numbers of a tensor on the CPU, contiguous, in its own memory if it is."""
    numbers: NDArray[Any] = tensor.detach().contiguous().numpy()
    return numbers


def _threshold(rows: Tensor) -> Tensor:
    """Solve ``sum(max(y - t, 0)) = 1`` for t in each row y of maximum 0.

    Newton's method from below: the sum is convex and piecewise linear in t, so every step moves up
    to, and never past, the solution, and ends there.
    """
    width = rows.shape[1]
    threshold = ((rows.sum(1, keepdim=True) - 1) / width).clamp_min(-1)
    for _ in range(width + 1):
        above = rows > threshold
        higher = (torch.where(above, rows, 0).sum(1, keepdim=True) - 1) / above.sum(1, keepdim=True)
        if not (higher > threshold).any():
            break
        threshold = torch.maximum(threshold, higher)
    return threshold


def projected(y: Tensor) -> Tensor:
    """`project_rows` on any device; numbers at least 1 below the maximum get no weight."""
    rows = y - y.amax(1, keepdim=True)
    nothing = rows.sum(1, keepdim=True).isnan()
    rows = rows.clamp_min(-1)
    return torch.where(nothing, torch.nan, (rows - _threshold(rows)).clamp_min(0))


def centred(weights: Tensor, grad: Tensor) -> Tensor:
    """`centre_rows` on any device."""
    support = weights > 0
    total = torch.where(support, grad, 0).sum(1, keepdim=True)
    return torch.where(support, grad - total / support.sum(1, keepdim=True), 0)


@torch.library.custom_op("solvq::project_rows", mutates_args=())
def project_rows(y: Tensor) -> Tensor:
    """`project_simplex` of an (N, K) tensor in float32 or float64; trusts its input."""
    if not y.is_cpu:
        return projected(y.contiguous())
    result = y.clone(memory_format=torch.contiguous_format)
    in_threads(_kernels.project, spans(result), array(result))
    return result


@torch.library.custom_op("solvq::centre_rows", mutates_args=())
def centre_rows(weights: Tensor, grad: Tensor) -> Tensor:
    """``grad`` minus its mean over the support of the weights there, and zero elsewhere."""
    if not weights.is_cpu:
        return centred(weights.contiguous(), grad.contiguous())
    result = torch.zeros_like(weights, memory_format=torch.contiguous_format)
    in_threads(_kernels.centre, spans(result), array(weights), array(grad), array(result))
    return result


@project_rows.register_fake
def _(y: Tensor) -> Tensor:
    return torch.empty_like(y, memory_format=torch.contiguous_format)


@centre_rows.register_fake
def _(weights: Tensor, grad: Tensor) -> Tensor:
    return torch.empty_like(weights, memory_format=torch.contiguous_format)


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

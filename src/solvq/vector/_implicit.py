"""Implicit differentiation of exact soft convex weights, as an operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from solvq.vector import _tangent_kernels
from solvq.vector._active_set import pieces
from solvq.vector._simplex import array, in_threads, spans
from solvq.vector._system import System

TABLE = 512  # rows times this should exceed the size of a table of inner products that they share

Gradients = tuple[Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("solvq::soft_convex_backward", mutates_args=())
def soft_convex_backward(
    residual: Tensor,
    codebook: Tensor,
    ridge: Tensor,
    start: Tensor | None,
    weights: Tensor,
    to_weights: Tensor | None,
    to_values: Tensor,
) -> Gradients:
    """Gradients of latents, codebook, penalty and, without ``start``, of the cost.

    Those of weights p and values are given, and ``residual``, the latents less the values. For
    each row, u minimises ``1/2 u^T H u - g^T u`` over the u of zero sum on the support of p, with
    ``H = C C^T + ridge I`` and ``g = to_values C^T + to_weights``: u is minus the gradient of the
    cost, ``u C`` that of the latent.
    """
    with torch.autocast(codebook.device.type, enabled=False):
        words = codebook - codebook.mean(0)  # as u sums to zero, this changes nothing
        run = gradients_by_rows if codebook.is_cpu else gradients
        return run(residual, words, ridge, start, weights, to_weights, to_values)


def gradients_by_rows(
    residual: Tensor,
    codebook: Tensor,
    ridge: Tensor,
    start: Tensor | None,
    weights: Tensor,
    to_weights: Tensor | None,
    to_values: Tensor,
) -> Gradients:
    """`soft_convex_backward` on the CPU, by the supports, in float64."""
    words, parts = codebook.double(), spans(weights)
    table = words[:0] @ words[:0].T
    if len(codebook) ** 2 <= TABLE * len(weights):
        table = words @ words.T
    to_z = torch.zeros_like(to_values, memory_format=torch.contiguous_format)
    to_words = words.new_zeros(len(parts), *words.shape)
    to_ridge = words.new_zeros(len(parts))
    to_cost = weights.new_zeros(weights.shape if start is None else (0, 0))
    none = weights.new_empty(1, 0) if to_weights is None else to_weights
    anchor = torch.empty(0, dtype=torch.long) if start is None else start
    in_threads(
        _tangent_kernels.tangent_rows,
        parts,
        (array(table), array(words), float(ridge.detach())),
        (array(weights), array(residual), array(anchor)),
        (array(to_values), array(none)),
        (array(to_z), array(to_words), array(to_ridge), array(to_cost)),
    )
    dtype = weights.dtype
    return to_z, to_words.sum(0).to(dtype), to_ridge.sum().to(ridge.dtype), to_cost.neg_()


def gradients(
    residual: Tensor,
    codebook: Tensor,
    ridge: Tensor,
    start: Tensor | None,
    weights: Tensor,
    to_weights: Tensor | None,
    to_values: Tensor,
) -> Gradients:
    """`soft_convex_backward` on any device, by batches of supports of alike sizes."""
    tangent, shift = torch.zeros_like(weights), torch.zeros_like(to_values)
    for rows, width in pieces((weights > 0).sum(1), codebook.shape[1]):
        index, active = _supports(weights.index_select(0, rows) > 0, width)
        words = torch.nn.functional.embedding(index, codebook)
        slope = (words @ to_values.index_select(0, rows).unsqueeze(2)).squeeze(2)
        if to_weights is not None:
            slope = slope + to_weights.index_select(0, rows).gather(1, index)
        step = _zero_sum_step(System(words, ridge), active, slope)
        fresh = torch.zeros_like(tangent[: len(rows)])
        tangent[rows] = fresh.scatter_add_(1, index, step)
        shift[rows] = (step.unsqueeze(1) @ words).squeeze(1)
    to_words = tangent.T @ residual + weights.T @ (to_values - shift)
    to_ridge = -(tangent * weights).sum()
    if start is None:
        return shift, to_words, to_ridge, -tangent
    to_ridge = to_ridge + tangent.gather(1, start.unsqueeze(1)).sum()
    return shift, to_words, to_ridge, weights.new_zeros(0, 0)


def _zero_sum_step(system: System, active: Tensor, slope: Tensor) -> Tensor:
    """Minimise ``1/2 u^T H u - slope^T u`` over u of zero sum on the active set, refined once."""
    factor = system.factor(active)
    step = system.step(active, factor, slope, 0.0)
    left = slope - system.apply(step.unsqueeze(2)).squeeze(2)
    return step + system.step(active, factor, left, -step.sum(1, keepdim=True))


def _supports(mask: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Columns (n, width) where each row of a mask is set, and which of them are not padding."""
    row, column = mask.nonzero().unbind(1)
    counts = mask.sum(1)
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    index = row.new_zeros(len(mask), width)
    index[row, place] = column
    return index, torch.arange(width, device=row.device) < counts.unsqueeze(1)


@soft_convex_backward.register_fake
def _(
    residual: Tensor,
    codebook: Tensor,
    ridge: Tensor,
    start: Tensor | None,
    weights: Tensor,
    to_weights: Tensor | None,
    to_values: Tensor,
) -> Gradients:
    to_cost = weights.new_empty(weights.shape if start is None else (0, 0))
    to_z = torch.empty_like(to_values, memory_format=torch.contiguous_format)
    return to_z, torch.empty_like(codebook), torch.empty_like(ridge), to_cost


def _refuse(ctx: Any, *grads: Any) -> tuple[None, ...]:
    """Second derivatives would need the derivative of the support's factors."""
    raise RuntimeError(
        "second derivatives of exact soft convex quantization are not implemented; use "
        "soft_convex_relaxed, or drop create_graph=True"
    )


soft_convex_backward.register_autograd(_refuse)

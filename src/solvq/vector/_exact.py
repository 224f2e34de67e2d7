"""The exact solver as an operator that torch can differentiate, compile and export."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from solvq.vector._active_set import Problem, pieces
from solvq.vector._minimum import minimise
from solvq.vector._system import System


class Solution(NamedTuple):
    """Weights with their certificate.

    ``weights`` (N, K) lie on the simplex, ``values`` (N, F) are ``weights @ codebook``; both are
    differentiable. The objective is at most ``gap`` (N,), the Frank-Wolfe gap, above its minimum;
    ``n_iter`` (N,) counts rounds.
    """

    weights: Tensor
    values: Tensor
    gap: Tensor
    n_iter: Tensor


Outputs = tuple[Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("solvq::soft_convex", mutates_args=())
def soft_convex(
    z: Tensor,
    codebook: Tensor,
    ridge: Tensor,
    start: Tensor,
    cost: Tensor | None,
    tol: float,
    max_iter: int,
) -> Outputs:
    """`Solution` of a `Problem`, differentiable in its four float tensors.

    The values are an output, so that their gradient meets the codewords of the supports only.
    """
    with torch.autocast(z.device.type, enabled=False):
        weights, gap, n_iter = minimise(Problem(z, codebook, ridge, start, cost), tol, max_iter)
        return weights, weights @ codebook, gap, n_iter


@soft_convex.register_fake
def _(
    z: Tensor,
    codebook: Tensor,
    ridge: Tensor,
    start: Tensor,
    cost: Tensor | None,
    tol: float,
    max_iter: int,
) -> Outputs:
    weights = z.new_empty(z.shape[0], codebook.shape[0])
    return weights, z.new_empty(z.shape), z.new_empty(z.shape[0]), torch.empty_like(start)


@torch.library.custom_op("solvq::soft_convex_tangent", mutates_args=())
def soft_convex_tangent(
    codebook: Tensor, ridge: Tensor, weights: Tensor, to_weights: Tensor | None, to_values: Tensor
) -> tuple[Tensor, Tensor]:
    """Derivative of the weights in the linear term, times a gradient, and its mixture.

    Each row u minimises ``1/2 u^T H u - g^T u`` over the u of zero sum on the support of the
    weights, with ``H = C C^T + ridge I`` and ``g = to_values C^T + to_weights``; returned are u
    (N, K) and ``u C`` (N, F).
    """
    with torch.autocast(codebook.device.type, enabled=False):
        codebook = codebook - codebook.mean(0)  # as u sums to zero, this changes nothing
        result, shift = torch.zeros_like(weights), torch.zeros_like(to_values)
        for rows, width in pieces((weights > 0).sum(1), codebook.shape[1]):
            index, active = _supports(weights.index_select(0, rows) > 0, width)
            words = torch.nn.functional.embedding(index, codebook)
            slope = (words @ to_values.index_select(0, rows).unsqueeze(2)).squeeze(2)
            if to_weights is not None:
                slope = slope + to_weights.index_select(0, rows).gather(1, index)
            step = _zero_sum_step(System(words, ridge), active, slope)
            fresh = torch.zeros_like(result[: len(rows)])
            result[rows] = fresh.scatter_add_(1, index, step)
            shift[rows] = (step.unsqueeze(1) @ words).squeeze(1)
        return result, shift


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


@soft_convex_tangent.register_fake
def _(
    codebook: Tensor, ridge: Tensor, weights: Tensor, to_weights: Tensor | None, to_values: Tensor
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(weights), torch.empty_like(to_values)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the backward pass needs."""
    z, codebook, ridge, start, cost, _, _ = inputs
    ctx.anchored = cost is None
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[2])
    ctx.save_for_backward(z, codebook, ridge, start, *output[:2])


def _backward(
    ctx: Any, to_weights: Tensor | None, to_values: Tensor | None, *_: Any
) -> tuple[Tensor | None, ...]:
    """Implicit differentiation of the optimality conditions on the support."""
    if to_weights is None and to_values is None:
        return None, None, None, None, None, None, None
    z, codebook, ridge, start, weights, values = ctx.saved_tensors
    if to_values is None:
        to_values = torch.zeros_like(values)
    with torch.autocast(z.device.type, enabled=False):
        tangent, shift = soft_convex_tangent(codebook, ridge, weights, to_weights, to_values)
        words = tangent.T @ (z - values) + weights.T @ (to_values - shift)
        penalty = -(tangent * weights).sum()
        if not ctx.anchored:
            return shift, words, penalty, None, -tangent, None, None
        penalty = penalty + tangent.gather(1, start.unsqueeze(1)).sum()
        return shift, words, penalty, None, None, None, None


def _refuse(ctx: Any, *grads: Any) -> tuple[None, ...]:
    """Second derivatives would need the derivative of the support's factors."""
    raise RuntimeError(
        "second derivatives of exact soft convex quantization are not implemented; use "
        "soft_convex_relaxed, or drop create_graph=True"
    )


soft_convex.register_autograd(_backward, setup_context=_save)
soft_convex_tangent.register_autograd(_refuse)

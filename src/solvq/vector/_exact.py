"""The exact solver as an operator that torch can differentiate, compile and export."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from solvq.vector._active_set import Problem, minimise, pieces
from solvq.vector._system import System


class Solution(NamedTuple):
    """Weights with their certificate.

    ``weights`` (N, K) lie on the simplex; the objective is at most ``gap`` (N,), the Frank-Wolfe
    gap, above its minimum; ``n_iter`` (N,) counts rounds. Only the weights are differentiable.
    """

    weights: Tensor
    gap: Tensor
    n_iter: Tensor


@torch.library.custom_op("solvq::soft_convex_weights", mutates_args=())
def soft_convex_weights(
    z: Tensor,
    codebook: Tensor,
    ridge: Tensor,
    start: Tensor,
    cost: Tensor | None,
    tol: float,
    max_iter: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, gaps and rounds of a `Problem`, differentiable in its four float tensors."""
    with torch.autocast(z.device.type, enabled=False):
        return minimise(Problem(z, codebook, ridge, start, cost), tol, max_iter)


@soft_convex_weights.register_fake
def _(
    z: Tensor,
    codebook: Tensor,
    ridge: Tensor,
    start: Tensor,
    cost: Tensor | None,
    tol: float,
    max_iter: int,
) -> tuple[Tensor, Tensor, Tensor]:
    n_rows = z.shape[0]
    return z.new_empty(n_rows, codebook.shape[0]), z.new_empty(n_rows), torch.empty_like(start)


@torch.library.custom_op("solvq::soft_convex_tangent", mutates_args=())
def soft_convex_tangent(codebook: Tensor, ridge: Tensor, weights: Tensor, grad: Tensor) -> Tensor:
    """Derivative of the weights in the linear term, times ``grad``; both are (N, K).

    Each row u minimises ``1/2 u^T H u - g^T u`` over the u of zero sum on the support of the
    weights, with ``H = C C^T + ridge I``.
    """
    with torch.autocast(codebook.device.type, enabled=False):
        codebook = codebook - codebook.mean(0)
        result = torch.zeros_like(weights)
        for rows, width in pieces((weights > 0).sum(1), codebook.shape[1]):
            index, active = _supports(weights.index_select(0, rows) > 0, width)
            slope = grad.index_select(0, rows).gather(1, index)
            system = System(torch.nn.functional.embedding(index, codebook), ridge)
            factor = system.factor(active)
            step = system.step(active, factor, slope, 0.0)
            left = slope - system.apply(step.unsqueeze(2)).squeeze(2)
            step = step + system.step(active, factor, left, -step.sum(1, keepdim=True))
            fresh = torch.zeros_like(result[: len(rows)])
            result[rows] = fresh.scatter_add_(1, index, step)
        return result


def _supports(mask: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Columns (n, width) where each row of a mask is set, and which of them are not padding."""
    row, column = mask.nonzero().unbind(1)
    counts = mask.sum(1)
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    index = row.new_zeros(len(mask), width)
    index[row, place] = column
    return index, torch.arange(width, device=row.device) < counts.unsqueeze(1)


@soft_convex_tangent.register_fake
def _(codebook: Tensor, ridge: Tensor, weights: Tensor, grad: Tensor) -> Tensor:
    return torch.empty_like(weights)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the backward pass needs."""
    z, codebook, ridge, start, cost, _, _ = inputs
    ctx.anchored = cost is None
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(z, codebook, ridge, start, output[0])


def _backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    """Implicit differentiation of the optimality conditions on the support."""
    if grad is None:
        return None, None, None, None, None, None, None
    z, codebook, ridge, start, weights = ctx.saved_tensors
    with torch.autocast(z.device.type, enabled=False):
        tangent = soft_convex_tangent(codebook, ridge, weights, grad)
        shift = tangent @ codebook
        residual = z - weights @ codebook
        words = tangent.T @ residual - weights.T @ shift
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


soft_convex_weights.register_autograd(_backward, setup_context=_save)
soft_convex_tangent.register_autograd(_refuse)

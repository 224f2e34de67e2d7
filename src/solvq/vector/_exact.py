"""The exact solver as an operator that torch can differentiate, compile and export."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from solvq.vector._active_set import Problem
from solvq.vector._implicit import soft_convex_backward
from solvq.vector._minimum import minimise


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
    anchor = start if ctx.anchored else None
    to_z, to_words, to_ridge, to_cost = soft_convex_backward(
        z - values, codebook, ridge, anchor, weights, to_weights, to_values
    )
    return to_z, to_words, to_ridge, None, None if ctx.anchored else to_cost, None, None


soft_convex.register_autograd(_backward, setup_context=_save)

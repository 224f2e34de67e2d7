"""The relaxation as an operator: weights from scores, and the mixtures they make."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from solvq.vector import _kernels
from solvq.vector._simplex import array, centre_rows, in_threads, projected, spans


def scores(residual: Tensor, maps: Tensor, start: Tensor) -> Tensor:
    """``e + maps residual`` for unit vectors e at ``start``, (N, K): weights not on the simplex."""
    one = torch.ones_like(residual[:, :1])
    return (residual @ maps.T).scatter_add_(1, start.unsqueeze(1), one)


def mixed(residual: Tensor, maps: Tensor, start: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """`mix_rows` on any device."""
    weights = projected(scores(residual, maps, start))
    return weights, weights @ codebook


@torch.library.custom_op("solvq::mix_rows", mutates_args=())
def mix_rows(
    residual: Tensor, maps: Tensor, start: Tensor, codebook: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights, which are projected `scores` (N, K), and ``weights @ codebook`` (N, F).

    On the CPU only the supports, which are small, enter the mixtures and first derivatives.
    """
    with torch.autocast(residual.device.type, enabled=False):
        if not residual.is_cpu:
            return mixed(residual, maps, start, codebook)
        weights = residual @ maps.T
        values = residual.new_empty(residual.shape)
        arrays = (array(t) for t in (weights, start, codebook, values))
        in_threads(_kernels.mix, spans(weights), *arrays)
        return weights, values


@torch.library.custom_op("solvq::mix_rows_backward", mutates_args=())
def mix_rows_backward(
    residual: Tensor,
    maps: Tensor,
    codebook: Tensor,
    weights: Tensor,
    to_weights: Tensor | None,
    to_values: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of residual, maps and codebook, for those of the outputs of `mix_rows`."""
    with torch.autocast(residual.device.type, enabled=False):
        if not residual.is_cpu:
            return gradients(residual, maps, codebook, weights, to_weights, to_values)
        parts = spans(weights)
        to_residual = residual.new_zeros(residual.shape)
        to_maps, to_codebook = residual.new_zeros(2, len(parts), *codebook.shape)
        none = residual.new_empty(0, 0) if to_weights is None else to_weights
        inputs = array(residual), array(maps), array(codebook)
        slopes = array(to_values), array(none)
        grads = array(to_residual), array(to_maps), array(to_codebook)
        in_threads(_kernels.mix_backward, parts, inputs, array(weights), slopes, grads)
        return to_residual, to_maps.sum(0), to_codebook.sum(0)


def gradients(
    residual: Tensor,
    maps: Tensor,
    codebook: Tensor,
    weights: Tensor,
    to_weights: Tensor | None,
    to_values: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """`mix_rows_backward` on any device, differentiable.

    With slopes ``g = to_values C^T + to_weights`` of the weights p and u the centred g on the
    support, the gradients are ``u maps``, ``u^T residual`` and ``p^T to_values``.
    """
    slopes = to_values @ codebook.T
    if to_weights is not None:
        slopes = slopes + to_weights
    step = centre_rows(weights.detach(), slopes)
    return step @ maps, step.T @ residual, weights.T @ to_values


@mix_rows.register_fake
def _(residual: Tensor, maps: Tensor, start: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    weights = residual.new_empty(residual.shape[0], codebook.shape[0])
    return weights, residual.new_empty(residual.shape)


@mix_rows_backward.register_fake
def _(
    residual: Tensor,
    maps: Tensor,
    codebook: Tensor,
    weights: Tensor,
    to_weights: Tensor | None,
    to_values: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    words = codebook.new_empty(codebook.shape)
    return residual.new_empty(residual.shape), words, torch.empty_like(words)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the backward pass needs."""
    residual, maps, _, codebook = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(residual, maps, codebook, output[0])


def _backward(
    ctx: Any, to_weights: Tensor | None, to_values: Tensor | None
) -> tuple[Tensor | None, ...]:
    """By the supports, unless a second derivative is to come."""
    if to_weights is None and to_values is None:
        return None, None, None, None
    residual, maps, codebook, weights = ctx.saved_tensors
    if to_values is None:
        to_values = torch.zeros_like(residual)
    run = gradients if torch.is_grad_enabled() else mix_rows_backward
    with torch.autocast(residual.device.type, enabled=False):
        grads = run(residual, maps, codebook, weights, to_weights, to_values)
    return grads[0], grads[1], None, grads[2]


mix_rows.register_autograd(_backward, setup_context=_save)

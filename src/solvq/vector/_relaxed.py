"""The relaxation as an operator: weights from scores, and the mixtures they make."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from solvq.vector import _kernels
from solvq.vector._simplex import array, centre_rows, in_threads, projected, spans


def scores(shift: Tensor, codebook: Tensor, start: Tensor) -> Tensor:
    """``e + C shift`` for unit vectors e at ``start``, (N, K): weights without constraints."""
    one = torch.ones_like(shift[:, :1])
    return (shift @ codebook.T).scatter_add_(1, start.unsqueeze(1), one)


def mixed(shift: Tensor, codebook: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """`mix_rows` on any device."""
    weights = projected(scores(shift, codebook, start))
    return weights, weights @ codebook


@torch.library.custom_op("solvq::mix_rows", mutates_args=())
def mix_rows(shift: Tensor, codebook: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Weights, which are projected `scores` (N, K), and ``weights @ codebook`` (N, F).

    On the CPU only the supports, which are small, enter the mixtures and first derivatives.
    """
    with torch.autocast(shift.device.type, enabled=False):
        if not shift.is_cpu:
            return mixed(shift, codebook, start)
        weights = shift @ codebook.T
        values = shift.new_empty(shift.shape)
        arrays = (array(t) for t in (weights, start, codebook, values))
        in_threads(_kernels.mix, spans(weights), *arrays)
        return weights, values


@torch.library.custom_op("solvq::mix_rows_backward", mutates_args=())
def mix_rows_backward(
    shift: Tensor, codebook: Tensor, weights: Tensor, to_weights: Tensor | None, to_values: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of shift and codebook, for those of the outputs of `mix_rows`."""
    with torch.autocast(shift.device.type, enabled=False):
        if not shift.is_cpu:
            return gradients(shift, codebook, weights, to_weights, to_values)
        parts = spans(weights)
        to_shift = shift.new_zeros(shift.shape)
        to_codebook = shift.new_zeros(len(parts), *codebook.shape)
        none = shift.new_empty(0, 0) if to_weights is None else to_weights
        inputs = array(shift), array(codebook)
        slopes = array(to_values), array(none)
        grads = array(to_shift), array(to_codebook)
        in_threads(_kernels.mix_backward, parts, inputs, array(weights), slopes, grads)
        return to_shift, to_codebook[0] if len(parts) == 1 else to_codebook.sum(0)


def gradients(
    shift: Tensor, codebook: Tensor, weights: Tensor, to_weights: Tensor | None, to_values: Tensor
) -> tuple[Tensor, Tensor]:
    """`mix_rows_backward` on any device, differentiable.

    With slopes ``g = to_values C^T + to_weights`` of the weights p and u the centred g on the
    support, the gradients are ``u C`` and ``u^T shift + p^T to_values``.
    """
    slopes = to_values @ codebook.T
    if to_weights is not None:
        slopes = slopes + to_weights
    step = centre_rows(weights.detach(), slopes)
    return step @ codebook, step.T @ shift + weights.T @ to_values


@mix_rows.register_fake
def _(shift: Tensor, codebook: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    return shift.new_empty(shift.shape[0], codebook.shape[0]), shift.new_empty(shift.shape)


@mix_rows_backward.register_fake
def _(
    shift: Tensor, codebook: Tensor, weights: Tensor, to_weights: Tensor | None, to_values: Tensor
) -> tuple[Tensor, Tensor]:
    return shift.new_empty(shift.shape), codebook.new_empty(codebook.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the backward pass needs."""
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:2], output[0])


def _backward(
    ctx: Any, to_weights: Tensor | None, to_values: Tensor | None
) -> tuple[Tensor | None, Tensor | None, None]:
    """By the supports, unless a second derivative is to come."""
    if to_weights is None and to_values is None:
        return None, None, None
    shift, codebook, weights = ctx.saved_tensors
    if to_values is None:
        to_values = torch.zeros_like(shift)
    with torch.autocast(shift.device.type, enabled=False):
        run = gradients if torch.is_grad_enabled() else mix_rows_backward
        return *run(shift, codebook, weights, to_weights, to_values), None


mix_rows.register_autograd(_backward, setup_context=_save)

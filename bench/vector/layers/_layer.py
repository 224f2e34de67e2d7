"""A torch layer bound to data: what all layers are asked to do, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.vector.method import Bound
from bench.vector.problem import Array, Data


class Output(NamedTuple):
    """What a layer gives: values, and where it has them a loss and soft weights."""

    values: Tensor
    loss: Tensor | None = None
    weights: Tensor | None = None


class Layer(NamedTuple):
    """A module, and how to call it on rows (N, F)."""

    module: nn.Module
    call: Callable[[Tensor], Output]


def bind_layer(build: Callable[[], Layer], data: Data) -> Bound:
    """Time one copy of a layer outside training and another in it; a third gives the answer."""
    settled, learning = build(), build()
    settled.module.eval()
    learning.module.train()
    z = torch.from_numpy(data.z)
    leaf = z.clone().requires_grad_()
    cotangent = torch.from_numpy(data.cotangent)

    def forward() -> None:
        with torch.no_grad():
            settled.call(z)

    def training() -> None:
        leaf.grad = None
        learning.module.zero_grad(set_to_none=True)
        out = learning.call(leaf)
        if out.loss is not None and out.loss.requires_grad:
            torch.autograd.backward((out.values, out.loss), (cotangent, torch.ones_like(out.loss)))
        else:
            out.values.backward(cotangent)

    def answer() -> dict[str, Array]:
        fresh = build()
        fresh.module.eval()
        with torch.no_grad():
            out = fresh.call(z)
        arrays = {"values": out.values.numpy()}
        return arrays if out.weights is None else {**arrays, "weights": out.weights.numpy()}

    return Bound(forward, training, answer)


def levels(codebook: Array, depth: int) -> Tensor:
    """Codebooks (depth, K, F) for residual quantizers: the one given, halved at each level."""
    return torch.stack([torch.from_numpy(codebook) / 2**level for level in range(depth)])

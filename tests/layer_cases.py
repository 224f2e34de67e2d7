"""Layers and latents that the tests of `solvq.vector`'s layers share."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from solvq.vector import METHODS, VectorQuantizer

DIM, CODES = 8, 32
SOFT = {name for name, method in METHODS.items() if method.soft}
MIXED = {name for name, method in METHODS.items() if method.mixes}
NOISY = SOFT - MIXED  # they draw their codes in training
HARD = sorted(set(METHODS) - SOFT)
MOVING = ["nearest-ema", "rotation", "residual", "affine"]  # codebooks that forwards move
REPLACEABLE = [name for name, method in METHODS.items() if method.replaceable]


def latents(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Gaussian latents that require a gradient."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def build(name: str, started: bool = True, **arguments: Any) -> VectorQuantizer:
    """A layer in training mode, its codewords from data unless told otherwise."""
    torch.manual_seed(1)
    layer = METHODS[name](DIM, CODES, **arguments)
    if started:
        layer.initialise(latents(256, DIM, seed=9), torch.Generator().manual_seed(2))
    return layer


def decoded(layer: VectorQuantizer, found: Any) -> Tensor:
    """What the indices of a result stand for, with its weights where they are needed."""
    return layer.decode(found.indices, found.weights if layer.mixes else None)


@torch.no_grad()
def descend(layer: torch.nn.Module) -> None:
    """One step of gradient descent."""
    for parameter in layer.parameters():
        if parameter.grad is not None:
            parameter.sub_(parameter.grad, alpha=0.01)


def step(layer: VectorQuantizer, z: Tensor, mask: Tensor | None = None) -> Any:
    """One training step by gradient descent; the layer's result."""
    torch.manual_seed(5)
    layer.zero_grad()
    found = layer(z, mask)
    (found.values.square().sum() + found.loss).backward()
    descend(layer)
    return found


def state(layer: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of everything a layer stores."""
    return copy.deepcopy(dict(layer.state_dict()))


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two states agree bit by bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)

"""A differentiable solver bound to data: weights in, values and gradients out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.vector.method import Bound
from bench.vector.problem import Array, Data

FEW = 4  # latents for a solver that is slow on large problems
LARGE = 256  # codewords from which a problem is large

Weights = Callable[[Tensor, Tensor], Tensor]


def bind_solver(weights_of: Weights, data: Data, dtype: torch.dtype) -> Bound:
    """Time weights alone, and weights, values and both gradients; the answer has all of them."""
    z = torch.from_numpy(data.z).to(dtype).requires_grad_()
    codebook = torch.from_numpy(data.codebook).to(dtype).requires_grad_()
    cotangent = torch.from_numpy(data.cotangent).to(dtype)

    def forward() -> None:
        with torch.no_grad():
            weights_of(z, codebook)

    def training() -> Tensor:
        z.grad = codebook.grad = None
        weights = weights_of(z, codebook)
        (weights @ codebook).backward(cotangent)
        return weights

    def answer() -> dict[str, Array]:
        weights = training().detach()
        if z.grad is None or codebook.grad is None:
            raise RuntimeError("no gradient reached the latents or the codebook")
        arrays = {"weights": weights, "grad_z": z.grad, "grad_codebook": codebook.grad}
        return {name: array.numpy() for name, array in arrays.items()}

    return Bound(forward, training, answer)


def ridge_of(codebook: Tensor, alpha: float) -> Tensor:
    """Penalty before ``|p - e|^2 / 2``, without a gradient."""
    return alpha * codebook.detach().square().sum() / codebook.shape[1]


def starts(z: Tensor, codebook: Tensor) -> Tensor:
    """Unit vectors (N, K) of the nearest codewords."""
    index = torch.cdist(z.detach(), codebook.detach()).argmin(1)
    return torch.nn.functional.one_hot(index, len(codebook)).to(z.dtype)

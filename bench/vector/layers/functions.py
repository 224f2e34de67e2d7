"""The functions `soft_convex` and `soft_convex_relaxed` on a learned codebook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from bench.vector.layers._layer import Layer, Output, bind_layer
from bench.vector.method import Bound, Method, Penalty
from bench.vector.problem import Data
from solvq.vector import soft_convex, soft_convex_relaxed

ALPHAS = (0.01, 0.1, 1.0)
TOL = 1e-3


class Codebook(nn.Module):
    """A codebook learned by gradient, and a function of latents and codebook."""

    def __init__(
        self, codebook: Tensor, function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    ) -> None:
        super().__init__()
        self.codebook = nn.Parameter(codebook)
        self.function = function

    def forward(self, z: Tensor) -> Output:
        """Values and weights, without a loss."""
        values, weights = self.function(z, self.codebook)
        return Output(values, None, weights)


def bind_function(function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], data: Data) -> Bound:
    """Bind a function of latents and codebook."""

    def build() -> Layer:
        module = Codebook(torch.from_numpy(data.codebook.copy()), function)
        return Layer(module, module)

    return bind_layer(build, data)


@final
@dataclass(frozen=True)
class Exact(Method):
    """The exact problem, to a gap of 1e-3 of the objective."""

    alpha: float

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name with the penalty."""
        return f"soft_convex {self.alpha:g}"

    def penalty(self) -> Penalty:
        """The problem of the paper."""
        return Penalty("anchored", self.alpha)

    def bind(self, data: Data) -> Bound:
        """Bind the function."""
        return bind_function(lambda z, c: soft_convex(z, c, self.alpha, tol=TOL), data)


@final
@dataclass(frozen=True)
class Relaxed(Method):
    """The relaxation with an exact projection."""

    name: ClassVar[str] = "soft_convex_relaxed 0.1"

    def bind(self, data: Data) -> Bound:
        """Bind the function."""
        return bind_function(lambda z, c: soft_convex_relaxed(z, c, 0.1), data)

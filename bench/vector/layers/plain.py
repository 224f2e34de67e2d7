"""The plainest vector quantizer: distances, an index, straight-through. What any layer can cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from bench.vector.layers._layer import Layer, Output, bind_layer
from bench.vector.method import Bound, Method
from bench.vector.problem import Data


class Gather(nn.Module):
    """Nearest codeword by one matrix product, codebook and commitment loss by gradient."""

    def __init__(self, codebook: Tensor) -> None:
        super().__init__()
        self.codebook = nn.Parameter(codebook)

    def forward(self, z: Tensor) -> Output:
        """Values with the straight-through gradient."""
        with torch.no_grad():
            offset = self.codebook.square().sum(1) / 2
            index = torch.addmm(offset, z, self.codebook.T, alpha=-1).argmin(1)
        values = nn.functional.embedding(index, self.codebook)
        error = nn.functional.mse_loss
        loss = error(values, z.detach()) + 0.25 * error(z, values.detach())
        return Output(z + (values - z).detach(), loss)


@final
@dataclass(frozen=True)
class PlainGather(Method):
    """Thirty lines of torch without any check, statistics or masks."""

    name: ClassVar[str] = "plain gather VQ"
    package: ClassVar[str] = "torch"
    module: ClassVar[str] = "torch"

    def bind(self, data: Data) -> Bound:
        """Bind the module."""

        def build() -> Layer:
            module = Gather(torch.from_numpy(data.codebook.copy()))
            return Layer(module, module)

        return bind_layer(build, data)

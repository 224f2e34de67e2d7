"""The layers of vector-quantize-pytorch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from bench.vector.layers._layer import Layer, Output, bind_layer, levels
from bench.vector.method import Bound, Method
from bench.vector.problem import Data
from solvq.vector import FiniteScalarQuantizer

DEPTH = 4
VARIANTS: dict[str, dict[str, Any]] = {
    "": {},
    "straight-through": {"rotation_trick": False},
    "gradient": {"rotation_trick": False, "ema_update": False, "learnable_codebook": True},
}


@final
@dataclass(frozen=True)
class Peer(Method):
    """One of its classes, in one of the variants of `VARIANTS`."""

    name: str
    kind: str
    variant: str = ""
    package: ClassVar[str] = "vector-quantize-pytorch"
    module: ClassVar[str] = "vector_quantize_pytorch"

    def bind(self, data: Data) -> Bound:
        """Bind layers with the codebook given, as far as the class has one."""
        return bind_layer(lambda: self._build(data), data)

    @torch.no_grad()
    def _build(self, data: Data) -> Layer:
        library = importlib.import_module(self.module)
        n_codes, dim = data.codebook.shape
        words = torch.from_numpy(data.codebook)
        layer: nn.Module
        if self.kind == "VectorQuantize":
            layer = library.VectorQuantize(dim, n_codes, **VARIANTS[self.variant])
            _set(layer, words)
        elif self.kind == "ResidualVQ":
            layer = library.ResidualVQ(dim=dim, codebook_size=n_codes, num_quantizers=DEPTH)
            for level, part in zip(layer.layers, levels(data.codebook, DEPTH), strict=True):
                _set(level, part)
        elif self.kind == "SimVQ":
            layer = library.SimVQ(dim, n_codes)
            layer.frozen_codebook.copy_(words)
            layer.code_transform.weight.copy_(torch.eye(dim))
        else:
            layer = library.FSQ(FiniteScalarQuantizer(dim, n_codes).levels, dim=dim)
        return Layer(layer, lambda z: _call(layer, z))


def _set(layer: Any, words: Tensor) -> None:
    """Give the layer codewords, and its averages the same as if each had served one latent."""
    codebook = layer._codebook
    codebook.embed.copy_(words.unsqueeze(0))
    if hasattr(codebook, "embed_avg"):
        codebook.embed_avg.copy_(words.unsqueeze(0))
        codebook.cluster_size.fill_(1.0)


def _call(layer: nn.Module, z: Tensor) -> Output:
    """Rows as one sequence, the layout of that package."""
    out = layer(z.unsqueeze(0))
    loss = out[2].sum() if len(out) > 2 else None
    return Output(out[0].squeeze(0), loss)

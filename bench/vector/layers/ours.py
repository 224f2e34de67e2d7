"""The layers of `solvq.vector.METHODS`, whatever is in that table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch

from bench.vector.layers._layer import Layer, Output, bind_layer, levels
from bench.vector.method import Bound, Method, Penalty
from bench.vector.problem import Data
from solvq.vector import METHODS

ALPHA, TOL = 0.1, 1e-3
SETTINGS: dict[str, dict[str, Any]] = {
    "soft-convex": {"alpha": ALPHA, "tol": TOL},
    "soft-convex-local": {"alpha": ALPHA, "tol": TOL},
    "soft-convex-relaxed": {"alpha": ALPHA},
    "soft-convex-alternating": {"alpha": ALPHA},
}
PENALTIES = {
    "soft-convex": Penalty("anchored", ALPHA),
    "soft-convex-local": Penalty("local", ALPHA),
}
FROM_DATA = ("finite-scalar",)  # these have no codewords of their own to set


@final
@dataclass(frozen=True)
class OurLayer(Method):
    """A layer by its name in the table, with the codebook of the problem."""

    name: str

    def penalty(self) -> Penalty | None:
        """The problem of the exact layers; the others claim nothing."""
        return PENALTIES.get(self.name)

    def bind(self, data: Data) -> Bound:
        """Bind layers with the codebook given."""
        return bind_layer(lambda: self._build(data), data)

    @torch.no_grad()
    def _build(self, data: Data) -> Layer:
        n_codes, dim = data.codebook.shape
        layer = METHODS[self.name](dim, n_codes, **SETTINGS.get(self.name, {}))
        if self.name in FROM_DATA:
            layer.initialise(torch.from_numpy(data.z))
        else:
            if self.name == "sim":
                layer.matrix.copy_(torch.eye(dim))
            words = levels(data.codebook, layer.n_levels).flatten(0, 1)
            layer._put(torch.ones(len(words), dtype=torch.bool), words)

        def call(z: torch.Tensor) -> Output:
            out = layer(z)
            return Output(out.values, out.loss, out.weights)

        return Layer(layer, call)

"""A frozen random codebook under a learned linear map: SimVQ."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from solvq.vector._base import VectorQuantizer
from solvq.vector._estimate import settled
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_number
from solvq.vector._result import Assigned


class SimQuantizer(VectorQuantizer):
    """Nearest codewords ``e W`` with frozen Gaussian e and a learned matrix W.

    Every latent's gradient moves all codewords, so none is left behind; `revive` does not apply.
    Loss and gradient to the latents are those of `NearestQuantizer`. Codewords start with length
    about 1. `initialise` gives them the second moments of the best Gaussian code of that rate,
    those of the latents times ``1 - n_codes^(-2 / dim)``.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    beta : float, default 0.25
        Weight of the commitment of latents to their codewords, >= 0.

    References
    ----------
    Zhu, Li, Xin, Xia, Xu, "Addressing representation collapse in vector quantized models with one
    linear layer", 2024, arXiv 2411.02038.
    """

    replaceable: ClassVar[bool] = False

    def __init__(
        self, dim: int, n_codes: int, beta: float = 0.25, *, nan_policy: NanPolicy = "raise"
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        self.beta = check_number("beta", beta, 0)
        self.matrix = nn.Parameter(torch.eye(self.dim) / math.sqrt(self.dim))
        self._prepare(torch.randn(self.n_codes, self.dim), learned=False)

    @property
    def codebook(self) -> Tensor:
        """Codewords after the linear map, (n_codes, dim)."""
        return self.table @ self.matrix

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        return settled(rows, self.codebook.to(rows.dtype), self.beta)

    def _start(self, rows: Tensor, generator: torch.Generator | None) -> None:
        moments = rows.double().T @ rows.double() / len(rows)
        size, axes = torch.linalg.eigh(moments * (1 - self.n_codes ** (-2 / self.dim)))
        root = (axes * size.clamp_min(0).sqrt()) @ axes.T
        self.matrix.copy_(root)

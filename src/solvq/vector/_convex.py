"""Soft convex layers whose weights are real numbers over all codewords."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import cast

import torch
from torch import Tensor

from solvq.code import Code
from solvq.vector._codes import mixture, to_array
from solvq.vector._layout import Batch, NanPolicy
from solvq.vector._mixing import MixingQuantizer
from solvq.vector._parameters import check_number
from solvq.vector._result import Assigned
from solvq.vector._start import small_uniform
from solvq.vector._sync import summed
from solvq.vector._usage import Rate

WORD = 32  # bits of a real number


class ConvexQuantizer(MixingQuantizer):
    """Each latent z becomes ``p C`` with weights p on the codewords C, differentiable in both.

    The loss is ``beta mean |z - p C|^2`` over latents and dimensions, and pulls latents and
    codewords. No straight-through estimate is needed. ``indices`` name the largest weights, which
    alone do not tell the values.

    Weights are real numbers, so this is no discrete code: ``rate`` counts 32 bits for each weight
    but one on the support and the choice of the support, or 32 for each dimension where that is
    less; nominally for a full support, and as ``entropy`` for the supports counted. `encode` gives
    exact codes with float32 weights, whose `Code.rate` is as large as that.
    """

    alpha: Tensor
    usage_bits: Tensor

    def __init__(
        self, dim: int, n_codes: int, alpha: float, beta: float, nan_policy: NanPolicy
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        self.register_buffer("alpha", torch.tensor(check_number("alpha", alpha, 1e-12)))
        self.beta = check_number("beta", beta, 0)
        self._prepare(small_uniform(self.n_codes, self.dim), learned=True)
        self.register_buffer("usage_bits", torch.tensor(0.0))

    @abstractmethod
    def _mix(self, rows: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values, weights (N, n_codes), and the proven gap (N,) of each row if there is one."""

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        codebook = self.codebook.to(rows.dtype)
        values, weights, gap = self._mix(rows, codebook)
        loss = self.beta * (rows - values).square().mean(1)
        return Assigned(values, weights.argmax(1), loss, weights, gap=gap)

    def _values(self, indices: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mixtures by the weights; without, the codewords of the indices."""
        if weights is None:
            return super()._values(indices)
        return weights.to(self.codebook.dtype) @ self.codebook

    def _dense(self, found: Assigned) -> Tensor:
        return found.mix

    def _bits(self, support: Tensor) -> Tensor:
        """Bits of latents with so many codewords each, float64."""
        size = support.double()
        several = torch.lgamma(size.new_tensor(self.n_codes + 1.0))
        choice = several - torch.lgamma(size + 1) - torch.lgamma(self.n_codes - size + 1)
        bits = choice / math.log(2) + WORD * (size - 1)
        return bits.clamp(0, WORD * self.dim)

    def _count(self, batch: Batch, found: Assigned) -> Tensor:
        support = torch.linalg.vector_norm(found.mix, 0, dim=1)  # sums of bool are slow
        self.usage_bits.add_(summed((self._bits(support) * batch.ones()).sum()))
        return super()._count(batch, found)

    @property
    def rate(self) -> Rate:
        """Bits per latent of float32 weights: on all codewords, and as counted."""
        counted = float(self.usage_counts.sum())
        nominal = float(self._bits(torch.tensor(self.n_codes)))
        return Rate(nominal, float(self.usage_bits) / counted if counted else math.nan)

    def _code(self, indices: Tensor, weights: Tensor | None) -> Code:
        """Code with every weight that is not zero, in a table of those that occur."""
        dense = cast(Tensor, weights)
        width = int((dense != 0).sum(-1).amax()) if dense.numel() else 1
        chosen = dense.abs().topk(max(width, 1), dim=-1).indices
        return Code(to_array(self.codebook), to_array(chosen), mixture(dense.gather(-1, chosen)))

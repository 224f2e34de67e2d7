"""Mixtures of codewords by the Gumbel-softmax trick."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from solvq.vector._distance import squared_distances
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_number
from solvq.vector._soft import SoftQuantizer, negative_entropy
from solvq.vector._start import small_uniform


class GumbelQuantizer(SoftQuantizer):
    """Draw each latent's codeword with probability ``softmax(-|z - e_j|^2)``, relaxed.

    Training values are mixtures with weights ``softmax((-|z - e_j|^2 + noise) / tau)``, and the
    loss is ``kl_weight`` times the Kullback-Leibler divergence of the probabilities from uniform,
    in nats a latent. See `SoftQuantizer`. Codewords learn by the gradient of the mixtures and start
    as those of `NearestQuantizer`.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    tau : float, default 1.0
        Temperature, > 0. Kept in the buffer ``tau``, for a schedule to set between steps
        (``layer.tau.fill_(...)``; usual is 1 down to 1/16).
    kl_weight : float, default 5e-4
        Weight of the divergence, >= 0.

    References
    ----------
    Jang, Gu, Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017.
    """

    tau: Tensor

    def __init__(
        self,
        dim: int,
        n_codes: int,
        tau: float = 1.0,
        kl_weight: float = 5e-4,
        *,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        self.register_buffer("tau", torch.tensor(check_number("tau", tau, 1e-6)))
        self.kl_weight = check_number("kl_weight", kl_weight, 0)
        self._prepare(small_uniform(self.n_codes, self.dim), learned=True)

    def _logits(self, rows: Tensor, codebook: Tensor) -> Tensor:
        return -squared_distances(rows, codebook)

    def _temperature(self) -> Tensor:
        return self.tau

    def _loss(self, rows: Tensor, values: Tensor, logits: Tensor) -> Tensor:
        divergence = negative_entropy(logits) + math.log(self.n_codes)
        return self.kl_weight * divergence

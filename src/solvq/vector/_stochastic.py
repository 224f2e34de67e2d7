"""Codes drawn from a posterior of learned width: SQ-VAE."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from solvq.vector._distance import squared_distances
from solvq.vector._layout import Batch, NanPolicy
from solvq.vector._parameters import check_number
from solvq.vector._result import Assigned
from solvq.vector._soft import SoftQuantizer, negative_entropy
from solvq.vector._start import small_uniform

TAU_MIN = 1e-3  # below it logits over tau leave the range of float32


class StochasticQuantizer(SoftQuantizer):
    """Draw codewords from ``softmax(-|z - e_j|^2 / (2 s^2))`` with a learned variance s^2.

    Gaussian SQ-VAE I. Training values are relaxed draws (see `SoftQuantizer`) at
    ``tau = exp(-anneal * t)``, not below 1e-3, t the training forwards before. The loss of a
    latent is ``sum_j p_j log p_j + |z - z_q|^2 / (2 s^2)``, in nats; the evidence bound adds
    ``D / 2 log(sum of squared reconstruction errors)`` of the D numbers of a sample and takes the
    loss times the latents of a sample. Codewords learn by gradient and start as those of
    `NearestQuantizer`.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    anneal : float, default 1e-5
        Rate of the temperature's decay a training forward, >= 0.
    log_variance : float, default 0.0
        Start of log s^2.

    References
    ----------
    Takida et al., "SQ-VAE: variational Bayes on discrete representation with self-annealed
    stochastic quantization", ICML 2022.
    """

    step: Tensor
    pending_steps: Tensor

    def __init__(
        self,
        dim: int,
        n_codes: int,
        anneal: float = 1e-5,
        log_variance: float = 0.0,
        *,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        self.anneal = check_number("anneal", anneal, 0)
        start = check_number("log_variance", log_variance, -60, 60)
        self.log_variance = nn.Parameter(torch.tensor(start))
        self.register_buffer("step", torch.tensor(0))
        self.register_buffer("pending_steps", torch.tensor(0))
        self._prepare(small_uniform(self.n_codes, self.dim), learned=True)

    @torch.no_grad()
    def flush(self) -> None:
        """Advance the temperature for the last training forward."""
        self.step.add_(self.pending_steps)
        self.pending_steps.zero_()

    @torch.no_grad()
    def _record(self, batch: Batch, found: Assigned) -> None:
        """Count as the base class, and one step to come."""
        self.pending_steps.fill_(1)
        super()._record(batch, found)

    def _precision(self, rows: Tensor) -> Tensor:
        """``1 / (2 s^2)``."""
        return torch.exp(-self.log_variance.to(rows.dtype)) / 2

    def _logits(self, rows: Tensor, codebook: Tensor) -> Tensor:
        return -squared_distances(rows, codebook) * self._precision(rows)

    def _temperature(self) -> Tensor:
        return torch.exp(-self.anneal * self.step).clamp_min(TAU_MIN)

    def _loss(self, rows: Tensor, values: Tensor, logits: Tensor) -> Tensor:
        reach = (rows - values).square().sum(1) * self._precision(rows)
        return negative_entropy(logits) + reach

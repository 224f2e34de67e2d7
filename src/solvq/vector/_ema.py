"""Codebooks that are exponential moving averages of the latents they serve."""

from __future__ import annotations

import torch
from torch import Tensor

from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_number
from solvq.vector._pending import StatisticQuantizer
from solvq.vector._start import small_uniform


class EmaQuantizer(StatisticQuantizer):
    """Codewords that are moving averages: no gradient, only the commitment of latents as loss.

    ``n_j <- g n_j + (1 - g) count_j`` and ``m_j <- g m_j + (1 - g) sum_j`` a batch, then
    ``e_j = m_j / n'_j`` with ``n'_j = (n_j + eps) / (n + K eps) n`` (Laplace smoothing), n the sum
    of the n_j of a level. A batch without latents changes nothing.
    """

    ema_counts: Tensor
    ema_sums: Tensor

    def __init__(
        self,
        dim: int,
        n_codes: int,
        decay: float,
        beta: float,
        eps: float,
        nan_policy: NanPolicy,
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        self.decay = check_number("decay", decay, 0, 1)
        self.beta = check_number("beta", beta, 0)
        self.eps = check_number("eps", eps, 0)

    def _prepare(self, table: Tensor, learned: bool = False) -> None:
        super()._prepare(table, learned)
        self.register_buffer("ema_counts", torch.ones(len(table)))
        self.register_buffer("ema_sums", table.clone())

    def _start_codes(self) -> None:
        """Store a codebook for all levels, each codeword as if it had served one latent."""
        levels = [small_uniform(self.n_codes, self.dim) for _ in range(self.n_levels)]
        self._prepare(torch.cat(levels))

    def _move(self, sums: Tensor, counts: Tensor, due: Tensor) -> None:
        weight = ((1 - self.decay) * due).to(sums.dtype)
        self.ema_counts.lerp_(counts, weight)
        self.ema_sums.lerp_(sums, weight)
        smooth = self.ema_counts.view(self.n_levels, -1)
        total = smooth.sum(1, keepdim=True)
        smooth = (smooth + self.eps) / (total + self.n_codes * self.eps) * total
        means = self.ema_sums / smooth.view(-1, 1)
        self.table.copy_(torch.where(due, means, self.table))

    def _put(self, which: Tensor, words: Tensor, counts: Tensor | None = None) -> None:
        super()._put(which, words, counts)
        served = torch.ones_like(words[:, 0]) if counts is None else counts.clamp_min(1)
        self.ema_counts[which] = served.to(self.ema_counts.dtype)
        self.ema_sums[which] = self.table[which] * self.ema_counts[which].unsqueeze(1)

"""A codebook with a shared affine map and a step of its own: against codewords left behind."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from solvq.vector._estimate import settled
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_number
from solvq.vector._pending import StatisticQuantizer
from solvq.vector._result import Assigned
from solvq.vector._start import small_uniform


class AffineQuantizer(StatisticQuantizer):
    """Nearest codewords ``e' = (1 + s a) * e + s b``, learned in alternation with the latents.

    a and b (dim,) move all codewords together, also those that no latent chose. They learn by the
    gradient of `NearestQuantizer`'s loss, while e takes one step of gradient descent a training
    forward on ``1/2 mean_n |z_n - e'|^2``: the codebook answers the latents before they move again.
    The step of a batch is taken when the next training forward begins. For the replacement of
    codes least used that belongs to the method call `revive`.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    beta : float, default 0.25
        Weight of the commitment of latents to their codewords, >= 0.
    scale : float, default 1.0
        The s that sets how fast the map learns, > 0.
    inner_lr : float, default 1.0
        Step size for e, from 0 to 2; above 2 a step overshoots.

    References
    ----------
    Huh, Cheung, Agrawal, Isola, "Straightening out the straight-through estimator", ICML 2023.
    """

    def __init__(
        self,
        dim: int,
        n_codes: int,
        beta: float = 0.25,
        scale: float = 1.0,
        inner_lr: float = 1.0,
        *,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        self.beta = check_number("beta", beta, 0)
        self.scale = check_number("scale", scale, 1e-6)
        self.inner_lr = check_number("inner_lr", inner_lr, 0, 2)
        self.slope = nn.Parameter(torch.zeros(self.dim))
        self.shift = nn.Parameter(torch.zeros(self.dim))
        self._prepare(small_uniform(self.n_codes, self.dim))

    @property
    def codebook(self) -> Tensor:
        """Codewords after the affine map, (n_codes, dim)."""
        table = self.table.clone()  # autograd keeps it, and `flush` changes the original
        return (1 + self.scale * self.slope) * table + self.scale * self.shift

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        return settled(rows, self.codebook.to(rows.dtype), self.beta)

    def _move(self, sums: Tensor, counts: Tensor, due: Tensor) -> None:
        descent = (sums - counts.unsqueeze(1) * self.codebook) * (1 + self.scale * self.slope)
        moved = self.table + self.inner_lr / counts.sum().clamp_min(1) * descent
        self.table.copy_(torch.where(due, moved, self.table))

    def _put(self, which: Tensor, words: Tensor, counts: Tensor | None = None) -> None:
        words = (words - self.scale * self.shift) / (1 + self.scale * self.slope)
        super()._put(which, words, counts)

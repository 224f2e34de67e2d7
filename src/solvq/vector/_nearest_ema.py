"""Nearest codeword of a codebook of moving averages."""

from __future__ import annotations

from torch import Tensor

from solvq.vector._distance import nearest
from solvq.vector._ema import EmaQuantizer
from solvq.vector._estimate import commitment, straight_through
from solvq.vector._layout import NanPolicy
from solvq.vector._result import Assigned


class NearestEmaQuantizer(EmaQuantizer):
    """Replace each latent by the nearest of K codewords, each the moving mean of its latents.

    The loss is ``beta mean |z - sg(z_q)|^2`` over latents and dimensions; codewords follow by
    `EmaQuantizer`'s averages. The gradient of the values goes to the latents unchanged
    (straight-through). Codewords start as those of `NearestQuantizer`.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    decay : float, default 0.99
        Share g of the old averages that a batch leaves, from 0 to 1.
    beta : float, default 0.25
        Weight of the commitment, >= 0.
    eps : float, default 1e-5
        Laplace smoothing of the counts, >= 0; 0 makes codewords NaN that are never used.

    References
    ----------
    van den Oord, Vinyals, Kavukcuoglu, "Neural discrete representation learning", NeurIPS 2017,
    appendix A.
    """

    def __init__(
        self,
        dim: int,
        n_codes: int,
        decay: float = 0.99,
        beta: float = 0.25,
        eps: float = 1e-5,
        *,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, decay, beta, eps, nan_policy)
        self._start_codes()

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        indices = nearest(rows, self.codebook.to(rows.dtype))
        values = self._values(indices).to(rows.dtype)
        loss = self.beta * commitment(rows, values)
        return Assigned(straight_through(rows, values), indices, loss)

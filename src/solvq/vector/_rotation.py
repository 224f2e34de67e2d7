"""Nearest codeword of moving averages, with the rotation trick as gradient."""

from __future__ import annotations

from torch import Tensor

from solvq.vector._distance import nearest
from solvq.vector._ema import EmaQuantizer
from solvq.vector._estimate import commitment, rotated
from solvq.vector._layout import NanPolicy
from solvq.vector._result import Assigned


class RotationQuantizer(EmaQuantizer):
    """Nearest codeword whose gradient turns with the latent: the rotation trick.

    Forward, codewords and loss are those of `NearestEmaQuantizer`. Backward, a value is the latent
    turned and stretched, ``z_q = s R z`` with constant s and R, so gradients keep their angle to
    the codeword.

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
    Fifty, Junkins, Duan, Iyengar, Liu, Amid, Thrun, Re, "Restructuring vector quantization with
    the rotation trick", ICLR 2025.
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
        return Assigned(rotated(rows, values), indices, loss)

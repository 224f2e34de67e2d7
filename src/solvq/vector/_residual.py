"""Several codes a latent, each for what the ones before it left: residual quantization."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from solvq.code import Code
from solvq.vector._codes import to_array
from solvq.vector._distance import nearest
from solvq.vector._ema import EmaQuantizer
from solvq.vector._estimate import commitment, straight_through
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_size
from solvq.vector._result import Assigned


class ResidualQuantizer(EmaQuantizer):
    """Replace each latent by a sum of ``depth`` codewords, chosen greedily.

    ``r_0 = z``; codeword d is the nearest of its level to r_{d-1}, and ``r_d = r_{d-1} - e_d``.
    Each level is a codebook of moving averages of its residuals (`EmaQuantizer`). The loss is
    ``beta`` times the mean over levels of ``mean |z - sg(z_d)|^2``, z_d the sum of the first d
    codewords; the gradient of the values goes to the latents unchanged. Indices have a last axis
    of length ``depth``, and the codebook is that of all levels, (depth * n_codes, dim).

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`; ``n_codes`` a level.
    depth : int, default 4
        Number of levels, >= 1; a latent takes depth * log2(n_codes) bits.
    decay, beta, eps
        As `NearestEmaQuantizer`.

    References
    ----------
    Lee, Kim, Kim, Cho, Han, "Autoregressive image generation using residual quantization",
    CVPR 2022.
    """

    def __init__(
        self,
        dim: int,
        n_codes: int,
        depth: int = 4,
        decay: float = 0.99,
        beta: float = 0.25,
        eps: float = 1e-5,
        *,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, decay, beta, eps, nan_policy)
        self.n_levels = self.n_indices = check_size("depth", depth)
        self._start_codes()

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        left, values, loss = rows.detach(), torch.zeros_like(rows), torch.zeros_like(rows[:, 0])
        indices, targets = [], []
        for words in self.codebook.to(rows.dtype).view(self.n_levels, self.n_codes, -1):
            targets.append(left)
            indices.append(nearest(left, words))
            chosen = nn.functional.embedding(indices[-1], words)
            values, left = values + chosen, left - chosen
            loss = loss + commitment(rows, values)
        loss = loss * (self.beta / self.n_levels)
        estimate = straight_through(rows, values)
        return Assigned(estimate, torch.stack(indices, 1), loss, targets=tuple(targets))

    def _values(self, indices: Tensor, weights: Tensor | None = None) -> Tensor:
        """Sums of the codewords of all levels, added in the order of the forward."""
        values = torch.zeros_like(self.codebook[:1]).expand(len(indices), -1)
        for level, chosen in enumerate(indices.unbind(1)):
            values = values + nn.functional.embedding(chosen + level * self.n_codes, self.codebook)
        return values

    def _code(self, indices: Tensor, weights: Tensor | None) -> Code:
        """Mixture of all levels' codewords with the one weight 1, which takes no bits."""
        shifted = indices + torch.arange(self.n_levels, device=indices.device) * self.n_codes
        codebook = to_array(self.codebook)
        ones = Code(np.ones(1, codebook.dtype), np.zeros(indices.shape, np.uint8))
        return Code(codebook, to_array(shifted), ones)

"""Latents as convex combinations of codewords: what all soft convex layers share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from solvq.vector._base import VectorQuantizer
from solvq.vector._kmeans import sample
from solvq.vector._result import Assigned

ROUNDS = 10  # of fitting the codewords to data after k-means
ROWS_PER_CODE = 32  # latents that the codewords are fitted to


class MixingQuantizer(VectorQuantizer):
    """Values that are mixtures of codewords, in training and outside.

    `initialise` runs k-means, whose centres lie inside the hull of the data, and then moves each
    codeword by the mean residual of the latents it serves, weighted, for `ROUNDS` rounds with new
    weights each: so the hull grows to where the latents are. A round never raises the squared
    error at the weights it was made for; the best codewords of all rounds are kept.
    """

    soft: ClassVar[bool] = True
    mixes: ClassVar[bool] = True

    @abstractmethod
    def _dense(self, found: Assigned) -> Tensor:
        """Weights of all codewords, (N, n_codes)."""

    def _start(self, rows: Tensor, generator: torch.Generator | None) -> None:
        super()._start(rows, generator)
        part = sample(rows, min(len(rows), ROWS_PER_CODE * self.n_codes), generator)
        best, least = self.table.clone(), torch.inf
        for _ in range(ROUNDS + 1):
            found = self._quantize(part, False)
            residual = part - found.values
            error = float(residual.square().sum())
            if error < least:
                best, least = self.table.clone(), error
            weights = self._dense(found).clamp_min(0)
            mass = weights.sum(0).unsqueeze(1)
            moves = weights.T @ residual / torch.where(mass > 0, mass, 1)
            self.table.add_(moves.to(self.table.dtype))
        self.table.copy_(best)

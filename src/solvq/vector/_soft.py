"""Codes drawn softly in training and settled outside: what Gumbel-softmax layers share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from solvq.vector._base import VectorQuantizer
from solvq.vector._estimate import straight_through
from solvq.vector._result import Assigned


class SoftQuantizer(VectorQuantizer):
    """Latents as mixtures ``softmax((logits + Gumbel noise) / tau)`` of codewords in training.

    Outside training the codeword of the largest logit, with the straight-through gradient; the
    weights are then ``softmax(logits)``. In training ``indices`` are the largest weights, so they
    decode to the values only as tau goes to 0. Memory and time grow with N * n_codes, as the
    weights do.
    """

    soft: ClassVar[bool] = True

    @abstractmethod
    def _logits(self, rows: Tensor, codebook: Tensor) -> Tensor:
        """Log probabilities of the codes up to a constant, (N, n_codes), differentiable."""

    @abstractmethod
    def _temperature(self) -> Tensor:
        """The tau of this forward, 0-d."""

    @abstractmethod
    def _loss(self, rows: Tensor, values: Tensor, logits: Tensor) -> Tensor:
        """Loss of each row."""

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        codebook = self.codebook.to(rows.dtype)
        logits = self._logits(rows, codebook)
        if not training:
            indices = logits.argmax(1)
            values = self._values(indices).to(rows.dtype)
            loss = self._loss(rows, values, logits)
            return Assigned(straight_through(rows, values), indices, loss, logits.softmax(1))
        noise = -torch.empty_like(logits).exponential_().log()
        weights = ((logits + noise) / self._temperature().to(logits.dtype)).softmax(1)
        values = weights @ codebook
        return Assigned(values, weights.argmax(1), self._loss(rows, values, logits), weights)


def negative_entropy(logits: Tensor) -> Tensor:
    """``sum_j p_j log p_j`` of each row of logits, p their softmax."""
    log_p = logits.log_softmax(1)
    return (log_p.exp() * log_p).sum(1)

"""Codebooks that move by statistics of batches, which wait for the next training forward."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from solvq.vector._base import VectorQuantizer
from solvq.vector._layout import Batch
from solvq.vector._result import Assigned
from solvq.vector._sync import summed


class StatisticQuantizer(VectorQuantizer):
    """A codebook that is a buffer and moves by sums and counts of the latents of each code.

    Subclasses give `_move`, which applies the statistics of one batch. They wait in buffers from
    one training forward to the next, since a forward must not change what it has just used.
    """

    pending_sums: Tensor
    pending_counts: Tensor

    def _prepare(self, table: Tensor, learned: bool = False) -> None:
        super()._prepare(table, learned)
        self.register_buffer("pending_sums", torch.zeros_like(table))
        self.register_buffer("pending_counts", torch.zeros(len(table)))

    @abstractmethod
    def _move(self, sums: Tensor, counts: Tensor, due: Tensor) -> None:
        """Move the codewords where ``due``, a 0-d bool; leave them bit by bit as they are if not.

        ``sums`` (rows of the table, dim) are of the latents of each code, ``counts`` their number.
        """

    @torch.no_grad()
    def flush(self) -> None:
        """Apply what the last training forward measured; nothing if it is applied already."""
        self._move(self.pending_sums, self.pending_counts, self.pending_counts.sum() > 0)
        self.pending_sums.zero_()
        self.pending_counts.zero_()

    @torch.no_grad()
    def _record(self, batch: Batch, found: Assigned) -> None:
        """Count as the base class, and keep sums and counts for `flush`."""
        self.pending_counts.copy_(self._count(batch, found))
        indices = found.indices
        levels = indices.unbind(1) if indices.ndim == 2 else (indices,)
        sums = torch.zeros_like(self.pending_sums, dtype=batch.rows.dtype)
        targets = found.targets or (batch.rows,)
        for level, (chosen, rows) in enumerate(zip(levels, targets, strict=True)):
            sums.index_add_(0, chosen + level * self.n_codes, batch.cleared(rows))
        self.pending_sums.copy_(summed(sums))

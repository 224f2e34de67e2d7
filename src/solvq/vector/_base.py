"""The abstract vector quantizer: all validation, layouts, statistics, encoding and decoding."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from solvq.code import Code
from solvq.vector._codes import check_indices, check_weights, to_array
from solvq.vector._kmeans import kmeans, sample
from solvq.vector._layout import (
    Batch,
    check_latents,
    check_mask,
    from_rows,
    per_latent,
    restore,
    to_batch,
)
from solvq.vector._modes import recomputing, without_autocast
from solvq.vector._parameters import check_number
from solvq.vector._result import Assigned, Quantized
from solvq.vector._store import CodeStore
from solvq.vector._sync import gathered, share, summed
from solvq.vector._usage import histogram


class VectorQuantizer(CodeStore):
    """Few shared vectors for the latents of a network.

    A layer is a final subclass with the hook `_quantize`. Assignments, statistics and losses are
    computed in float32 or better, whatever autocast says, and in float64 for float64 latents or
    parameters. Nothing is initialised or replaced on the way: `initialise` and `revive` are called
    by whoever trains. A forward outside training changes nothing.

    Statistics that change a codebook wait as buffers until the next training forward, `flush` or
    ``eval()`` applies them. So a second forward within backward (activation checkpointing) sees
    the same codebook, and a checkpoint taken between steps resumes exactly. Under checkpointing
    run at most one training forward of a layer before its backward; ``torch.compile`` goes
    outside the checkpoint. Under `torch.distributed` statistics are sums over all ranks, so every
    rank must call the layer, with an empty batch where it has none.

    Parameters
    ----------
    dim : int
        Length of a latent, >= 1.
    n_codes : int
        Number of codewords, >= 1; each latent takes log2(n_codes) bits.
    nan_policy : {"raise", "omit"}
        Latents with NaN or infinity are an error (in a compiled graph an assertion), or they alone
        give NaN and index 0, without loss, gradient and statistics. Asking costs one
        synchronisation with an accelerator under "raise" and none under "omit".

    Raises
    ------
    TypeError, ValueError
        For parameters out of range.
    """

    @abstractmethod
    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        """Quantize finite rows (N, dim) of at least float32, with autocast off.

        A function of the rows, the parameters, the buffers and, in training, torch's random
        numbers; it changes nothing.
        """

    def _rows(self, z: Tensor, mask: Tensor | None = None) -> Batch:
        """Checked latents as rows, in the dtype to compute in."""
        check_latents(z, self.dim)
        if mask is not None:
            check_mask(mask, z)
        dtype = torch.promote_types(z.dtype, self.table.dtype)
        return to_batch(z, mask, torch.promote_types(dtype, torch.float32), self.nan_policy)

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        """Quantize latents.

        Parameters
        ----------
        z : Tensor of shape (N, dim) or (B, dim, *spatial)
            Floating point.
        mask : Tensor of bool, (N,) or (B, *spatial), optional
            Latents that are False come back unchanged, with index 0, without loss and statistics.

        Returns
        -------
        Quantized
            The loss is the mean over the latents that count, 0 where there is none.

        Raises
        ------
        TypeError, ValueError
            For other kinds and shapes, and for latents that are not finite under "raise".
        """
        with without_autocast(z):
            batch = self._rows(z, mask)
            live = self.training and not recomputing()
            if live:
                self.flush()
            found = self._quantize(batch.rows, self.training)
            if live:
                self._record(batch, found)
            if found.gap is not None:
                gap = batch.cleared(found.gap.detach())
                self.largest_gap.copy_(nn.functional.pad(gap, (0, 1)).amax())
            loss = batch.mean(found.loss)
            indices = per_latent(batch.cleared(found.indices), z)
            weights = found.weights
            if weights is not None:
                weights = per_latent(batch.cleared(weights), z)
            return Quantized(restore(found.values, batch, z), indices, loss, weights)

    @torch.no_grad()
    def _record(self, batch: Batch, found: Assigned) -> None:
        """Keep what a training forward measured."""
        self._count(batch, found)

    def _count(self, batch: Batch, found: Assigned) -> Tensor:
        """Count the indices of rows kept, and sum their weights; gives the counts, all ranks'."""
        counts = summed(histogram(found.indices, batch.ones(), self.n_levels, self.n_codes))
        self.usage_counts.add_(counts)
        if self.usage_weights is not None and found.weights is not None:
            weights = found.weights.clamp_min(0) if self.signed else found.weights
            self.usage_weights.add_(summed(batch.ones().to(weights.dtype) @ weights))
        return counts

    def _values(self, indices: Tensor, weights: Tensor | None = None) -> Tensor:
        """Rows (N, dim) that indices (N,) or (N, n_indices) stand for, mixed by weights if any."""
        return nn.functional.embedding(indices, self.codebook)

    def encode(self, z: Tensor) -> Code:
        """Latents as a `solvq.Code` of NumPy arrays, as ``eval()`` assigns them.

        The code decodes to the codewords in the layout (N, dim) or (B, *spatial, dim). Nothing is
        changed or counted.

        Raises
        ------
        TypeError, ValueError
            As a forward; for latents that are not finite under either ``nan_policy``.
        """
        with torch.no_grad(), without_autocast(z):
            batch = self._rows(z)
            if batch.keep is not None and not bool(batch.keep.all()):
                bad = int((~batch.keep).sum())
                raise ValueError(
                    f"z holds NaN or infinity in {bad} latents, which no code can hold; replace "
                    "them first"
                )
            found = self._quantize(batch.rows, False)
            weights = None if found.weights is None else per_latent(found.weights, z)
            return self._code(per_latent(found.indices, z), weights)

    def _code(self, indices: Tensor, weights: Tensor | None) -> Code:
        """Code of indices and weights in their final shape."""
        return Code(to_array(self.codebook), to_array(indices))

    def decode(self, code: Code | Tensor, weights: Tensor | None = None) -> Tensor:
        """Latents that a code, or indices and weights of a forward, stand for.

        Parameters
        ----------
        code : Code or Tensor of integers
            What `encode` returned, decoded with the codebook inside it, or ``indices`` as a
            forward returned them, decoded with the codebook of the layer now. What a training
            forward measured is not applied before the next, so its indices give its values.
        weights : Tensor, optional
            Beside ``indices``, as a forward returned them, for layers whose values are mixtures in
            ``eval()`` too (``layer.mixes``); none for the others.

        Returns
        -------
        Tensor of shape (N, dim) or (B, dim, *spatial)
            In the dtype of the codebook.

        Raises
        ------
        TypeError, ValueError
            If ``code`` is neither, indices are out of range, or weights are missing, not wanted or
            of another shape.
        """
        if isinstance(code, Code):
            values = torch.from_numpy(np.array(code.decode())).to(self.table)
            return values if values.ndim < 3 else values.movedim(-1, 1)
        check_indices(code, self.n_codes, self.n_indices)
        lead = code.shape if self.n_indices is None else code.shape[:-1]
        check_weights(weights, (*lead, self.n_indices or self.n_codes) if self.mixes else None)
        rows_of = len(lead) - 1
        with torch.no_grad():
            flat = None if weights is None else weights.flatten(0, rows_of)
            rows = self._values(code.flatten(0, rows_of).long(), flat)
        return from_rows(rows, rows.new_empty((*lead[:1], self.dim, *lead[1:])))

    @torch.no_grad()
    def measure(self, z: Tensor, mask: Tensor | None = None) -> None:
        """Count what ``eval()`` gives for ``z``, for `usage`, `rate` and `revive`."""
        with without_autocast(z):
            batch = self._rows(z, mask)
            self._count(batch, self._quantize(batch.rows, False))

    @torch.no_grad()
    def initialise(self, z: Tensor, generator: torch.Generator | None = None) -> None:
        """Start the codewords from data, by k-means on all ranks' latents unless a layer says else.

        Parameters
        ----------
        z : Tensor of shape (N, dim) or (B, dim, *spatial)
            Latents; a few dozen a codeword serve well, fewer than codewords are repeated with
            jitter.
        generator : torch.Generator, optional
            Of the random seeds; torch's default one if None. Of several ranks the first decides.

        Raises
        ------
        TypeError, ValueError
            As a forward, and where no latent is left.
        """
        rows = self._gathered(z)
        self.flush()
        with without_autocast(z):
            self._start(rows, generator)
        share([*self.parameters(), *self.buffers()])
        self.reset_usage()

    @torch.no_grad()
    def revive(
        self, z: Tensor, threshold: float = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """Replace codewords that served less than ``threshold`` latents since `reset_usage`.

        A latent that mixes codewords is served by each in proportion to its weight.

        Parameters
        ----------
        z : Tensor of shape (N, dim) or (B, dim, *spatial)
            Latents, of which random ones are the new codewords.
        threshold : float, default 1
            Least that keeps a codeword.
        generator : torch.Generator, optional
            As in `initialise`.

        Returns
        -------
        Tensor of bool, (n_codes,)
            The codewords replaced. The counts start anew. An optimiser's moments of them stay.

        Raises
        ------
        TypeError, ValueError, NotImplementedError
            As `initialise`; where nothing was counted; for layers whose codewords move together.
        """
        if not self.replaceable:
            raise NotImplementedError(
                f"{type(self).__name__} moves its codewords together and has none to replace; "
                "leave revive out"
            )
        check_number("threshold", threshold, 0)
        if not int(self.usage_counts.sum()):
            raise ValueError("no index was counted since reset_usage; run training forwards first")
        rows = self._gathered(z)
        self.flush()
        dead = self._served() < threshold
        with without_autocast(z):
            for level in range(self.n_levels):
                which = dead & self._level(level)
                self._put(which, sample(self._targets(rows, level), int(which.sum()), generator))
        share([*self.parameters(), *self.buffers()])
        self.reset_usage()
        return dead

    def _gathered(self, z: Tensor) -> Tensor:
        """Rows of all ranks that count, or raise where there is none."""
        rows = gathered(self._rows(z).kept())
        if not len(rows):
            raise ValueError("z holds no latent; give at least one")
        return rows

    def _start(self, rows: Tensor, generator: torch.Generator | None) -> None:
        """Set the codewords, level by level, from rows (N, dim), N >= 1."""
        for level in range(self.n_levels):
            centres, counts = kmeans(self._targets(rows, level), self.n_codes, generator)
            self._put(self._level(level), centres, counts)

    def _targets(self, rows: Tensor, level: int) -> Tensor:
        """What a level's codewords stand for when the rows are quantized."""
        return rows if self.n_levels == 1 else self._quantize(rows, False).targets[level]

"""Convex combinations of few codewords with weights from a table: a discrete soft convex code."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import embedding

from solvq.code import Code
from solvq.vector._codes import mixture, to_array
from solvq.vector._estimate import straight_through, two_sided
from solvq.vector._layout import Batch, NanPolicy
from solvq.vector._mixing import MixingQuantizer
from solvq.vector._parameters import check_number, check_size
from solvq.vector._result import Assigned
from solvq.vector._sparse_code import sparse_code
from solvq.vector._start import small_uniform
from solvq.vector._sync import summed
from solvq.vector._usage import Rate, entropies, histogram


class SoftConvexSparseQuantizer(MixingQuantizer):
    """Replace each latent by a convex combination of at most ``n_nonzero`` codewords, in few bits.

    Minimises ``|z - p C|^2`` over p >= 0 with sum 1 and ``n_nonzero`` weights, all but the first
    from the table ``levels``: greedily, one codeword after the other, with the weights fitted anew
    each time. The loss is `NearestQuantizer`'s, with the mixture in the place of the codeword; the
    gradient of the values goes to the latents unchanged (straight-through).

    ``indices`` and ``weights`` are (..., n_nonzero), first those of the largest weight, which is
    what the others leave of 1; an index of weight 0 repeats the first. Nominal bits are
    ``log2 K + log2 C(K - 1, n_nonzero - 1) + (n_nonzero - 1) log2 n_values``: the first codeword,
    the set of the others, a weight for each. ``rate.entropy`` adds the entropies of the first
    indices, of the weights, and of the other indices where their weight is not 0: what static
    tables and an ideal coder take. `Code.rate` of `encode` counts indices of fixed length.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    n_nonzero : int, optional
        Most codewords a latent, from 1 to ``n_codes``; by default 2, or 1 of a single codeword.
    n_values : int, default 16
        Number of weights in the table, >= 1, at first evenly from 0 to 1/2.
    beta : float, default 0.25
        Weight of the commitment of latents to their mixtures, >= 0.

    References
    ----------
    Gautam, Pryzant, Yang, Zhu, Sojoudi, "Soft convex quantization: revisiting vector quantization
    with convex optimization", L4DC 2024, arXiv 2310.03004, for the convex combinations; the
    discrete code is ours.
    """

    levels: Tensor
    usage_first: Tensor
    usage_levels: Tensor

    def __init__(
        self,
        dim: int,
        n_codes: int,
        n_nonzero: int | None = None,
        n_values: int = 16,
        beta: float = 0.25,
        *,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        chosen = min(2, self.n_codes) if n_nonzero is None else check_size("n_nonzero", n_nonzero)
        if chosen > self.n_codes:
            raise ValueError(f"n_nonzero is {chosen}; give at most n_codes, {self.n_codes}")
        self.n_indices = self.n_nonzero = chosen
        self.n_values = check_size("n_values", n_values)
        self.beta = check_number("beta", beta, 0)
        self._prepare(small_uniform(self.n_codes, self.dim), learned=True)
        self.register_buffer("levels", torch.linspace(0, 0.5, self.n_values))
        self.register_buffer("usage_first", torch.zeros(self.n_codes, dtype=torch.int64))
        self.register_buffer("usage_levels", torch.zeros(self.n_values, dtype=torch.int64))

    @torch.no_grad()
    def set_levels(self, levels: ArrayLike) -> None:
        """Replace the table of weights.

        Parameters
        ----------
        levels : array_like of n_values numbers
            From 0 to 1/2, for instance the codebook that `solvq.quantize` finds for the weights of
            many latents. The smallest ones of all but one codeword must leave something of 1.

        Raises
        ------
        ValueError
            For another number of them, or values out of range.
        """
        table = torch.tensor(np.asarray(levels, np.float64)).sort().values
        if table.shape != (self.n_values,):
            raise ValueError(f"levels have shape {tuple(table.shape)}; give ({self.n_values},)")
        inside = bool(((table >= 0) & (table <= 0.5)).all())
        if not inside or float(table[0]) * (self.n_nonzero - 1) > 1:
            raise ValueError(
                f"levels are {table.tolist()}; give weights from 0 to 0.5, and the smallest times "
                f"{self.n_nonzero - 1} at most 1"
            )
        self.levels.copy_(table)

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        codebook = self.codebook.to(rows.dtype)
        levels = self.levels.to(rows.dtype)
        indices, weights = sparse_code(rows.detach(), codebook.detach(), levels, self.n_nonzero)
        values = (weights.unsqueeze(2) * embedding(indices, codebook)).sum(1)
        loss = two_sided(rows, values, self.beta)
        return Assigned(straight_through(rows, values), indices, loss, weights)

    def _values(self, indices: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mixtures by the weights; without, the codewords of the indices."""
        words = super()._values(indices)
        return words if weights is None else (weights.to(words.dtype).unsqueeze(2) * words).sum(1)

    def _dense(self, found: Assigned) -> Tensor:
        dense = found.mix.new_zeros(len(found.mix), self.n_codes)
        return dense.scatter_add_(1, found.indices, found.mix)

    def _count(self, batch: Batch, found: Assigned) -> Tensor:
        """Count codewords with a weight, the first ones, and the weights of the others."""
        indices, weights, ones = found.indices, found.mix, batch.ones()
        times = ones.unsqueeze(1) * (weights > 0)
        counts = summed(histogram(indices, times, 1, self.n_codes))
        self.usage_counts.add_(counts)
        self.usage_first.add_(summed(histogram(indices[:, 0], ones, 1, self.n_codes)))
        place = torch.searchsorted(self.levels.to(weights.dtype), weights[:, 1:].contiguous())
        self.usage_levels.add_(summed(histogram(place, ones, 1, self.n_values)))
        mass = torch.zeros(self.n_codes, dtype=weights.dtype, device=weights.device)
        mass.index_add_(0, indices.reshape(-1), (weights * ones.unsqueeze(1)).reshape(-1))
        cast(Tensor, self.usage_weights).add_(summed(mass))
        return counts

    @property
    def rate(self) -> Rate:
        """Bits per latent: of the first index, the set of the others, and their weights."""
        others = self.n_nonzero - 1
        sets = math.log2(self.n_codes) + math.log2(math.comb(self.n_codes - 1, others))
        nominal = sets + others * math.log2(self.n_values)
        n_latents = int(self.usage_first.sum())
        if not n_latents:
            return Rate(nominal, math.nan)
        rest = self.usage_counts - self.usage_first
        nats = float(entropies(self.usage_first[None]))
        if others:
            nats += others * float(entropies(self.usage_levels[None]))
        if int(rest.sum()):
            nats += float(entropies(rest[None])) * int(rest.sum()) / n_latents
        return Rate(nominal, nats / math.log(2))

    def _code(self, indices: Tensor, weights: Tensor | None) -> Code:
        """Code of few indices a latent, each with its weight."""
        return Code(to_array(self.codebook), to_array(indices), mixture(cast(Tensor, weights)))

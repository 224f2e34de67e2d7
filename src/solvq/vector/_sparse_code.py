"""Few codewords a latent with weights from a table: a discrete code, found greedily."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding, pad

from solvq.vector._distance import SCORES, nearest
from solvq.vector._system import System, descend

SWEEPS = 3  # of choosing weights from the table, one after the other


@torch.library.custom_op("solvq::sparse_code", mutates_args=())
def sparse_code(
    rows: Tensor, codebook: Tensor, levels: Tensor, n_nonzero: int
) -> tuple[Tensor, Tensor]:
    """Codewords (N, s) and weights (N, s) that bring ``sum_i w_i c_i`` near each row.

    The first codeword has the weight that the others leave of 1, the others one of ``levels``,
    which ascend. Codewords join one by one, each the one that a line search gains most with, and
    the weights are then the best convex ones of those found; at last the table takes their place.
    An index of weight 0 repeats the first one.
    """
    centre = codebook.mean(0)
    words, rows = codebook - centre, rows - centre
    indices = torch.empty(len(rows), n_nonzero, dtype=torch.int64, device=rows.device)
    weights = rows.new_empty(len(rows), n_nonzero)
    size = max(128, SCORES // len(words))
    for first in range(0, len(rows), size):
        part = slice(first, first + size)
        chosen, mix = _grown(rows[part], words, n_nonzero)
        indices[part], weights[part] = _settled(rows[part], words, chosen, mix, levels)
    return indices, weights


@sparse_code.register_fake
def _(rows: Tensor, codebook: Tensor, levels: Tensor, n_nonzero: int) -> tuple[Tensor, Tensor]:
    weights = rows.new_empty(rows.shape[0], n_nonzero)
    return torch.empty_like(weights, dtype=torch.int64), weights


def _grown(rows: Tensor, words: Tensor, n_nonzero: int) -> tuple[Tensor, Tensor]:
    """Codewords chosen greedily, and their best convex weights."""
    index = nearest(rows, words).unsqueeze(1)
    weights = torch.ones_like(rows[:, :1])
    value, length = embedding(index[:, 0], words), words.square().sum(1)
    ridge = torch.zeros_like(length[0])
    for _ in range(1, n_nonzero):
        residual = rows - value
        index = torch.cat([index, _best_direction(residual, value, words, length)], 1)
        stacked = embedding(index, words)
        slope = (stacked @ residual.unsqueeze(2)).squeeze(2)
        every = torch.ones_like(slope, dtype=torch.bool)
        weights = descend(System(stacked, ridge), every, pad(weights, (0, 1)), slope)
        weights = weights / weights.sum(1, keepdim=True)
        value = (weights.unsqueeze(1) @ stacked).squeeze(1)
    return index, weights


def _best_direction(residual: Tensor, value: Tensor, words: Tensor, length: Tensor) -> Tensor:
    """Codeword (N, 1) towards which a step from ``value`` lowers ``|residual|^2`` most."""
    lean = residual @ words.T - (residual * value).sum(1, keepdim=True)
    reach = torch.addmm(length, value, words.T, alpha=-2) + value.square().sum(1, keepdim=True)
    share = (lean / reach.clamp_min(torch.finfo(lean.dtype).tiny)).clamp(0, 1)
    return (share * (2 * lean - share * reach)).argmax(1, keepdim=True)


def _settled(
    rows: Tensor, words: Tensor, index: Tensor, weights: Tensor, levels: Tensor
) -> tuple[Tensor, Tensor]:
    """The largest weight first, the others from the table: the best of it, one after the other."""
    index = index.gather(1, weights.argsort(dim=1, descending=True, stable=True))
    base = embedding(index[:, :1], words)
    moves = embedding(index[:, 1:], words) - base
    size = moves.square().sum(2).clamp_min(torch.finfo(rows.dtype).tiny)
    shares = levels[0].expand(moves.shape[:2]).clone()
    for _ in range(SWEEPS):
        for i in range(moves.shape[1]):
            shares[:, i] = 0
            left = rows - base[:, 0] - (shares.unsqueeze(1) @ moves).squeeze(1)
            wish = (left * moves[:, i]).sum(1) / size[:, i]
            room = 1 - shares.sum(1) + torch.finfo(rows.dtype).eps
            far = (wish.unsqueeze(1) - levels).abs()
            far = torch.where(levels <= room.unsqueeze(1), far, torch.inf)
            shares[:, i] = levels[far.argmin(1)]
    index = torch.cat([index[:, :1], torch.where(shares > 0, index[:, 1:], index[:, :1])], 1)
    return index, torch.cat([1 - shares.sum(1, keepdim=True), shares], 1)

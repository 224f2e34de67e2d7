"""Nearest codewords and squared distances, in little memory and centred against cancellation."""

from __future__ import annotations

import torch
from torch import Tensor

SCORES = 1 << 19  # scores held at a time: a few MB, whatever the number of rows and codes


def search(rows: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the nearest codeword of each row, and its score ``(z - m).(c - m) - |c - m|^2/2``.

    m is the mean of the codewords; the lowest index wins among equals. No gradient. The rows go in
    chunks, so that (N, K) scores never exist at once; a compiled graph holds them whole, since a
    loop over chunks would fix the number of rows.
    """
    with torch.no_grad():
        centre = codebook.mean(0)
        words = codebook - centre
        offset = words.square().sum(1) / -2
        n_chunk = max(128, SCORES // len(words))
        if torch.compiler.is_compiling() or len(rows) <= n_chunk:
            best = torch.addmm(offset, rows - centre, words.T).max(1)
            return best.indices, best.values
        indices = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
        best_scores = rows.new_empty(len(rows))
        scores = rows.new_empty(n_chunk, len(words))  # one for all: fresh ones fragment the heap
        for start in range(0, len(rows), n_chunk):
            part = slice(start, start + n_chunk)
            near = rows[part] - centre
            torch.addmm(offset, near, words.T, out=scores[: len(near)])
            torch.max(scores[: len(near)], 1, out=(best_scores[part], indices[part]))
        return indices, best_scores


def nearest(rows: Tensor, codebook: Tensor) -> Tensor:
    """Index (N,) of the codeword (K, dim) nearest to each row (N, dim); see `search`."""
    return search(rows, codebook)[0]


def nearest_error(rows: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the nearest codeword of each row and the squared distance to it; no gradient."""
    with torch.no_grad():
        indices, score = search(rows, codebook)
        squares = (rows - codebook.mean(0)).square().sum(1)
        return indices, (squares - 2 * score).clamp_min(0)


def squared_distances(rows: Tensor, codebook: Tensor) -> Tensor:
    """``|z_n - c_j|^2`` of shape (N, K), differentiable in both."""
    centre = codebook.detach().mean(0)
    rows, words = rows - centre, codebook - centre
    squares = rows.square().sum(1, keepdim=True) + words.square().sum(1)
    return torch.addmm(squares, rows, words.T, alpha=-2)

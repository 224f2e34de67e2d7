"""Codewords from data: k-means with spread-out seeds, in chunks, for an explicit start."""

from __future__ import annotations

import torch
from torch import Tensor

from solvq.vector._distance import nearest_error

ROUNDS = 64  # seeds are drawn in this many rounds; up to so many codes it is k-means++ proper
JITTER = 1e-3  # of the spread of the data: what tells repeated seeds apart


def random_like(rows: Tensor, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Uniform numbers in [0, 1) on the device of ``rows``, drawn where the generator lives."""
    device = rows.device if generator is None else generator.device
    return torch.rand(shape, generator=generator, device=device).to(rows.device)


def sample(rows: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """``n`` random rows: different ones if there are that many, else each as evenly as can be."""
    order = random_like(rows, (len(rows),), generator).argsort()
    return rows[order[torch.arange(n, device=rows.device) % len(rows)]]


def _drawn(error: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """``n`` indices with probability proportional to ``error``, or even where all are 0."""
    mass = error.double().cumsum(0)
    if not mass[-1] > 0:
        mass = torch.ones_like(mass).cumsum(0)
    point = random_like(error, (n,), generator).double() * mass[-1]
    return torch.searchsorted(mass, point, right=True).clamp_max(len(error) - 1)


def _seeds(rows: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
    """``k`` rows, each round drawn in proportion to the squared distance from those before."""
    step = -(-k // ROUNDS)
    chosen = [rows[_drawn(rows.new_zeros(len(rows)), min(step, k), generator)]]
    error = nearest_error(rows, chosen[0])[1]
    while (n := k - sum(map(len, chosen))) > 0:
        chosen.append(rows[_drawn(error, min(step, n), generator)])
        error = torch.minimum(error, nearest_error(rows, chosen[-1])[1])
    return torch.cat(chosen)


def kmeans(
    rows: Tensor, k: int, generator: torch.Generator | None, n_iter: int = 10
) -> tuple[Tensor, Tensor]:
    """``k`` centres (k, dim) of rows (N, dim), N >= 1, and how many rows each has, (k,) int64.

    Seeds are drawn in proportion to the squared distance, in at most `ROUNDS` rounds, then Lloyd's
    iteration; a centre without rows moves to the row that is served worst. With at most ``k`` rows
    these are the centres, repeated with jitter. Costs O(N k dim) an iteration, and no (N, k).
    """
    if len(rows) <= k:
        spread = torch.maximum(rows.std(0, correction=0).amax(), JITTER * rows.abs().amax())
        spread = torch.where(spread > 0, spread, 1)
        centres = rows[torch.arange(k, device=rows.device) % len(rows)].clone()
        noise = 2 * random_like(rows, tuple(centres[len(rows) :].shape), generator) - 1
        centres[len(rows) :] += JITTER * spread * noise.to(rows.dtype)
    else:
        centres = _seeds(rows, k, generator)
        for _ in range(n_iter):
            centres = _moved(rows, centres)
    return centres, torch.bincount(nearest_error(rows, centres)[0], minlength=k)


def _moved(rows: Tensor, centres: Tensor) -> Tensor:
    """Means of the rows nearest to each centre; the worst served rows for centres without."""
    indices, error = nearest_error(rows, centres)
    counts = torch.bincount(indices, minlength=len(centres))
    means = torch.zeros_like(centres).index_add_(0, indices, rows) / counts.clamp_min(1)[:, None]
    empty = counts == 0
    means[empty] = rows[error.topk(int(empty.sum())).indices]
    return means

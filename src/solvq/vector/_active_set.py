"""Exact soft convex quantization by column generation: kernels in, tensors out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from solvq.vector._system import System, descend, front

ENTRANTS = 8  # codewords that may join a row's working set in its first round
ELEMENTS = {"cpu": 2**21}  # of a temporary; what a cache holds
ELEMENTS_ELSEWHERE = 2**26


class Problem(NamedTuple):
    """``1/2 |z - p B|^2 + ridge/2 |p - e_start|^2`` over the simplex for each row z of ``target``.

    With ``cost`` of shape (N, K) it is ``1/2 |z - p B|^2 + <cost, p> + ridge/2 |p|^2`` instead.
    """

    target: Tensor
    codebook: Tensor
    ridge: Tensor
    start: Tensor
    cost: Tensor | None

    def take(self, rows: Tensor | slice) -> Problem:
        """Problem of some of the rows."""
        cost = None if self.cost is None else self.cost[rows]
        return self._replace(target=self.target[rows], start=self.start[rows], cost=cost)

    def double(self) -> Problem:
        """The same problem in float64."""
        cost = None if self.cost is None else self.cost.double()
        target, codebook, ridge = self.target.double(), self.codebook.double(), self.ridge.double()
        return Problem(target, codebook, ridge, self.start, cost)

    def objective(self, residual: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        """Value at each row's point, of shape (n, 1)."""
        fit = residual.square().sum(1, keepdim=True)
        norm = weights.square().sum(1, keepdim=True)
        if self.cost is not None:
            linear = (self.cost.gather(1, index) * weights).sum(1, keepdim=True)
            return (fit + self.ridge * norm) / 2 + linear
        first = (weights * (index == self.start.unsqueeze(1))).sum(1, keepdim=True)
        return (fit + self.ridge * (norm - 2 * first + 1)) / 2

    def slopes(self, residual: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        """Negative gradient in all weights, of shape (n, K)."""
        slopes = residual @ self.codebook.T
        if self.cost is not None:
            slopes -= self.cost
        else:
            pull = self.ridge.expand(len(slopes), 1)
            slopes.scatter_add_(1, self.start.unsqueeze(1), pull)
        return slopes.scatter_add_(1, index, -self.ridge * weights)


class Entrants(NamedTuple):
    """Steepest codewords outside the working sets; slopes of those inside, and their mean."""

    chosen: Tensor
    there: Tensor
    here: Tensor
    level: Tensor

    @classmethod
    def of(cls, slopes: Tensor, points: Points, count: int) -> Entrants:
        """Entrants for given slopes in all weights, which are overwritten."""
        here = slopes.gather(1, points.chosen)
        level = (here * points.weights).sum(1, keepdim=True)
        there, index = slopes.scatter_(1, points.chosen, -torch.inf).topk(count, dim=1)
        return cls(index, there, here, level)

    def gap(self) -> Tensor:
        """Frank-Wolfe gap, of shape (n, 1)."""
        return torch.maximum(self.there[:, :1], self.here.amax(1, keepdim=True)) - self.level

    def take(self, rows: Tensor) -> Entrants:
        """Some of the rows."""
        return Entrants(*(entry.index_select(0, rows) for entry in self))


class Points(NamedTuple):
    """Rows under way: number, working set, its weights, their value, least objective and gap."""

    row: Tensor
    chosen: Tensor
    weights: Tensor
    value: Tensor
    objective: Tensor
    gap: Tensor

    def take(self, rows: Tensor) -> Points:
        """Some of the rows."""
        return Points(*(entry.index_select(0, rows) for entry in self))


class Outputs(NamedTuple):
    """What is known of rows that have stopped: weights (N, K), gap, rounds and objective (N,)."""

    weights: Tensor
    gap: Tensor
    n_iter: Tensor
    objective: Tensor

    def write(self, points: Points, rounds: int) -> None:
        """Put points that have stopped in their rows."""
        fresh = self.weights.new_zeros(len(points.row), self.weights.shape[1])
        self.weights[points.row] = fresh.scatter_add_(1, points.chosen, points.weights)
        self.gap[points.row] = points.gap.squeeze(1)
        self.n_iter[points.row] = rounds
        self.objective[points.row] = points.objective.squeeze(1)


def elements(device: torch.device) -> int:
    """Entries that a temporary tensor should have at most."""
    return ELEMENTS.get(device.type, ELEMENTS_ELSEWHERE)


def pieces(counts: Tensor, n_features: int) -> Iterator[tuple[Tensor, int]]:
    """Rows in groups of alike counts, with the largest count of each; temporaries stay small."""
    if len(counts) == 0:
        return
    ordered, order = counts.sort()
    widest = int(ordered[-1])
    size = max(1, elements(counts.device) // (widest * (widest + n_features)))
    size = min(size, max(64, -(-len(counts) // 4)))
    groups = order.split(size)
    ends = torch.arange(len(groups), device=counts.device).add_(1).mul_(size)
    widths = ordered[ends.clamp_max_(len(counts)).sub_(1)].tolist()
    yield from zip(groups, widths, strict=True)


def improve(problem: Problem, points: Points, entrants: Entrants) -> Points:
    """One round: the entrants join the working sets, which are then solved."""
    index = torch.cat([points.chosen, entrants.chosen], dim=1)
    joins = entrants.there > entrants.level
    active = torch.cat([points.weights > 0, joins], dim=1)
    weights = torch.nn.functional.pad(points.weights, (0, joins.shape[1]))
    slope = torch.where(active, torch.cat([entrants.here, entrants.there], dim=1), 0)
    done = []
    for rows, width in pieces(active.sum(1), problem.target.shape[1]):
        used = front(active[rows], width)
        parts = (t[rows].gather(1, used) for t in (index, active, weights, slope))
        done.append(_solved(problem, points.take(rows), *parts))
    width = max(part.chosen.shape[1] for part in done)
    wide = [
        part._replace(chosen=_widen(part.chosen, width), weights=_widen(part.weights, width))
        for part in done
    ]
    return Points(*(torch.cat(entries) for entries in zip(*wide, strict=True)))


def _solved(
    problem: Problem, points: Points, index: Tensor, active: Tensor, weights: Tensor, slope: Tensor
) -> Points:
    """Points with their working sets solved, positive weights first."""
    words = torch.nn.functional.embedding(index, problem.codebook)
    weights = descend(System(words, problem.ridge), active, weights, slope)
    weights = weights / weights.sum(1, keepdim=True)
    value = (weights.unsqueeze(1) @ words).squeeze(1)
    weights, order = weights.sort(dim=1, descending=True)
    width = int((weights > 0).sum(1).max())
    index, weights = index.gather(1, order[:, :width]), weights[:, :width]
    index = torch.where(weights > 0, index, index[:, :1])
    return points._replace(chosen=index, weights=weights, value=value)


def _widen(entries: Tensor, width: int) -> Tensor:
    """Entries with columns added: the first index for indices, zero for weights."""
    if entries.is_floating_point():
        return torch.nn.functional.pad(entries, (0, width - entries.shape[1]))
    return torch.cat([entries, entries[:, :1].expand(-1, width - entries.shape[1])], dim=1)


def minimise_in_chunks(problem: Problem, tol: float, max_iter: int) -> Outputs:
    """What is known of all rows, from a centred problem, in chunks of rows."""
    outputs = Outputs(
        problem.target.new_zeros(len(problem.target), len(problem.codebook)),
        problem.target.new_zeros(len(problem.target)),
        torch.zeros_like(problem.start),
        problem.target.new_zeros(len(problem.target)),
    )
    size = max(64, elements(problem.target.device) // len(problem.codebook))
    for first in range(0, len(problem.target), size):
        rows = slice(first, first + size)
        part = Outputs(*(entries[rows] for entries in outputs))
        _minimise_chunk(problem.take(rows), part, tol, max_iter)
    return outputs


def _minimise_chunk(problem: Problem, outputs: Outputs, tol: float, max_iter: int) -> None:
    """Fill the outputs for one chunk of rows.

    A row is done when its gap is small, or at the limit of rounding, where neither the objective
    falls nor the gap halves; rows of NaN are done at once.
    """
    index = problem.start.unsqueeze(1)
    infinite = torch.full_like(index, torch.inf, dtype=problem.target.dtype)
    points = Points(
        torch.arange(len(index), device=index.device),
        index,
        torch.ones_like(infinite),
        problem.codebook.index_select(0, problem.start),
        infinite,
        infinite,
    )
    for n_iter in range(max_iter + 1):
        now = problem.take(points.row)
        residual = now.target - points.value
        slopes = now.slopes(residual, points.chosen, points.weights)
        objective = now.objective(residual, points.chosen, points.weights)
        n_entrants = min(ENTRANTS << (n_iter // 4), slopes.shape[1])
        entrants = Entrants.of(slopes, points, n_entrants)
        gap = entrants.gap()
        falling = (objective < points.objective) | (gap < points.gap / 2)
        going = (gap > tol * objective) & falling & (n_iter < max_iter)
        rows, stopped = (t.squeeze(1).nonzero().squeeze(1) for t in (going, ~going))
        known = objective[stopped], gap[stopped].clamp_min(0)
        outputs.write(points.take(stopped)._replace(objective=known[0], gap=known[1]), n_iter)
        if len(rows) == 0:
            return
        least = points.objective.minimum(objective), points.gap.minimum(gap)
        points = points._replace(objective=least[0], gap=least[1]).take(rows)
        points = improve(now.take(rows), points, entrants.take(rows))

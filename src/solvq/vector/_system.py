"""Small quadratic problems, one a row, over the few codewords in each row's working set."""

from __future__ import annotations

import torch
from torch import Tensor


class System:
    """Matrices ``H = A A^T + ridge I`` for stacked codewords A, solved on subsets of their rows.

    ``words`` is A, of shape (n, m, F). Kept is ``A A^T``, or A where m > F: factors are m x m, or
    F x F by Woodbury. The
    ridge of a factor is raised to where rounding leaves it positive definite, so a solve is exact
    up to that: apply it to residuals, again where it matters.
    """

    def __init__(self, words: Tensor, ridge: Tensor) -> None:
        self.small = words.shape[1] <= words.shape[2]
        self.matrix = words @ words.mT if self.small else words
        self.ridge = ridge
        largest = torch.linalg.vector_norm(words, dim=2).amax() ** 2
        lifted = ridge + min(words.shape[1:]) * torch.finfo(words.dtype).eps * largest
        self.lifted = torch.where(lifted > 0, lifted, torch.ones_like(lifted))

    def take(self, rows: Tensor, columns: Tensor | None) -> System:
        """System of some rows of the batch and, in each, some of its codewords or all."""
        system = object.__new__(System)
        system.small, system.ridge, system.lifted = self.small, self.ridge, self.lifted
        system.matrix = self.matrix.index_select(0, rows)
        if columns is not None:
            across = columns.unsqueeze(2)
            system.matrix = system.matrix.take_along_dim(across, 1)
            if self.small:
                system.matrix = system.matrix.take_along_dim(across.mT, 2)
        return system

    def apply(self, x: Tensor) -> Tensor:
        """Product of H with columns ``x`` of shape (n, m, c)."""
        product = self.matrix @ (x if self.small else self.matrix.mT @ x)
        return product + self.ridge * x

    def factor(self, active: Tensor) -> Tensor:
        """Cholesky factor of H on the active set, or of its F x F form, with the raised ridge."""
        mask = active.to(self.matrix.dtype).unsqueeze(2)
        words = self.matrix * mask
        inner = words * mask.mT if self.small else words.mT @ words
        inner.diagonal(dim1=1, dim2=2).add_(self.lifted)
        return torch.linalg.cholesky_ex(inner)[0]

    def solve(self, active: Tensor, factor: Tensor, right: Tensor) -> Tensor:
        """``H_SS^-1 right_S`` on the active set S and zero elsewhere; ``right`` is (n, m, c)."""
        mask = active.to(right.dtype).unsqueeze(2)
        right = right * mask
        if self.small:
            return torch.cholesky_solve(right, factor)
        inner = torch.cholesky_solve(self.matrix.mT @ right, factor)
        return (right - self.matrix @ inner) * mask / self.lifted

    def step(self, active: Tensor, factor: Tensor, slope: Tensor, total: Tensor | float) -> Tensor:
        """Minimise ``1/2 d^T H d - slope^T d`` over d on the active set with a given sum.

        ``slope`` is (n, m), ``total`` (n, 1) or a number; every row has an active codeword.
        """
        right = torch.stack([slope, torch.ones_like(slope)], dim=2)
        free, even = self.solve(active, factor, right).unbind(2)
        excess = free.sum(1, keepdim=True) - total
        return free - excess / even.sum(1, keepdim=True) * even


def front(mask: Tensor, width: int) -> Tensor:
    """Columns (n, width) of each row of a mask, those set first."""
    return mask.to(torch.uint8).argsort(dim=1, descending=True)[:, :width]


def descend(system: System, active: Tensor, weights: Tensor, slope: Tensor) -> Tensor:
    """Minimise ``1/2 q^T H q - b^T q`` over the simplex on the active codewords, from ``weights``.

    ``slope`` is ``b - H weights``. A Newton step that leaves the simplex is clipped if that still
    lowers the objective, and otherwise shortened to the first weight that reaches zero; weights
    at zero leave the active set. So the objective never rises, and every round but a row's last
    drops a codeword. The result has shape (n, m).
    """
    result = torch.zeros_like(weights)
    row = torch.arange(len(weights), device=weights.device)
    column = torch.arange(weights.shape[1], device=weights.device).expand_as(weights)
    while True:
        step = system.step(active, system.factor(active), slope, 1 - weights.sum(1, keepdim=True))
        goal = weights + step
        outside = goal < 0
        share = torch.where(outside, weights / (weights - goal), 1.0)
        shortest = share.amin(1, keepdim=True)
        clipped = goal.clamp_min(0)
        clipped = clipped / clipped.sum(1, keepdim=True)
        moves = torch.stack([shortest * step, clipped - weights], dim=2)
        pushed = system.apply(moves)
        gain = ((slope.unsqueeze(2) - pushed / 2) * moves).sum(1)
        clip = gain[:, 1:] > 0
        active = active & ~(outside & (clip | (share <= shortest)))
        weights = torch.where(clip, clipped, (weights + moves[:, :, 0]).clamp_min(0)) * active
        slope = slope - torch.where(clip, pushed[:, :, 1], pushed[:, :, 0])
        result[row.unsqueeze(1), column] = weights
        left = outside.any(1).nonzero().squeeze(1)
        if len(left) == 0:
            return result
        row, column, active, weights, slope = (
            t.index_select(0, left) for t in (row, column, active, weights, slope)
        )
        width = int(active.sum(1).max())
        kept = None
        if width <= 0.75 * active.shape[1]:
            kept = front(active, width)
            column, active, weights, slope = (
                t.gather(1, kept) for t in (column, active, weights, slope)
            )
        system = system.take(left, kept)

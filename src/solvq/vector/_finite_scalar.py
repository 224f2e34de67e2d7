"""A grid of few levels a coordinate, without a codebook to learn: FSQ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from solvq.vector._base import VectorQuantizer
from solvq.vector._estimate import carried
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_size
from solvq.vector._result import Assigned

MOST_LEVELS = 16
MARGIN = 1e-3  # keeps the outermost levels in reach of tanh


def _factorisations(n: int, most: int) -> Iterator[tuple[int, ...]]:
    """Every way to write ``n`` as a product of falling integers from ``most`` down to 2."""
    if n == 1:
        yield ()
    for factor in range(min(n, most), 1, -1):
        if n % factor == 0:
            for rest in _factorisations(n // factor, factor):
                yield (factor, *rest)


def default_levels(n_codes: int) -> tuple[int, ...]:
    """Levels with product ``n_codes``: from 3 to 8 each if that can be, and as few as can be."""
    if n_codes == 1:
        return (1,)
    ways = list(_factorisations(n_codes, MOST_LEVELS))
    if not ways:
        raise ValueError(
            f"n_codes is {n_codes}, no product of integers up to {MOST_LEVELS}; give levels, or a "
            f"power of two such as {1 << round(math.log2(n_codes))}"
        )
    return min(ways, key=lambda way: (max(way) > 8, min(way) < 3, len(way), max(way) - min(way)))


class FiniteScalarQuantizer(VectorQuantizer):
    """Round a few bounded coordinates of each latent to integer levels.

    A learned affine map takes a latent to one coordinate a level; ``tanh`` bounds coordinate i to
    ``levels[i]`` integers, and rounding has the gradient of the identity; a second affine map
    takes the point back. The codewords are the images of all grid points. There is no loss and no
    codeword of its own to replace: `revive` does not apply. `initialise` sets the maps to the
    principal components of the latents and the least-squares way back.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    levels : sequence of int, optional
        Integers >= 1 with product ``n_codes``. By default a factorisation with 3 to 8 levels where
        there is one: 256 is 8, 8, 4 and 1000 is 8, 5, 5, 5.

    References
    ----------
    Mentzer, Minnen, Agustsson, Tschannen, "Finite scalar quantization: VQ-VAE made simple",
    ICLR 2024.
    """

    replaceable: ClassVar[bool] = False

    def __init__(
        self,
        dim: int,
        n_codes: int,
        levels: Sequence[int] | None = None,
        *,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        given = default_levels(self.n_codes) if levels is None else levels
        self.levels = tuple(check_size("levels", level) for level in given)
        if math.prod(self.levels) != self.n_codes or not self.levels:
            raise ValueError(
                f"levels are {self.levels} with product {math.prod(self.levels)}; n_codes is "
                f"{self.n_codes}, give factors of it"
            )
        self.inward = nn.Linear(self.dim, len(self.levels))
        self.outward = nn.Linear(len(self.levels), self.dim)
        counts = torch.tensor(self.levels)
        place = torch.tensor([math.prod(self.levels[:i]) for i in range(len(self.levels))])
        self.register_buffer("level_counts", counts, persistent=False)
        self.register_buffer("place", place, persistent=False)
        digits = torch.arange(self.n_codes).unsqueeze(1) // place % counts
        self._prepare(self._grid(digits), learned=False)

    level_counts: Tensor
    place: Tensor

    def _grid(self, digits: Tensor) -> Tensor:
        """Digits 0 .. levels - 1 as coordinates from -1 to 1."""
        half = (self.level_counts // 2).clamp_min(1)
        return (digits - self.level_counts // 2) / half

    @property
    def codebook(self) -> Tensor:
        """Images of all grid points, (n_codes, dim)."""
        return nn.functional.linear(self.table, self.outward.weight, self.outward.bias)

    def _bounded(self, rows: Tensor) -> Tensor:
        """Coordinates to round: 0 stays 0, and the digit is the rounded value plus levels // 2."""
        weight, bias = self.inward.weight.to(rows.dtype), self.inward.bias.to(rows.dtype)
        inside = nn.functional.linear(rows, weight, bias)
        half = (self.level_counts - 1).to(rows.dtype) * (1 + MARGIN) / 2
        offset = (self.level_counts % 2 == 0).to(rows.dtype) / 2
        shift = torch.atanh(offset / half.clamp_min(0.5))
        return torch.tanh(inside + shift) * half - offset

    def _digits(self, bounded: Tensor) -> Tensor:
        """Level of each coordinate, from 0."""
        return bounded.detach().round().long() + self.level_counts // 2

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        bounded = self._bounded(rows)
        indices = (self._digits(bounded) * self.place).sum(1)
        values = self._values(indices).to(rows.dtype)
        soft = bounded / (self.level_counts // 2).clamp_min(1)
        outward = self.outward.weight.detach().to(rows.dtype)
        values = carried(values, nn.functional.linear(soft, outward))
        return Assigned(values, indices, torch.zeros_like(rows[:, 0]))

    def _start(self, rows: Tensor, generator: torch.Generator | None) -> None:
        fine, mean = rows.double(), rows.double().mean(0)
        size, axes = torch.linalg.eigh((fine - mean).T @ (fine - mean) / len(rows))
        order = torch.arange(len(self.levels), device=rows.device) % self.dim
        size, axes = size.flip(0)[order], axes.flip(1)[:, order]
        inward = (0.8 * axes / size.clamp_min(1e-12).sqrt()).T  # tanh(0.8 u) is nearly uniform
        self.inward.weight.copy_(inward)
        self.inward.bias.copy_(-inward @ mean)
        points = self._grid(self._digits(self._bounded(rows))).double()
        points = torch.cat([points, torch.ones_like(points[:, :1])], 1)
        outward = torch.linalg.pinv(points) @ fine
        self.outward.weight.copy_(outward[:-1].T)
        self.outward.bias.copy_(outward[-1])

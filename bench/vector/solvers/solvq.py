"""`solvq.vector.soft_convex`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from bench.vector.method import Bound, Method, Penalty
from bench.vector.problem import Data
from bench.vector.solvers._solver import FEW, LARGE, bind_solver


@final
@dataclass(frozen=True)
class Ours(Method):
    """Column generation, to a gap of ``tol`` times the objective; ``few``: as few rows as peers."""

    name: str
    alpha: float
    tol: float
    double: bool = False
    few: bool = False

    def penalty(self) -> Penalty:
        """The problem of the paper."""
        return Penalty("anchored", self.alpha)

    def rows(self, available: int, n_codes: int) -> int:
        """All rows, unless the batch of the slow ones is asked for."""
        return min(FEW, available) if self.few and n_codes >= LARGE else available

    def bind(self, data: Data) -> Bound:
        """Bind the function."""
        from solvq.vector import soft_convex  # noqa: PLC0415

        return bind_solver(
            lambda z, c: soft_convex(z, c, self.alpha, tol=self.tol)[1],
            data,
            torch.float64 if self.double else torch.float32,
        )

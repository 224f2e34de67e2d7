"""qpth: a batched interior-point solver of quadratic programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from bench.vector.method import Bound, Method, Penalty
from bench.vector.problem import Data
from bench.vector.solvers._solver import FEW, LARGE, bind_solver, ridge_of, starts


@final
@dataclass(frozen=True)
class Qpth(Method):
    """A quadratic program in p; every row gets its copy, or the gradient would be averaged."""

    alpha: float
    name: ClassVar[str] = "qpth"
    package: ClassVar[str] = "qpth"
    module: ClassVar[str] = "qpth"
    needs: ClassVar[str] = "qpth, which asks for numpy below 2"

    def penalty(self) -> Penalty:
        """The problem of the paper."""
        return Penalty("anchored", self.alpha)

    def rows(self, available: int, n_codes: int) -> int:
        """Few rows of a large problem."""
        return min(FEW, available) if n_codes >= LARGE else available

    def bind(self, data: Data) -> Bound:
        """Bind its function, with default settings and in float64."""
        from qpth.qp import QPFunction  # noqa: PLC0415

        solve = QPFunction(verbose=-1)
        n_codes = len(data.codebook)
        eye = torch.eye(n_codes, dtype=torch.float64)
        zeros, ones = torch.zeros_like(eye[0]), torch.ones_like(eye[:1])
        one = torch.ones(1, dtype=torch.float64)

        def weights_of(z: Tensor, codebook: Tensor) -> Tensor:
            ridge = ridge_of(codebook, self.alpha)
            matrix = (codebook @ codebook.T + ridge * eye).expand(len(z), -1, -1)
            linear = -(z @ codebook.T + ridge * starts(z, codebook))
            found: Tensor = solve(matrix, linear, -eye, zeros, ones, one)
            return found

        return bind_solver(weights_of, data, torch.float64)

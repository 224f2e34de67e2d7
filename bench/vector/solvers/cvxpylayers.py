"""cvxpylayers: a convex problem in the words of cvxpy, made a layer of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from bench.vector.method import Bound, Method, Penalty
from bench.vector.problem import Data
from bench.vector.solvers._solver import FEW, LARGE, bind_solver, ridge_of, starts

TIGHT: dict[str, Any] = {"eps": 1e-8, "max_iters": 100000}


@final
@dataclass(frozen=True)
class Cvxpylayers(Method):
    """One problem with latent and codebook as parameters; its compilation is not timed."""

    name: str
    alpha: float
    tight: bool = False
    package: ClassVar[str] = "cvxpylayers"
    module: ClassVar[str] = "cvxpylayers"
    needs: ClassVar[str] = "cvxpylayers torch"

    def penalty(self) -> Penalty:
        """The problem of the paper."""
        return Penalty("anchored", self.alpha)

    def rows(self, available: int, n_codes: int) -> int:
        """Few rows of a large problem."""
        return min(FEW, available) if n_codes >= LARGE else available

    def bind(self, data: Data) -> Bound:
        """Build the layer; the penalty is a constant of it."""
        import cvxpy  # noqa: PLC0415
        from cvxpylayers.torch import CvxpyLayer  # noqa: PLC0415

        n_codes, dim = data.codebook.shape
        ridge = float(ridge_of(torch.from_numpy(data.codebook).double(), self.alpha))
        p, residual = cvxpy.Variable(n_codes), cvxpy.Variable(dim)
        z, e = cvxpy.Parameter(dim), cvxpy.Parameter(n_codes)
        words = cvxpy.Parameter((n_codes, dim))
        cost = cvxpy.sum_squares(residual) / 2 + ridge / 2 * cvxpy.sum_squares(p - e)
        limits = [p >= 0, cvxpy.sum(p) == 1, residual == z - words.T @ p]
        problem = cvxpy.Problem(cvxpy.Minimize(cost), limits)
        layer = CvxpyLayer(problem, parameters=[z, words, e], variables=[p])

        def weights_of(latents: Tensor, codebook: Tensor) -> Tensor:
            nearest = starts(latents, codebook)
            settings = dict(TIGHT) if self.tight else {}
            if self.tight and torch.is_grad_enabled():
                settings["mode"] = "dense"  # without gradients the package refuses the word
            found: Tensor = layer(latents, codebook, nearest, solver_args=settings)[0]
            return found

        return bind_solver(weights_of, data, torch.float64)

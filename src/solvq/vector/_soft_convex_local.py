"""Soft convex quantization that is continuous in the latents, as a layer."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from solvq.vector._convex import ConvexQuantizer
from solvq.vector._functional import solve_local
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_number, check_size


class SoftConvexLocalQuantizer(ConvexQuantizer):
    """Soft convex quantization whose penalty is the distance of the codewords mixed.

    Minimises ``1/2 |z - p C|^2 + alpha/2 sum_j p_j |z - c_j|^2`` over p >= 0 with sum 1. No nearest
    codeword enters, so values do not jump at Voronoi borders. See `soft_convex_local` and
    `ConvexQuantizer`; ``certificate`` is the largest Frank-Wolfe gap of the last forward.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    alpha : float, default 0.1
        Penalty, > 0, free of scale. Kept in the buffer ``alpha``, for a schedule to set between
        steps; towards infinity the layer becomes vector quantization.
    beta : float, default 0.25
        Weight of the loss, >= 0; without it latents and mixtures drift apart.
    tol : float, default 1e-3
        A latent is done when its gap is at most ``tol`` times its objective.
    max_iter : int, default 100
        Largest number of rounds; latents not done by then give a warning.
    """

    certified: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        n_codes: int,
        alpha: float = 0.1,
        beta: float = 0.25,
        *,
        tol: float = 1e-3,
        max_iter: int = 100,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, alpha, beta, nan_policy)
        self.tol = check_number("tol", tol, 0)
        self.max_iter = check_size("max_iter", max_iter)

    def _mix(self, rows: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        found = solve_local(rows, codebook, self.alpha, tol=self.tol, max_iter=self.max_iter)
        return found.values, found.weights, found.gap

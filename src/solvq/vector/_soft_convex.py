"""Soft convex quantization, exactly, as a layer."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from solvq.vector._convex import ConvexQuantizer
from solvq.vector._functional import solve
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_flag, check_number, check_size


class SoftConvexQuantizer(ConvexQuantizer):
    """Replace each latent by the best convex combination of codewords near it, exactly.

    Minimises ``1/2 |z - p C|^2 + a/2 |p - e|^2`` over p >= 0 with sum 1, e the unit vector of the
    codeword nearest to z, and differentiates through the optimality conditions; see `soft_convex`
    and `ConvexQuantizer`. ``certificate`` is the largest Frank-Wolfe gap of the last forward.
    Codewords off the supports get no gradient: `initialise`, and `revive` those that serve little.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    alpha : float, default 0.1
        Penalty, > 0, times ``tr(C C^T) / dim`` if ``relative``. Kept in the buffer ``alpha``, for a
        schedule to set between steps (``layer.alpha.fill_(...)``); towards infinity the layer
        becomes vector quantization.
    beta : float, default 0.25
        Weight of the loss, >= 0; without it latents and mixtures drift apart.
    relative : bool, default True
        Whether the penalty follows the scale of the codewords.
    tol : float, default 1e-3
        A latent is done when its gap is at most ``tol`` times its objective.
    max_iter : int, default 100
        Largest number of rounds; latents not done by then give a warning.

    References
    ----------
    Gautam, Pryzant, Yang, Zhu, Sojoudi, "Soft convex quantization: revisiting vector quantization
    with convex optimization", L4DC 2024, arXiv 2310.03004.
    """

    certified: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        n_codes: int,
        alpha: float = 0.1,
        beta: float = 0.25,
        relative: bool = True,
        *,
        tol: float = 1e-3,
        max_iter: int = 100,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, alpha, beta, nan_policy)
        self.relative = check_flag("relative", relative)
        self.tol = check_number("tol", tol, 0)
        self.max_iter = check_size("max_iter", max_iter)

    def _mix(self, rows: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        found = solve(
            rows, codebook, self.alpha, self.relative, tol=self.tol, max_iter=self.max_iter
        )
        return found.values, found.weights, found.gap

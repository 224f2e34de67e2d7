"""The relaxation of soft convex quantization as its paper prints it, as a layer."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from solvq.vector._convex import ConvexQuantizer
from solvq.vector._functional import alternating_weights
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_flag, check_size


class SoftConvexAlternatingQuantizer(ConvexQuantizer):
    """Soft convex quantization by the paper's own steps, for fidelity.

    As `SoftConvexRelaxedQuantizer`, with ``m`` alternating steps in place of the projection:
    weights are clipped at 0, then shifted to sum to 1, which may leave some below 0. See
    `soft_convex_alternating` and `ConvexQuantizer`.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    alpha, beta, relative
        As `SoftConvexQuantizer`.
    m : int, default 10
        Number of alternating steps, >= 1.

    References
    ----------
    Gautam, Pryzant, Yang, Zhu, Sojoudi, "Soft convex quantization: revisiting vector quantization
    with convex optimization", L4DC 2024, arXiv 2310.03004.
    """

    signed: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        n_codes: int,
        alpha: float = 0.1,
        beta: float = 0.25,
        relative: bool = True,
        *,
        m: int = 10,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, alpha, beta, nan_policy)
        self.relative = check_flag("relative", relative)
        self.m = check_size("m", m)

    def _mix(self, rows: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        weights = alternating_weights(rows, codebook, self.alpha, self.m, self.relative)
        return weights @ codebook, weights, None

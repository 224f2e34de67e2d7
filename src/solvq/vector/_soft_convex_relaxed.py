"""The scalable relaxation of soft convex quantization, as a layer."""

from __future__ import annotations

from torch import Tensor

from solvq.vector._convex import ConvexQuantizer
from solvq.vector._functional import soft_convex_relaxed
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_flag


class SoftConvexRelaxedQuantizer(ConvexQuantizer):
    """Soft convex quantization by its scalable relaxation, with an exact projection.

    Minimises the objective of `SoftConvexQuantizer` without constraints and projects the weights on
    the simplex: a rough approximation, in a few matrix products, under which every codeword gets
    a gradient. See `soft_convex_relaxed` and `ConvexQuantizer`.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    alpha, beta, relative
        As `SoftConvexQuantizer`.

    References
    ----------
    Gautam, Pryzant, Yang, Zhu, Sojoudi, "Soft convex quantization: revisiting vector quantization
    with convex optimization", L4DC 2024, arXiv 2310.03004.
    """

    def __init__(
        self,
        dim: int,
        n_codes: int,
        alpha: float = 0.1,
        beta: float = 0.25,
        relative: bool = True,
        *,
        nan_policy: NanPolicy = "raise",
    ) -> None:
        super().__init__(dim, n_codes, alpha, beta, nan_policy)
        self.relative = check_flag("relative", relative)

    def _mix(self, rows: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return *soft_convex_relaxed(rows, codebook, self.alpha, self.relative), None

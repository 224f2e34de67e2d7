"""The table of vector quantizers: tests, benchmarks and docs read it."""

from __future__ import annotations

from solvq.vector._affine import AffineQuantizer
from solvq.vector._base import VectorQuantizer
from solvq.vector._finite_scalar import FiniteScalarQuantizer
from solvq.vector._gumbel import GumbelQuantizer
from solvq.vector._nearest import NearestQuantizer
from solvq.vector._nearest_ema import NearestEmaQuantizer
from solvq.vector._residual import ResidualQuantizer
from solvq.vector._rotation import RotationQuantizer
from solvq.vector._sim import SimQuantizer
from solvq.vector._soft_convex import SoftConvexQuantizer
from solvq.vector._soft_convex_alternating import SoftConvexAlternatingQuantizer
from solvq.vector._soft_convex_local import SoftConvexLocalQuantizer
from solvq.vector._soft_convex_relaxed import SoftConvexRelaxedQuantizer
from solvq.vector._soft_convex_sparse import SoftConvexSparseQuantizer
from solvq.vector._stochastic import StochasticQuantizer

METHODS: dict[str, type[VectorQuantizer]] = {
    "soft-convex": SoftConvexQuantizer,
    "soft-convex-relaxed": SoftConvexRelaxedQuantizer,
    "soft-convex-alternating": SoftConvexAlternatingQuantizer,
    "soft-convex-local": SoftConvexLocalQuantizer,
    "soft-convex-sparse": SoftConvexSparseQuantizer,
    "nearest": NearestQuantizer,
    "nearest-ema": NearestEmaQuantizer,
    "rotation": RotationQuantizer,
    "residual": ResidualQuantizer,
    "affine": AffineQuantizer,
    "sim": SimQuantizer,
    "gumbel": GumbelQuantizer,
    "stochastic": StochasticQuantizer,
    "finite-scalar": FiniteScalarQuantizer,
}

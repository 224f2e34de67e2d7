"""Vector quantizers: few shared vectors for the latents of a network, as layers and functions."""

from solvq.vector._affine import AffineQuantizer
from solvq.vector._base import VectorQuantizer
from solvq.vector._compat import VectorQuantize
from solvq.vector._exact import Solution
from solvq.vector._finite_scalar import FiniteScalarQuantizer
from solvq.vector._functional import (
    soft_convex,
    soft_convex_alternating,
    soft_convex_local,
    soft_convex_relaxed,
    solve,
)
from solvq.vector._gumbel import GumbelQuantizer
from solvq.vector._methods import METHODS
from solvq.vector._nearest import NearestQuantizer
from solvq.vector._nearest_ema import NearestEmaQuantizer
from solvq.vector._residual import ResidualQuantizer
from solvq.vector._result import Quantized
from solvq.vector._rotation import RotationQuantizer
from solvq.vector._sim import SimQuantizer
from solvq.vector._simplex import project_simplex
from solvq.vector._soft_convex import SoftConvexQuantizer
from solvq.vector._soft_convex_alternating import SoftConvexAlternatingQuantizer
from solvq.vector._soft_convex_local import SoftConvexLocalQuantizer
from solvq.vector._soft_convex_relaxed import SoftConvexRelaxedQuantizer
from solvq.vector._soft_convex_sparse import SoftConvexSparseQuantizer
from solvq.vector._stochastic import StochasticQuantizer
from solvq.vector._usage import Rate, Usage

__all__ = [
    "METHODS",
    "AffineQuantizer",
    "FiniteScalarQuantizer",
    "GumbelQuantizer",
    "NearestEmaQuantizer",
    "NearestQuantizer",
    "Quantized",
    "Rate",
    "ResidualQuantizer",
    "RotationQuantizer",
    "SimQuantizer",
    "SoftConvexAlternatingQuantizer",
    "SoftConvexLocalQuantizer",
    "SoftConvexQuantizer",
    "SoftConvexRelaxedQuantizer",
    "SoftConvexSparseQuantizer",
    "Solution",
    "StochasticQuantizer",
    "Usage",
    "VectorQuantize",
    "VectorQuantizer",
    "project_simplex",
    "soft_convex",
    "soft_convex_alternating",
    "soft_convex_local",
    "soft_convex_relaxed",
    "solve",
]

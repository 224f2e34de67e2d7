"""Vector quantization, solved: soft convex codes of latents, as differentiable functions."""

from solvq.vector._exact import Solution
from solvq.vector._functional import (
    soft_convex,
    soft_convex_alternating,
    soft_convex_local,
    soft_convex_relaxed,
    solve,
)
from solvq.vector._simplex import project_simplex

__all__ = [
    "Solution",
    "project_simplex",
    "soft_convex",
    "soft_convex_alternating",
    "soft_convex_local",
    "soft_convex_relaxed",
    "solve",
]

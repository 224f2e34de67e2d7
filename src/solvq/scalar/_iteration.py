"""What iterative quantizers share: data in a range of one, checks of limits, and the warning."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from solvq.scalar._base import check_count
from solvq.scalar._kernels import Float64
from solvq.scalar._reduce import Problem


class Unit(NamedTuple):
    """A problem moved and stretched to a range of one and a mass of one.

    A value is ``origin + values * width``. Data that were shifted or scaled without rounding give
    the same ``values`` to the last bit, hence the same iterations.
    """

    values: Float64
    weights: Float64
    origin: float
    width: float

    def scale(self, values: Float64) -> Float64:
        """Values of the problem as values here."""
        return (values - self.origin) / self.width

    def restore(self, values: Float64) -> Float64:
        """Values of the problem, kept within its range."""
        low, high = self.values[0], self.values[-1]
        return self.origin + np.clip(values, low, high) * self.width


def unit(problem: Problem) -> Unit:
    """Data of at least two distinct values in a range of one, their median at zero."""
    values, weights = problem.values, problem.weights
    origin, width = values[values.size // 2], values[-1] - values[0]
    return Unit((values - origin) / width, weights / weights.sum(), origin, width)


def check_limits(max_iter: Any, tol: Any) -> None:
    """Raise unless ``max_iter`` is a count and ``tol`` a finite number that is not negative."""
    check_count("max_iter", max_iter)
    if not isinstance(tol, Real) or isinstance(tol, bool):
        raise TypeError(f"tol is {tol!r}; give a finite number >= 0")
    if not 0.0 <= float(tol) < np.inf:
        raise ValueError(f"tol is {tol}; give a finite number >= 0")


def warn_stopped(method: str, max_iter: int) -> None:
    """Warn that a method stopped at its limit."""
    warnings.warn(
        f"{method} stopped at max_iter={max_iter} before it converged; raise max_iter or tol, or "
        "use method='optimal', which does not iterate",
        ConvergenceWarning,
        stacklevel=2,
    )

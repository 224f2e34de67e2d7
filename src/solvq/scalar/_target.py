"""The fewest values whose error meets a target."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.code import Code
from solvq.scalar._kernels import Float64
from solvq.scalar._partition import Optimum, solve
from solvq.scalar._reduce import Problem

PEAKS = {"uint8": 255.0, "uint16": 65535.0}  # signal range of what images are stored in


def checked_target(max_error: Any, psnr: Any, n_values: Any) -> None:
    """Raise unless exactly one finite target is given, and no count."""
    names = [("n_values", n_values), ("max_error", max_error), ("psnr", psnr)]
    if len(given := [name for name, value in names if value is not None]) > 1:
        raise ValueError(f"{' and '.join(given)} are given; give one of n_values, max_error, psnr")
    name, value = ("max_error", max_error) if psnr is None else ("psnr", psnr)
    wanted = "mean squared error >= 0" if psnr is None else "finite number of dB"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give a {wanted}")
    if not math.isfinite(value) or (psnr is None and value < 0):
        raise ValueError(f"{name} is {value}; give a {wanted}")


def peak(data: NDArray[Any], problem: Problem) -> float:
    """Signal range for a peak signal-to-noise ratio, in the problem's units."""
    known = PEAKS.get(data.dtype.name)
    if known is not None:
        return float(problem.scale(np.array(known)))
    low, high = np.array([data.min(), data.max()]).astype(np.float64)
    return float(problem.scale(high) - problem.scale(low))


def targets(
    data: NDArray[Any], problem: Problem, max_error: float | None, psnr: float | None
) -> tuple[float, float]:
    """Mean squared error to meet, in the problem's units and in those of the data."""
    with np.errstate(over="ignore", under="ignore"):
        if psnr is None:
            error = float(max_error or 0.0)
            return float(np.ldexp(error, -2 * problem.exponent)), error
        decades = min(max(-float(psnr) / 10.0, -300.0), 300.0)
        target = peak(data, problem) ** 2 * 10.0**decades
        return target, float(np.ldexp(target, 2 * problem.exponent))


class Counts:
    """Optima at the counts tried; the number of distinct values has no error."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.most = problem.values.size
        self.solved: dict[int, Optimum] = {}

    def __getitem__(self, k: int) -> Optimum:
        if k not in self.solved:
            self.solved[k] = solve(self.problem.values, self.problem.weights, k)
        return self.solved[k]

    def _guess(self, limit: float, below: int, above: int, last: int) -> int:
        """Count between two others that the power law through the latest ones gives."""
        loss, slope = self[last].loss, 2.0
        others = [k for k in self.solved if k != last and self[k].loss > 0.0]
        if others and loss > 0.0:
            near = min(others, key=lambda k: abs(k - last))
            slope = math.log(self[near].loss / loss) / math.log(last / near)
            slope = slope if 0.1 < slope < 20.0 else 2.0
        ratio = min(max(loss / limit, 1e-6), 1e12)
        return min(max(math.ceil(last * ratio ** (1.0 / slope)), below + 1), above - 1)

    def first_possible(self, limit: float) -> int:
        """Smallest count whose proven bound does not exceed a positive summed error."""
        if self[1].lower_bound <= limit:
            return 1
        below, above, last = 1, self.most, 1
        for turn in range(1, 200):
            if above - below <= 1:
                break
            k = self._guess(limit, below, above, last)
            if turn % 4 == 0:
                k = max(below + 1, min(above - 1, round(math.sqrt(below * above))))
            below, above = (k, above) if self[k].lower_bound > limit else (below, k)
            last = k
        return above


def smallest_code(
    problem: Problem,
    limit: float,
    make: Callable[[Float64], Code],
    meets: Callable[[Code], bool],
) -> Code:
    """Code of the fewest values that a bound of the summed error does not exclude and that meets.

    ``make`` rounds a codebook to the dtype of the data. Where rounding misses the target, counts
    are raised in growing steps and then the last step is halved.
    """
    counts = Counts(problem)

    def code(k: int) -> Code:
        return make(problem.restore(counts[k].codebook))

    k = counts.first_possible(limit) if limit > 0.0 else counts.most
    best, missed, step = code(k), k, 1
    while not meets(best) and k < counts.most:
        missed, k = k, min(k + step, counts.most)
        best, step = code(k), 2 * step
    while k - missed > 1:
        middle = (k + missed) // 2
        candidate = code(middle)
        if meets(candidate):
            best, k = candidate, middle
        else:
            missed = middle
    return best

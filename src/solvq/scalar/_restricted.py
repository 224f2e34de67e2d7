"""The exact optimum among values that a format holds, with a zero, or with both signs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.scalar._anchored import anchored_table
from solvq.scalar._base import ClipRange, RowSolutions, ScalarQuantizer, Solution, check_flag
from solvq.scalar._batch import solve_rows
from solvq.scalar._grids import VALUES, grid, span
from solvq.scalar._kernels import Float64
from solvq.scalar._lattice import lattice, lattice_rows, lattice_table
from solvq.scalar._lloyd import cells
from solvq.scalar._partition import solve
from solvq.scalar._path import line, path_table
from solvq.scalar._reduce import Problem


def used(x: Float64, table: Float64, keep_zero: bool) -> Float64:
    """Entries of an ascending table that some sorted datum is nearest to; and the zero."""
    keep = np.diff(cells(x, table)) > 0
    return np.asarray(table[keep | (table == 0.0)] if keep_zero else table[keep])


def grid_table(x: Float64, w: Float64, grid: Float64, n_values: int, keep_zero: bool) -> Float64:
    """Best table of at most ``n_values`` entries of an ascending grid, for sorted distinct data."""
    first, last = span(grid, x[0], x[-1], keep_zero)
    near = grid[first : last + 1]
    if near.size <= n_values:
        return used(x, near, keep_zero)
    out = np.empty(n_values)
    count = lattice_table(x, w, near, keep_zero, lattice(near.size, n_values), out)
    if count:
        return out[:count]
    return used(x, path_table(line(x, w, near, keep_zero), n_values), keep_zero)


class RestrictedQuantizer(ScalarQuantizer):
    """Globally optimal codebook among the values that a format holds.

    Solves ``min sum_i w_i (x_i - q(x_i))^2`` over all codebooks of at most ``n_values`` entries
    that are all representable, contain zero, or come in pairs of opposite sign: exactly, where
    rounding the free optimum is not. Dynamic programming over the representable values or over
    the data, whichever are fewer; up to rounding of ``2**-50 sum(w)`` times the squared range of
    the data. The bound and the gap are those of free values: the gap includes what the
    restriction costs.

    Parameters
    ----------
    n_values : int, default 16
        Largest number of values. An entry that no datum would use is left out.
    values : str, default "free"
        ``float16``, ``bfloat16``, ``e4m3`` (finite, up to 448), ``int8`` (whole numbers of
        -127..127), ``power-of-two`` (and zero), in the units of the data; what lies beyond the
        largest goes to the largest. ``free`` for any. The values that the dtype of the data holds,
        too, are allowed.
    keep_zero : bool, default False
        Zero is an entry, whether used or not.
    symmetric : bool, default False
        With an entry, its negative is one. An odd ``n_values`` then has a zero; an even one with
        ``keep_zero`` leaves one entry out.
    unweighted : bool, default False
        As in `ScalarQuantizer`.
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`; of a format, the optimum within the range is found.

    References
    ----------
    Aggarwal, Klawe, Moran, Shor, Wilber, Geometric applications of a matrix-searching algorithm,
    1987 (Monge). Yao, Efficient dynamic programming using quadrangle inequalities, 1980.
    """

    def __init__(
        self,
        n_values: int = 16,
        values: str = "free",
        keep_zero: bool = False,
        symmetric: bool = False,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, unweighted, clip)
        self.values = values
        self.keep_zero = keep_zero
        self.symmetric = symmetric

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not isinstance(self.values, str) or self.values not in VALUES:
            raise ValueError(f"values is {self.values!r}; choose one of {', '.join(VALUES)}")
        check_flag("keep_zero", self.keep_zero)
        check_flag("symmetric", self.symmetric)
        if self.clip is None:
            return
        low, high = (float(end) for end in self.clip)
        if self.keep_zero and not low <= 0.0 <= high:
            raise ValueError(f"clip is {self.clip!r}; with keep_zero give low <= 0 <= high")
        if self.symmetric and low != -high:
            raise ValueError(f"clip is {self.clip!r}; with symmetric give low = -high")

    @property
    def _unrestricted(self) -> bool:
        """Whether any codebook will do."""
        return self.values == "free" and not (self.keep_zero or self.symmetric)

    def _fits(self, problem: Problem) -> bool:
        return self._unrestricted and super()._fits(problem)

    def _allowed(self, dtype: np.dtype[Any]) -> Float64:
        """Values of the format in the dtype of the data that the range and the signs allow."""
        allowed = grid(self.values, dtype).copy()
        if self.clip is not None:
            allowed = allowed[(allowed >= self.clip[0]) & (allowed <= self.clip[1])]
        if self.symmetric:
            allowed = np.intersect1d(allowed, -allowed)
        zero = self.keep_zero or (self.symmetric and self.n_values % 2 == 1)
        if allowed.size == 0 or (zero and 0.0 not in allowed):
            raise ValueError(
                f"values is {self.values!r}, of which data of dtype {dtype} and clip={self.clip!r} "
                f"allow {allowed.size}{', but no zero' if zero else ''}; "
                "give x.astype('float32'), or a wider clip"
            )
        return allowed

    def _solve(self, problem: Problem) -> Solution:
        if self._unrestricted:
            found = solve(problem.values, problem.weights, self.n_values)
            return Solution(found.codebook, found.lower_bound, found.probes)
        allowed = None
        if self.values != "free":
            allowed = _scaled(problem, self._allowed(problem.dtype))
        if not self.symmetric:
            x, w = problem.values, problem.weights
            return Solution(_table(x, w, allowed, self.n_values, self.keep_zero))
        x, inverse = np.unique(np.abs(problem.values), return_inverse=True)
        w = np.bincount(inverse, problem.weights).astype(np.float64)
        zero = self.keep_zero or self.n_values % 2 == 1
        count = (self.n_values - 1) // 2 + 1 if zero else self.n_values // 2
        half = _table(x, w, None if allowed is None else allowed[allowed >= 0.0], count, zero)
        return Solution(np.unique(np.concatenate([-half, half])) + 0.0)  # no negative zero

    def _solve_rows(self, x: NDArray[Any], weight: Float64 | None, certify: bool) -> RowSolutions:
        if self._unrestricted and not self.unweighted and self.clip is None:
            return RowSolutions(*solve_rows(x, weight, self.n_values))
        if self.values == "free" or self.symmetric or self.unweighted:
            return super()._solve_rows(x, weight, certify)
        allowed, none = self._allowed(x.dtype), np.empty((0, 0))
        wide = np.ascontiguousarray(x, np.float32 if x.dtype.itemsize <= 2 else None)
        wide = wide if wide.dtype.kind == "f" else wide.astype(np.float64)
        codebooks = np.empty((x.shape[0], self.n_values))
        room = lattice(allowed.size, self.n_values)
        weights = none if weight is None else weight
        counts = lattice_rows(wide, weights, allowed, self.keep_zero, room, codebooks)
        for r in np.flatnonzero(counts == 0):
            part = None if weight is None else weight[r : r + 1]
            codebooks[r] = super()._solve_rows(x[r : r + 1], part, False).codebooks[0]
        bounds = solve_rows(x, weight, self.n_values)[1] if certify else np.zeros(len(x))
        return RowSolutions(codebooks, bounds)


def _scaled(problem: Problem, allowed: Float64) -> Float64:
    """Those values of a format that are exact in the problem's units, in these."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = problem.scale(allowed)
        return scaled[problem.restore(scaled) == allowed]


def _table(
    x: Float64, w: Float64, allowed: Float64 | None, n_values: int, keep_zero: bool
) -> Float64:
    """Best table for sorted distinct data; any values where ``allowed`` is None."""
    if allowed is not None:
        return grid_table(x, w, allowed, n_values, keep_zero)
    if keep_zero:
        return anchored_table(x, w, n_values)
    return solve(x, w, n_values).codebook

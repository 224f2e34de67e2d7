"""The exact optimum."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from solvq.scalar._base import RowSolutions, ScalarQuantizer, Solution
from solvq.scalar._batch import solve_rows
from solvq.scalar._kernels import Float64
from solvq.scalar._partition import solve
from solvq.scalar._reduce import Problem


class OptimalQuantizer(ScalarQuantizer):
    """Globally optimal codebook of ``n_values`` values, with a proof.

    Solves ``min sum_i w_i (x_i - q(x_i))^2`` over all maps ``q`` to at most ``n_values`` values:
    exact one-dimensional k-means, equal to the l0 problem of the first paper at a wanted count.
    O(n log n) time whatever the count, O(n) memory.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    References
    ----------
    Wang et al., Scalar Quantization as Sparse Least Square Optimization, TPAMI 2019 (l0 form).
    Aggarwal, Schieber, Tokuyama, Finding a minimum-weight k-link path in graphs with the concave
    Monge property, 1994 (exact counts).
    """

    def _solve(self, problem: Problem) -> Solution:
        found = solve(problem.values, problem.weights, self.n_values)
        return Solution(found.codebook, found.lower_bound, found.probes)

    def _solve_rows(self, x: NDArray[Any], weight: Float64 | None, certify: bool) -> RowSolutions:
        if self.unweighted or self.clip is not None:
            return super()._solve_rows(x, weight, certify)
        return RowSolutions(*solve_rows(x, weight, self.n_values))

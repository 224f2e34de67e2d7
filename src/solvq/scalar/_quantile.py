"""Parts of equal mass."""

from __future__ import annotations

import numpy as np

from solvq.scalar._base import ScalarQuantizer, Solution
from solvq.scalar._partition import group_means
from solvq.scalar._reduce import Problem


class QuantileQuantizer(ScalarQuantizer):
    """Means of ``n_values`` parts of the data of equal mass.

    Makes the values equally frequent, which minimises no error: too many values where the data are
    dense, too few in the tails. The data are cut where their mass passes a multiple of
    ``1 / n_values``; a distinct value is not cut but goes where the middle of its mass lies, and
    a part left without one is dropped: fewer values where few data weigh the most. O(n log n).

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values, and number of parts.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.
    """

    def _solve(self, problem: Problem) -> Solution:
        values, weights = problem.values, problem.weights
        reached = np.cumsum(weights)
        cuts = reached[-1] * np.arange(1, self.n_values) / self.n_values
        inner = np.searchsorted(reached - 0.5 * weights, cuts)
        breaks = np.unique(np.concatenate([[0], inner, [values.size]])).astype(np.int32)
        return Solution(group_means(values, weights, breaks)[0])

"""The l1 path with its penalties made anew after every merge."""

from __future__ import annotations

import numpy as np

from solvq.scalar._base import Solution
from solvq.scalar._l1_kernels import Levels
from solvq.scalar._merges import refitted_merges
from solvq.scalar._partition import group_means
from solvq.scalar._reduce import Problem
from solvq.scalar._sparse import SparseQuantizer


class AdaptiveL1Quantizer(SparseQuantizer):
    """Values merged along an l1 path whose gaps and weights are those of the merged values.

    Follows the path of ``min_a 1/2 sum_i w_i (u_i - (V a)_i)^2 + alpha sum_(j>1) |a_j|``, but after
    each merge the least-squares values so far, their weights and their distances take the place of
    the data: the refit is inside. For a pair on its own the penalty of a merge is then the squared
    error that it adds (Ward). This repairs ``l1`` on evenly spaced data. O(m log m); no guarantee,
    and ``gap_`` says how far the result is from the best.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values, always met.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    Attributes
    ----------
    alpha_, coef_, support_
        As in `SparseQuantizer`; the penalty is that of the last merge.
    """

    def _solve_count(self, problem: Problem) -> Solution:
        u, w = problem.values, problem.weights
        alpha, removed = refitted_merges(u, w, self.n_values)
        breaks = np.delete(np.arange(u.size + 1, dtype=np.int32), removed)
        return self._described(problem, Levels(breaks, group_means(u, w, breaks)[0]), alpha)

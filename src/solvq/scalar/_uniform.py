"""Evenly spaced values."""

from __future__ import annotations

import numpy as np

from solvq.scalar._base import ScalarQuantizer, Solution
from solvq.scalar._reduce import Problem


class UniformQuantizer(ScalarQuantizer):
    """Centres of ``n_values`` cells of equal width between the smallest and the largest value.

    The best codebook for evenly spread data; elsewhere the cheapest of all and a floor that every
    other method should beat.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.
    """

    def _solve(self, problem: Problem) -> Solution:
        low, high = problem.values[0], problem.values[-1]
        centres = (np.arange(self.n_values) + 0.5) / self.n_values
        return Solution(low + centres * (high - low))

"""Entropy-constrained quantization: the best stored size rather than the fewest values."""

from __future__ import annotations

import numpy as np

from solvq.scalar._base import ClipRange, ScalarQuantizer, Solution, check_positive
from solvq.scalar._entropy_kernels import threshold
from solvq.scalar._entropy_search import (
    NAT,
    Cells,
    at_price,
    at_rate,
    bound,
    descent,
    entropy,
    fewest,
    settled,
)
from solvq.scalar._iteration import Unit, unit
from solvq.scalar._kernels import Float64
from solvq.scalar._partition import group_means
from solvq.scalar._reduce import Problem


class EntropyQuantizer(ScalarQuantizer):
    """Least error plus a price on the entropy of the indices.

    Solves ``min D + alpha H`` over all codebooks and partitions, of any count: ``D`` is the
    weighted mean of squared errors, ``H`` the entropy of the indices in bits per value, what an
    entropy coder stores. A rarer value needs a longer index, so a datum may belong to a commoner
    value than the nearest: the cells are intervals with `thresholds_` of their own. Of at most
    4096 distinct values the solution is globally optimal; of more, it is found on groups of
    neighbours, refined on all data, and ``gap_`` proves how far from the optimum it can be.

    Parameters
    ----------
    n_values : int, default 16
        Largest number of values: the price is the least one found that leaves no more. Not used
        if ``alpha`` or ``bits`` is given.
    alpha : float or None, default None
        Price of a bit per value, in the units of a squared error.
    bits : float or None, default None
        Largest entropy, in bits per value; the price is searched. It is met as closely as solutions
        at a price come, which for data of few distinct values can be far below it.
    unweighted : bool, default False
    clip : (float, float) or None, default None
        As in `ScalarQuantizer`.

    Attributes
    ----------
    alpha_ : float
        Price of the solution; 0 where the data come back exactly.
    entropy_ : float
        Entropy of the indices of the data, weighted as the errors are.
    lower_bound_ : float
        Proven lower bound of ``loss_`` for any codebook and any cells of at most this entropy;
        with ``unweighted``, for the nearest of any ``n_values_`` values.

    References
    ----------
    Chou, Lookabaugh, Gray, Entropy-constrained vector quantization, 1989 (the problem, and the
    refinement). Gray and Neuhoff, Quantization, 1998 (what high-rate theory expects).
    """

    nearest = False

    def __init__(
        self,
        n_values: int = 16,
        alpha: float | None = None,
        bits: float | None = None,
        unweighted: bool = False,
        clip: ClipRange = None,
    ) -> None:
        super().__init__(n_values, unweighted, clip)
        self.alpha = alpha
        self.bits = bits

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_positive("alpha", self.alpha)
        check_positive("bits", self.bits)
        if self.alpha is not None and self.bits is not None:
            raise ValueError(f"alpha is {self.alpha} and bits is {self.bits}; give one of them")

    def _fits(self, problem: Problem) -> bool:
        """Never: the data themselves have an entropy, too."""
        return False

    def _excess(self, cells: Cells) -> float:
        """Rate above the wanted one, in bits."""
        if self.bits is not None:
            return cells.entropy - float(self.bits)
        return float(np.log2(cells.number) - np.log2(self.n_values))

    def _solve(self, problem: Problem) -> Solution:
        u, w = problem.values, problem.weights
        apart = Cells(np.arange(u.size + 1, dtype=np.int32), 0.0, entropy(w / w.sum()))
        if u.size == 1 or (self.alpha is None and self._excess(apart) <= 0.0):
            return Solution(u, 0.0, learned={"alpha_": 0.0, "entropy_": apart.entropy})
        data = unit(problem)
        x, masses = data.values, data.weights
        if self.alpha is None:
            rate = float(np.log2(self.n_values)) if self.bits is None else float(self.bits)
            price = 2.0 * float(masses @ (x - masses @ x) ** 2) * 4.0**-rate
            bracket, groups = at_rate(x, masses, self._excess, max(price, 1e-150))
            cells = bracket.below
        else:
            with np.errstate(over="ignore", under="ignore"):
                price = np.ldexp(float(self.alpha) * NAT, -2 * problem.exponent) / data.width**2
            cells, groups = at_price(x, masses, float(np.clip(price, 1e-300, 1e290)))
        slope = cells.price
        if self.bits is not None:
            few = fewest(x, masses, float(self.bits), slope)
            cells = settled(x, masses, self._excess, bracket, few)
        elif groups.x.size < x.size:
            cells = descent(x, masses, cells.breaks)(slope)
        least = bound(x, masses, groups, slope) - slope * cells.entropy / NAT
        return self._finished(problem, data, cells, least)

    def _finished(self, problem: Problem, data: Unit, cells: Cells, least: float) -> Solution:
        """Solution with given cells, of which the mean error is at least ``least``."""
        u, w = problem.values, problem.weights
        values, loss = group_means(u, w, cells.breaks)
        masses = np.add.reduceat(data.weights, cells.breaks[:-1])
        with np.errstate(over="ignore", under="ignore"):
            scale = data.width**2
            alpha = np.ldexp(cells.price / NAT * scale, 2 * problem.exponent)
        return Solution(
            values,
            min(loss, max(0.0, least) * scale * w.sum()),
            edges=_edges(data, cells, (data.scale(values), masses), u),
            learned={"alpha_": float(alpha), "entropy_": cells.entropy},
        )


def _edges(data: Unit, cells: Cells, found: tuple[Float64, Float64], u: Float64) -> Float64:
    """Where the cells meet: at equal cost of both values, and between the data that they part."""
    edges = np.empty(cells.number - 1)
    for c, start in enumerate(cells.breaks[1:-1]):
        middle = data.origin + threshold(*found, cells.price, c, c + 1) * data.width
        edges[c] = min(max(middle, u[start - 1]), np.nextafter(u[start], -np.inf))
    return edges

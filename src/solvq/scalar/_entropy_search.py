"""The price of entropy at which a wanted rate is met, on grouped data and on all.

Data of a range and a mass of one (`solvq.scalar._iteration.Unit`); prices are per nat.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from solvq.scalar._entropy_kernels import cheapest, descended, described, scratch, spread_out
from solvq.scalar._kernels import Float64, Int32, workspace
from solvq.scalar._partition import group_means, partition

NAT = float(1.0 / np.log(2.0))  # bits
FIRST = 1024  # groups that the first prices are tried on
LEAST = 4096  # data, or groups of more, for the cells returned and their bound
WORK = 2e6  # pairs of groups within a cell, over all cells, that the bound may cost
FINEST, COARSEST = 1024, 48  # groups per cell
SOLVES = 200  # prices tried at most
FLOOR = 1e-200  # prices below are not searched
NEAR = 0.05  # share of the price by which the refinement may go below it
DESCENT = 100  # steps of Lloyd's kind on all data
FEW = 16  # cells that a rate is compared with the optimum of
TIE = 1e-12  # relative difference of two costs that rounding can make


class Cells(NamedTuple):
    """Intervals of points by node indices, the price they are for, and their entropy in bits.

    ``error`` is the mean squared error but for a constant; nan where they are not the best.
    """

    breaks: Int32
    price: float
    entropy: float
    error: float = float("nan")

    @property
    def number(self) -> int:
        """Number of cells."""
        return self.breaks.size - 1

    def cost(self, price: float) -> float:
        """Error and priced entropy."""
        return self.error + price * self.entropy / NAT


Excess = Callable[[Cells], float]  # rate above the wanted one, in bits


class Bracket(NamedTuple):
    """Cells of too high a rate (None if that was not tried) and of a low enough one."""

    above: Cells | None
    below: Cells


class Groups(NamedTuple):
    """Neighbouring data drawn together: means, masses, and where each group starts."""

    x: Float64
    w: Float64
    starts: Int32


def entropy(masses: Float64) -> float:
    """Bits per index of cells with masses that sum to one."""
    masses = masses[masses > 0.0]
    return max(0.0, -float(np.dot(masses, np.log2(masses))))


def grouped(x: Float64, w: Float64, count: int) -> Groups:
    """At most ``count`` groups of equal integral of density^(1/2); each datum, if so few.

    Then width times mass, which is what a cell can lose by ending only between groups, is even.
    """
    m = x.size
    if m <= count:
        return Groups(x, w, np.arange(m + 1, dtype=np.int32))
    reached = np.cumsum(np.sqrt(np.diff(x) * (w[1:] + w[:-1])))
    cuts = np.searchsorted(reached, reached[-1] * np.arange(1, count) / count) + 1
    starts = np.unique(np.concatenate([[0], np.minimum(cuts, m - 1), [m]])).astype(np.int32)
    return Groups(group_means(x, w, starts)[0], np.add.reduceat(w, starts[:-1]), starts)


def wanted_groups(cells: int) -> int:
    """Groups for so many cells: the more per cell, the fewer cells there are."""
    per = min(FINEST, max(COARSEST, (WORK / cells) ** 0.5))
    return max(LEAST, int(per * cells))


def cheapest_cells(groups: Groups, price: float) -> Cells:
    """Best cells among those that end between groups."""
    work = scratch(groups.w)
    breaks = cheapest(groups.x, groups.w, price, work)
    bits = entropy(np.add.reduceat(groups.w, breaks[:-1]))
    return Cells(groups.starts[breaks], price, bits, float(work.best[-1]) - price * bits / NAT)


def bound(x: Float64, w: Float64, groups: Groups, price: float) -> float:
    """Proven lower bound of error plus price times nats, whatever the cells.

    The data are spread out to the ends of their groups, for which no code costs less but for what
    this adds to the second moment.
    """
    starts = groups.starts[:-1]
    nodes = starts if starts[-1] == x.size - 1 else np.append(starts, np.int32(x.size - 1))
    masses, raised = spread_out(x, w, nodes)
    work = scratch(masses)
    breaks = cheapest(x[nodes], masses, price, work)
    cost = float(work.best[-1])
    rounding = 2.0**-49 * (8.0 + breaks.size**0.5 + nodes.size**0.5)
    return cost - raised - rounding * cost


def _chord(above: Cells | None, below: Cells | None) -> float:
    """Price at which two cells cost the same; 0 if there are none, or rounding decides."""
    if above is None or below is None or not above.entropy > below.entropy:
        return 0.0
    price = (below.error - above.error) / (above.entropy - below.entropy) * NAT
    return price if above.price < price < below.price else 0.0


def _next_price(above: Cells | None, below: Cells | None, excess: Excess, turn: int) -> float:
    """Price to try between those of two cells, of which one may be missing.

    At high rate the price falls fourfold with every bit.
    """
    if above is not None and below is not None:
        over, under = excess(above), excess(below)
        share = min(0.95, max(0.05, over / (over - under))) if turn % 3 else 0.5
        return float(above.price ** (1.0 - share) * below.price**share)
    if above is not None:
        return above.price * float(min(256.0, 1.1 * 4.0 ** excess(above)))
    if below is not None:
        return below.price * float(max(1.0 / 256.0, 0.9 * 4.0 ** excess(below)))
    return 0.0


def searched(
    solve: Callable[[float], Cells], excess: Excess, price: float, tol: float, floor: float = FLOOR
) -> tuple[Cells | None, Cells | None]:
    """Cells at two neighbouring prices, of too high a rate and of a low enough one.

    Ends within ``tol`` bits of the wanted rate, or of a ratio of the prices, or where the chord
    proves that no other best cells lie between the two. No price below ``floor`` is tried.
    """
    above = below = None
    chord = least = 0.0
    for turn in range(SOLVES):
        found = solve(price)
        if above is not None and price == chord and found.cost(price) >= least:
            break
        over = excess(found)
        if over > 0.0:
            above = found
        else:
            below = found
        if -tol <= over <= 0.0 or (below is not None and below.price <= floor):
            break
        if above is not None and below is not None and below.price <= above.price * (1.0 + tol):
            break
        chord = _chord(above, below) if turn % 2 else 0.0
        least = 0.0 if above is None else above.cost(chord) * (1.0 - TIE)
        price = chord if chord > 0.0 else max(floor, _next_price(above, below, excess, turn))
    return above, below


def at_rate(x: Float64, w: Float64, excess: Excess, price: float) -> tuple[Bracket, Groups]:
    """Best cells just above and below a rate, and the groups between which they end."""
    size = FIRST
    while True:
        groups = grouped(x, w, size)
        whole = groups.x.size == x.size
        tol = 1e-9 if whole else 3e-3 if size <= FIRST else 3e-4
        above, below = None, Cells(groups.starts, price, entropy(groups.w))
        if excess(below) > 0.0:
            found = searched(partial(cheapest_cells, groups), excess, price, tol)
            above, below = found[0], found[1] or _one_cell(x.size, price)
        price, wanted = below.price, wanted_groups(below.number)
        if whole or size >= 0.8 * wanted:
            return Bracket(above, below), groups
        size = wanted


def _one_cell(size: int, price: float) -> Cells:
    """What is left where weights are so uneven that every price tried was too low."""
    return Cells(np.array([0, size], np.int32), price, 0.0)


def fewest(x: Float64, w: Float64, bits: float, price: float) -> Cells | None:
    """The best of so few cells that no index can need more bits; None where they are not few.

    At low rates the cells at a price are far apart in rate, and these can be better than both.
    """
    k = int(min(2.0**bits, FEW + 1))
    if not 2 <= k <= FEW:
        return None
    breaks = partition(x, w, k, workspace(x.size))[0]
    return Cells(breaks, price, entropy(np.add.reduceat(w, breaks[:-1])))


def settled(x: Float64, w: Float64, excess: Excess, bracket: Bracket, other: Cells | None) -> Cells:
    """Cells of least error and no excess rate: others, or near those of a bracket.

    Lloyd's steps on all data, at prices that are set anew but not far below: they add no cells.
    """
    tried = [bracket.below, other]
    for start in bracket:
        if start is not None:
            floor = (1.0 - NEAR) * start.price
            tried += searched(descent(x, w, start.breaks), excess, start.price, 1e-7, floor)
    fit = [cells for cells in tried if cells is not None and excess(cells) <= 0.0]
    return min(fit, key=lambda cells: float(group_means(x, w, cells.breaks)[1]))


def descent(x: Float64, w: Float64, start: Int32) -> Callable[[float], Cells]:
    """Lloyd's alternation on all data from given cells, as a function of the price."""
    mass = np.concatenate([[0.0], np.cumsum(w)])
    sums = np.concatenate([[0.0], np.cumsum(w * x)])

    def descend(price: float) -> Cells:
        breaks = descended(x, mass, sums, start, price, DESCENT)
        return Cells(breaks, price, entropy(described(mass, sums, breaks)[1]))

    return descend


def at_price(x: Float64, w: Float64, price: float) -> tuple[Cells, Groups]:
    """Best cells at a price, and the groups between which they end."""
    size = FIRST
    while True:
        groups = grouped(x, w, size)
        found = cheapest_cells(groups, price)
        wanted = wanted_groups(found.number)
        if groups.x.size == x.size or size >= 0.8 * wanted:
            return found, groups
        size = wanted

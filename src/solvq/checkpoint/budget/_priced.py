"""Options of a tensor whose indices are entropy-coded: one at every price of a bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NAMES
from solvq.checkpoint._encode import Tensor, coded_indices, entry_dtypes
from solvq.checkpoint._layout import layout_of
from solvq.checkpoint._scales import balance, balancing, divided, wide
from solvq.checkpoint._scheme import SCALES, Scheme
from solvq.checkpoint._settings import Recipe, Settings
from solvq.checkpoint.budget._options import About, Candidates, Option, coarse, spread_of
from solvq.scalar._assign import assign_cells
from solvq.scalar._entropy_search import NAT, Cells, cheapest_cells, entropy, grouped
from solvq.scalar._iteration import unit
from solvq.scalar._partition import group_means

RATES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)  # bits per weight of the first prices
GROUPS, FEWEST_GROUPS, MOST_GROUPS = 64, 512, 1 << 13  # per cell, and in all, at a price
LEAST = 200  # bytes that a coded tensor takes at most beside its indices and entries
SPARE = 0.2  # share of the entropy that coded indices take at least


class Point(NamedTuple):
    """What a price of a nat gives: values, entropy of the indices in bits, squared error."""

    price: float
    n_values: int
    bits: float
    error: float


@final
class Priced(Candidates):
    """Options at a price per bit: a table and entropy-coded indices.

    Rows with frequencies of their own save some bits per weight below the entropy, about as many at
    every price; how many is learnt.
    """

    def __init__(self, tensor: Tensor, settings: Settings, about: About) -> None:
        array, weight = tensor.array, tensor.weight
        self.about, self._points, self._saved = about, list[Point](), 0.0
        self._balance = balance(weight, array.shape)
        values, _ = entry_dtypes(NAMES[array.dtype], bool(self._balance), settings)
        self._scheme = Scheme(layout_of("tensor", array.shape), 1, values, coded=0)
        if self._balance:
            blocks, dtype = layout_of(self._balance, array.shape), SCALES[settings.scale_dtype]
            self._scheme = replace(self._scheme, scales=blocks, scale_dtype=dtype)
        self._most, self._size = array.nbytes - LEAST, array.size
        flat, self._weight = self._divided(tensor)
        self._cells = coarse(flat, None)
        self._constant = self._cells.problem.values.size == 1
        if self._constant:
            self._points.append(Point(1.0, 1, 0.0, 0.0))
            return
        u = self._unit = unit(self._cells.problem)
        self._spread = 2.0 * spread_of(u.values, u.weights)
        for rate in RATES:
            self._add(self._spread * 4.0**-rate)

    def _divided(self, tensor: Tensor) -> tuple[NDArray[Any], float]:
        """Flat weights over their scales, and the mean weight of an error there."""
        flat, weight, blocks = tensor.array.reshape(-1), tensor.weight, self._scheme.scales
        if weight is None or blocks is None:
            return flat, 1.0 if weight is None else float(weight.mean())
        scales = balancing(weight, blocks, self._scheme.scale_dtype)
        y, factor = divided(wide(flat), weight, scales, blocks)
        return y, float(factor.mean())

    def _cut(self, price: float) -> Cells:
        """Best cells at a price of a nat, in the units of the problem."""
        u = self._unit
        rate = 0.5 * float(np.log2(max(1.0, self._spread / price)))
        groups = int(min(MOST_GROUPS, max(FEWEST_GROUPS, GROUPS * 2.0**rate)))
        return cheapest_cells(grouped(u.values, u.weights, groups), price)

    def _add(self, price: float) -> None:
        """Add the option of a price of a nat, in the units of the problem."""
        problem, cells = self._cells.problem, self._cut(price)
        loss = group_means(problem.values, problem.weights, cells.breaks)[1]
        bits = entropy(np.add.reduceat(self._unit.weights, cells.breaks[:-1]))
        self._points.append(Point(price, cells.number, bits, self._cells.loss(loss)))

    def _beside(self, point: Point) -> int:
        """Bytes of a stream beside its symbols."""
        return point.n_values + LEAST

    def _option(self, point: Point) -> Option:
        """Option of a point."""
        bits = max(point.bits - self._saved, SPARE * point.bits)
        coded = int(self._size * bits / 8.0) + self._beside(point)
        alpha = 1.0
        if not self._constant:
            with np.errstate(under="ignore"):
                width = self._unit.width**2 / NAT
                alpha = float(np.ldexp(point.price * width, 2 * self._cells.problem.exponent))
        recipe = Recipe("tensor", point.n_values, self._balance, alpha)
        scheme = replace(self._scheme, n_values=point.n_values, coded=coded)
        return Option.of(recipe, scheme, self._weight * point.error, self.about.scale)

    @property
    def known(self) -> list[Option]:
        """Those that take fewer bytes than the tensor."""
        options = map(self._option, self._points)
        return [option for option in options if option.nbytes < self._most]

    def extend(self, slope: float) -> None:
        """Add the option of a price, unless the values are all equal."""
        if self._constant:
            return
        alpha = slope / 8.0 / (self.about.scale * self._weight)
        exponent = self._cells.problem.exponent
        with np.errstate(over="ignore", under="ignore"):
            price = np.ldexp(alpha * NAT, -2 * exponent) / self._unit.width**2
        self._add(float(np.clip(price, 1e-300, 1e290)))

    def learn(self, option: Option, coded: int) -> None:
        """Expect the same saving per weight of all options."""
        for point in self._points:
            if self._option(point) == option:
                taken = 8.0 * (coded - self._beside(point)) / self._size
                self._saved = point.bits - taken
                return

    def measure(self, tensor: Tensor, option: Option, n_jobs: int | None) -> None:
        """Learn what an option takes, from indices that are nearly those that it leads to."""
        point = next(p for p in self._points if self._option(p) == option)
        if self._constant or point.n_values == 1:
            return
        values, starts = self._cells.problem.values, self._cut(point.price).breaks[1:-1]
        edges = self._cells.problem.restore(0.5 * (values[starts - 1] + values[starts]))
        indices = assign_cells(self._divided(tensor)[0], edges)
        stream = coded_indices(indices, point.n_values, tensor.array.shape[0], n_jobs)
        self.learn(option, stream.size)

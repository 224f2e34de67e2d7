"""What can be done with a tensor: points of bytes and error, each with its recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NAMES
from solvq.checkpoint._encode import Tensor, entry_dtypes
from solvq.checkpoint._layout import Layout, layout_of
from solvq.checkpoint._pack import packed_size
from solvq.checkpoint._plan import AUTO, Recipe, Settings
from solvq.checkpoint._scales import balance, balancing, divided, first_scales, wide
from solvq.checkpoint._scheme import SCALES, Scheme
from solvq.checkpoint._solve import Finder, Weight, solve
from solvq.rans import class_of_runs, encode
from solvq.scalar._assign import assign_cells
from solvq.scalar._counts import solve_counts
from solvq.scalar._entropy_search import NAT, Cells, cheapest_cells, entropy, grouped
from solvq.scalar._iteration import unit
from solvq.scalar._partition import _coarse, group_means
from solvq.scalar._reduce import Problem, checked, reduce

FAMILIES = (("tensor", ""), ("tensor", "row"), ("tensor", "group:64"), ("row", ""))  # of auto
BITS = range(1, 9)
RATES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)  # bits per weight of the first prices
GROUPS, FEWEST_GROUPS, MOST_GROUPS = 64, 512, 1 << 13  # per cell, and in all, at a price
CELLS = 1 << 15  # groups of neighbouring values that curves are computed on
SAMPLE = 1 << 16  # weights that curves with many tables are computed on
HEAVY = 0.5  # bytes of tables, over those of indices, beyond which many tables are not tried
LEAST = 200  # bytes that a coded tensor takes at most beside its indices and entries
SPARE = 0.2  # share of the entropy that coded indices take at least
TYPICAL, SAMPLED = 4.0, 1 << 19  # rate and weights at which the saving of classes is measured


class Option(NamedTuple):
    """A recipe, the scheme that it leads to, its bytes, and the loss that it leaves.

    ``error`` is the sum of weighted squared errors, ``loss`` that times a factor of the tensor.
    """

    recipe: Recipe
    scheme: Scheme
    nbytes: int
    error: float
    loss: float

    @classmethod
    def of(cls, recipe: Recipe, scheme: Scheme, error: float, scale: float) -> Option:
        """Option of a scheme."""
        return cls(recipe, scheme, scheme.nbytes, error, scale * error)


class About(NamedTuple):
    """A tensor's weighted sum of squares, the factor of its loss, and its least bytes."""

    energy: float
    scale: float
    least: float


class Candidates(ABC):
    """Options of a tensor.

    Attributes
    ----------
    known : list of Option
        Those computed so far.
    about : About
    """

    known: list[Option]
    about: About

    @property
    def options(self) -> list[Option]:
        """Those that may be chosen: of enough bytes, or the largest if none has."""
        largest = max((option.nbytes for option in self.known), default=0)
        return [o for o in self.known if o.nbytes >= min(self.about.least, largest)]

    @property
    def energy(self) -> float:
        """Weighted sum of squares of the tensor."""
        return self.about.energy

    @abstractmethod
    def extend(self, slope: float) -> None:
        """Add the best option at a price per byte, if it is not known yet."""

    @abstractmethod
    def correct(self, factor: float) -> None:
        """Expect so many times the bytes: those that the chosen option took over those planned."""


class Fixed(Candidates):
    """Options that can be listed: indices of fixed length."""

    def __init__(self, options: list[Option], about: About) -> None:
        self.known, self.about = options, about

    def extend(self, slope: float) -> None:
        """Do nothing: all options are known."""

    def correct(self, factor: float) -> None:
        """Do nothing: the bytes are known."""


class Coarse(NamedTuple):
    """Neighbouring values of a problem drawn together; what is lost is the ``inner`` loss."""

    problem: Problem
    inner: float
    mass: float  # sum of weights in the units of the tensor, per unit of the problem

    def loss(self, summed: float) -> float:
        """Sum of squared errors of the tensor, from one of the groups."""
        total = summed + self.inner
        return float(self.problem.mean_loss(total)) * self.mass


def _spread(u: Any, w: Any) -> float:
    """Weighted sum of squared distances to the mean."""
    return float(w @ (u - (w @ u) / w.sum()) ** 2)


def coarse(flat: NDArray[Any], weight: Weight) -> Coarse:
    """Groups of the values of a flat tensor."""
    problem = reduce(checked(flat), weight)
    mass = flat.size if weight is None else float(weight.sum())
    u, w = problem.values, problem.weights
    if u.size <= CELLS:
        return Coarse(problem, 0.0, mass)
    x, masses = _coarse(u, w, CELLS)
    inner = max(0.0, _spread(u, w) - _spread(x, masses))
    return Coarse(Problem(x, masses, problem.exponent, problem.weight_exponent), inner, mass)


class Priced(Candidates):
    """Options at a price per bit: a table and entropy-coded indices.

    Rows with frequencies of their own save some bits per weight, about as many at every price.
    """

    def __init__(self, tensor: Tensor, settings: Settings, about: About) -> None:
        array, weight = tensor.array, tensor.weight
        self.known, self.about = [], about
        self._size, self._factor, self._saved = array.size, 1.0, 0.0
        self._weight, self._balance = 1.0, balance(weight, array.shape)
        values, _ = entry_dtypes(NAMES[array.dtype], self._balance, settings)
        self._scheme = Scheme(layout_of("tensor", array.shape), 1, values, coded=0)
        self._most = array.nbytes - LEAST
        if weight is not None:
            self._weight = float(weight.mean())
        if weight is not None and self._balance:
            blocks, dtype = layout_of(self._balance, array.shape), SCALES[settings.scale_dtype]
            scales = balancing(weight, blocks, dtype)
            y, factor = divided(wide(array.reshape(-1)), weight, scales, blocks)
            array, self._weight = y.reshape(array.shape), float(factor.mean())
            self._scheme = replace(self._scheme, scales=blocks, scale_dtype=dtype)
        self._cells = coarse(array.reshape(-1), None)
        if self._cells.problem.values.size == 1:
            self._append(1, 1.0, LEAST, 0.0)
            return
        u = self._unit = unit(self._cells.problem)
        self._spread = 2.0 * _spread(u.values, u.weights)
        self._saved = self._saving(array, self._spread * 4.0**-TYPICAL)
        for rate in RATES:
            self._add(self._spread * 4.0**-rate)

    def _alpha(self, price: float) -> float:
        """Price of a bit in the units of the tensor's squared errors, from one of a nat."""
        with np.errstate(under="ignore"):
            width = self._unit.width**2
            return float(np.ldexp(price * width / NAT, 2 * self._cells.problem.exponent))

    def _cut(self, price: float) -> Cells:
        """Best cells at a price of a nat, in the units of the problem."""
        u = self._unit
        rate = 0.5 * float(np.log2(max(1.0, self._spread / price)))
        groups = int(min(MOST_GROUPS, max(FEWEST_GROUPS, GROUPS * 2.0**rate)))
        return cheapest_cells(grouped(u.values, u.weights, groups), price)

    def _saving(self, array: NDArray[Any], price: float) -> float:
        """Bits per weight below the entropy of the indices, measured on some rows at a price."""
        rows = array.reshape(array.shape[0], -1)
        rows = rows[:: -(-array.size // SAMPLED)]
        problem, cells = self._cells.problem, self._cut(price)
        starts = cells.breaks[1:-1]
        edges = problem.restore(0.5 * (problem.values[starts - 1] + problem.values[starts]))
        indices = assign_cells(np.ascontiguousarray(rows), edges)
        counts = np.bincount(indices.reshape(-1))
        classes = class_of_runs(indices, cells.number)
        coded = encode(indices.reshape(-1), cells.number, classes if classes.any() else None)
        return max(0.0, entropy(counts / rows.size) - 8.0 * coded.size / rows.size)

    def _add(self, price: float) -> None:
        """Add the option of a price of a nat, in the units of the problem."""
        problem, u = self._cells.problem, self._unit
        cells = self._cut(price)
        loss = group_means(problem.values, problem.weights, cells.breaks)[1]
        bits = entropy(np.add.reduceat(u.weights, cells.breaks[:-1]))
        bits = max(self._factor * (bits - self._saved), SPARE * bits)
        coded = self._size * bits / 8.0 + cells.number + LEAST
        if coded < self._most:
            self._append(cells.number, self._alpha(price), int(coded), self._cells.loss(loss))

    def _append(self, n_values: int, alpha: float, coded: int, error: float) -> None:
        """Add an option."""
        recipe = Recipe("tensor", n_values, self._balance, alpha)
        scheme = replace(self._scheme, n_values=n_values, coded=coded)
        self.known.append(Option.of(recipe, scheme, self._weight * error, self.about.scale))

    def extend(self, slope: float) -> None:
        """Add the option of a price, unless the values are all equal."""
        if self._cells.problem.values.size == 1:
            return
        alpha = slope / 8.0 / (self.about.scale * self._weight)
        exponent = self._cells.problem.exponent
        with np.errstate(over="ignore", under="ignore"):
            price = np.ldexp(alpha * NAT, -2 * exponent) / self._unit.width**2
        self._add(float(np.clip(price, 1e-300, 1e290)))

    def correct(self, factor: float) -> None:
        """Expect so many times the bytes of all options."""
        self._factor *= factor
        self.known = [
            Option(o.recipe, replace(o.scheme, coded=n), n + o.nbytes - coded, o.error, o.loss)
            for o in self.known
            for coded in [o.scheme.coded or 0]
            for n in [int(coded * factor)]
        ]


def _shared(
    flat: NDArray[Any], weight: Weight, blocks: Layout | None, dtypes: tuple[str, str]
) -> Coarse:
    """Values that share one table, divided by their scales if there are any."""
    if blocks is None:
        return coarse(flat, weight)
    values, scale_dtype = dtypes
    x = wide(flat)
    return coarse(*divided(x, weight, first_scales(x, blocks, values, scale_dtype), blocks))


def _counted(cells: Coarse) -> dict[int, float]:
    """Least loss at powers of two, up to that of all values."""
    u, w = cells.problem.values, cells.problem.weights
    counts = [1 << b for b in BITS if 1 << b < u.size]
    found = {k: cells.loss(f.loss) for k, f in solve_counts(u, w, counts, 0.0).items()}
    if u.size <= 1 << max(BITS):
        found[u.size] = 0.0
    return found


def _sampled(flat: NDArray[Any], weight: Weight, layout: Layout) -> tuple[Any, Any, Layout]:
    """Every so many of many tables: their weights, and the layout of these alone."""
    step, length = -(-layout.size // SAMPLE), layout.length
    if step == 1 or not length:
        return flat, weight, layout
    whole = layout.size // length * length
    part = flat[:whole].reshape(-1, length)[::step].reshape(-1)
    if weight is not None:
        weight = weight[:whole].reshape(-1, length)[::step].reshape(-1)
    return part, weight, Layout(1, part.size, 1, length)


def _tabled(flat: NDArray[Any], weight: Weight, scheme: Scheme, finder: Finder) -> dict[int, float]:
    """Loss of many tables at powers of two, where these are not heavier than their indices."""
    part, shaped, layout = _sampled(flat, weight, scheme.tables)
    curve = {}
    for b in BITS:
        tables = replace(scheme, n_values=1 << b).nbytes - packed_size(flat.size, b)
        if tables <= HEAVY * packed_size(flat.size, b):
            found = solve(part, shaped, layout, finder._replace(n_values=1 << b))
            curve[1 << b] = flat.size / part.size * found.error
    return curve


def fixed_options(
    tensor: Tensor, settings: Settings, scale: float, jobs: int | None
) -> list[Option]:
    """Options of one tensor with indices of fixed length, those that save bytes and may be."""
    array, weight = tensor.array, tensor.weight
    flat, options = array.reshape(-1), []
    families = FAMILIES if settings.layout == AUTO else ((settings.layout, settings.scale),)
    for name, scale_name in families:
        recipe = Recipe(str(name), 0, scale_name)
        values, _ = entry_dtypes(NAMES[flat.dtype], scale_name, settings)
        layout, blocks = layout_of(recipe.layout, array.shape), None
        dtype = SCALES[settings.scale_dtype]
        if scale_name:
            blocks = layout_of(scale_name, array.shape)
        if layout.blocks == 1:
            curve = _counted(_shared(flat, weight, blocks, (values, dtype)))
        else:
            scheme = Scheme(layout, 1, values, blocks, dtype)
            curve = _tabled(flat, weight, scheme, Finder(1, *settings.quantizer(0.0), jobs))
        for k, loss in curve.items():
            scheme = Scheme(layout, k, values, blocks, dtype)
            option = Option.of(recipe._replace(n_values=k), scheme, loss, scale)
            if option.nbytes < flat.nbytes:
                options.append(option)
    return options

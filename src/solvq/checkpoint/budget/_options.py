"""What can be done with a tensor: points of bytes and error, each with its recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from solvq.checkpoint._container import NAMES
from solvq.checkpoint._encode import Tensor, entry_dtypes
from solvq.checkpoint._layout import Layout, layout_of
from solvq.checkpoint._pack import packed_size
from solvq.checkpoint._scales import divided, first_scales, wide
from solvq.checkpoint._scheme import SCALES, Scheme
from solvq.checkpoint._settings import AUTO, Recipe, Settings
from solvq.checkpoint._solve import Finder, Weight, solve
from solvq.scalar._counts import solve_counts
from solvq.scalar._partition import _coarse
from solvq.scalar._reduce import Problem, checked, reduce

FAMILIES = (("tensor", ""), ("tensor", "row"), ("tensor", "group:64"), ("row", ""))  # of auto
BITS = range(1, 9)
CELLS = 1 << 15  # groups of neighbouring values that curves are computed on
SAMPLE = 1 << 16  # weights that curves with many tables are computed on
HEAVY = 0.5  # bytes of tables, over those of indices, beyond which many tables are not tried


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
    about : About
    """

    about: About

    @property
    @abstractmethod
    def known(self) -> list[Option]:
        """Options computed so far."""

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
    def measure(self, tensor: Tensor, option: Option, n_jobs: int | None) -> None:
        """Learn what the coded indices of an option take, before it is carried out."""

    @abstractmethod
    def learn(self, option: Option, coded: int) -> None:
        """Expect of all options what the coded indices of one took in fact."""


class Fixed(Candidates):
    """Options that can be listed: indices of fixed length."""

    def __init__(self, options: list[Option], about: About) -> None:
        self._known, self.about = options, about

    @property
    def known(self) -> list[Option]:
        """All of them."""
        return self._known

    def extend(self, slope: float) -> None:
        """Do nothing: all options are known."""

    def measure(self, tensor: Tensor, option: Option, n_jobs: int | None) -> None:
        """Do nothing: the bytes are known."""

    def learn(self, option: Option, coded: int) -> None:
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


def spread_of(u: Any, w: Any) -> float:
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
    inner = max(0.0, spread_of(u, w) - spread_of(x, masses))
    return Coarse(Problem(x, masses, problem.exponent, problem.weight_exponent), inner, mass)


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
        values, _ = entry_dtypes(NAMES[flat.dtype], bool(scale_name), settings)
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

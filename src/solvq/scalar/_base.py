"""The abstract scalar quantizer: all validation, fitting, encoding and decoding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from solvq.arrays import checked_weight
from solvq.scalar._assign import assign_cells, thresholds, without_repeats
from solvq.scalar._certificate import certify as certified
from solvq.scalar._kernels import Float64
from solvq.scalar._reduce import Problem, reduce

ClipRange = tuple[float, float] | None


class Solution(NamedTuple):
    """What a quantizer's hook returns, in the units of its `Problem`.

    ``lower_bound`` on the summed squared error is None where the method proves none; ``n_iter``
    counts its iterations; ``edges`` are the largest numbers of all cells but the last, where these
    are not those of nearest values, and then the codebook ascends; ``learned`` holds further
    attributes for `fit` to set, in the units of the data.
    """

    codebook: Float64
    lower_bound: float | None = None
    n_iter: int = 1
    edges: Float64 | None = None
    learned: Mapping[str, Any] = MappingProxyType({})


class RowSolutions(NamedTuple):
    """Codebooks and mean lower bounds of rows; edges of cells that are not of nearest values.

    Codebooks are ascending and as wide as the widest, at least of ``n_values``; shorter ones repeat
    their largest entry. Edges are filled up with infinity.
    """

    codebooks: Float64
    bounds: Float64
    edges: Float64 | None = None


def _padded(rows: Sequence[Float64], size: int, ends: Sequence[float]) -> Float64:
    """Matrix of rows that are filled up with their ends."""
    full = np.empty((len(rows), size))
    for r, row in enumerate(rows):
        full[r, : row.size], full[r, row.size :] = row, ends[r]
    return full


def check_count(name: str, value: Any) -> None:
    """Raise unless a parameter is an integer of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give an integer >= 1")
    if value < 1:
        raise ValueError(f"{name} is {value}; give an integer >= 1")


def check_positive(name: str, value: Any) -> None:
    """Raise unless a parameter is None or a positive number."""
    if value is None:
        return
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give a positive number or None")
    if not 0.0 < float(value) < np.inf:
        raise ValueError(f"{name} is {value}; give a positive number or None")


def check_flag(name: str, value: Any) -> None:
    """Raise unless a parameter is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}; give True or False")


def check_clip(clip: Any) -> None:
    """Raise unless an admissible range is None or a pair of ascending numbers."""
    if clip is None:
        return
    try:
        low, high = (float(end) for end in clip)
    except (TypeError, ValueError):
        raise TypeError(f"clip is {clip!r}; give a pair (low, high) or None") from None
    if not low <= high:
        raise ValueError(f"clip is {clip!r}; give a pair (low, high) with low <= high")


class ScalarQuantizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator, ABC):
    """Few shared values for all numbers of an array.

    A quantizer is a final subclass with a constructor that stores its parameters and the hook
    `_solve`. The entries of ``X``, whatever their column, share one codebook.

    Parameters
    ----------
    n_values : int, default 16
        Wanted number of values.
    unweighted : bool, default False
        Show the method each distinct value once, whatever its count or weight: the loss of the
        first paper. What is reported stays the loss of the data.
    clip : (float, float) or None, default None
        Admissible range that the found values are clipped to (hard sigmoid). The bound stays that
        of free values.

    Attributes
    ----------
    codebook_ : ndarray of shape (n_values_,), float64
        Shared values, ascending.
    thresholds_ : ndarray of shape (n_values_ - 1,), float64
        Largest number of each cell but the last; between nearest values, if the method says nothing
        else.
    n_values_ : int
        Their number: ``n_values``, or the number of distinct values if that is smaller.
    loss_ : float
        Weighted mean of squared errors of the data at the values of their cells.
    lower_bound_ : float
        Proven lower bound of ``loss_`` for any codebook of ``n_values_`` values.
    gap_ : float
        ``loss_ / lower_bound_ - 1``; 0 where the loss is 0.
    n_iter_ : int
        Iterations of the method; 1 where it has none.
    n_features_in_ : int
        Number of columns seen in `fit`.
    """

    nearest = True  # whether a datum always has its nearest value

    def __init__(
        self, n_values: int = 16, unweighted: bool = False, clip: ClipRange = None
    ) -> None:
        self.n_values = n_values
        self.unweighted = unweighted
        self.clip = clip

    @abstractmethod
    def _solve(self, problem: Problem) -> Solution:
        """Codebook for sorted distinct ``problem.values`` with positive ``problem.weights``.

        The parameters are checked, and `_fits` is not true. The entries may come in any order, and
        fewer than ``n_values``.
        """

    def _check_parameters(self) -> None:
        """Raise for parameters that are out of range; subclasses with more extend it."""
        check_count("n_values", self.n_values)
        check_flag("unweighted", self.unweighted)
        check_clip(self.clip)

    def _fits(self, problem: Problem) -> bool:
        """Whether the data are few enough to be the codebook."""
        return problem.values.size <= self.n_values

    def _solve_problem(self, problem: Problem) -> Solution:
        """Ascending distinct codebook in the units of the data."""
        seen = problem.unweighted() if self.unweighted else problem
        found = Solution(seen.values, 0.0) if self._fits(seen) else self._solve(seen)
        codebook, edges = problem.restore(found.codebook), found.edges
        if edges is None:
            codebook = np.sort(codebook)
        else:
            edges = problem.restore(edges)
        if self.clip is not None:
            codebook = np.clip(codebook, *self.clip)
        bound = None if self.unweighted else found.lower_bound  # of another loss
        codebook, edges = without_repeats(codebook, edges)
        return found._replace(codebook=codebook, edges=edges, lower_bound=bound)

    def _solve_rows(self, x: NDArray[Any], weight: Float64 | None, certify: bool) -> RowSolutions:
        """Codebook, cells and mean lower bound of each row, in the units of the data.

        Without ``certify`` a bound that takes work of its own is 0.
        """
        codebooks, edges, bounds = [], [], []
        for r, row in enumerate(x):
            problem = reduce(row, None if weight is None or not weight[r].any() else weight[r])
            found = self._solve_problem(problem)
            codebooks.append(found.codebook)
            edges.append(thresholds(found.codebook) if found.edges is None else found.edges)
            bound = found.lower_bound if certify or found.lower_bound is not None else 0.0
            bounds.append(certified(problem, found.codebook, bound, found.edges).lower_bound)
        size = max(self.n_values, *(codebook.size for codebook in codebooks))
        full = _padded(codebooks, size, [codebook[-1] for codebook in codebooks])
        cells = None if self.nearest else _padded(edges, size - 1, [np.inf] * len(x))
        return RowSolutions(full, np.array(bounds), cells)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> ScalarQuantizer:
        """Find the codebook of the entries of ``X``.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Finite numbers.
        y : ignored
        sample_weight : array_like of shape (n_samples,), optional
            Nonnegative weights, each for all entries of its row.

        Raises
        ------
        ValueError
            For NaN, infinite or empty data, unfit weights, or parameters out of range.
        """
        self._check_parameters()
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        weight = checked_weight(sample_weight, X.shape[:1])
        problem = reduce(X, None if weight is None else np.repeat(weight, X.shape[1]))
        solution = self._solve_problem(problem)
        self.codebook_, edges = solution.codebook, solution.edges
        self.thresholds_ = thresholds(self.codebook_) if edges is None else edges
        self.n_values_ = self.codebook_.size
        self.n_iter_ = solution.n_iter
        for name, value in solution.learned.items():
            setattr(self, name, value)
        proof = certified(problem, solution.codebook, solution.lower_bound, edges)
        self.loss_, self.lower_bound_, self.gap_ = proof
        return self

    def encode(self, X: Any) -> NDArray[Any]:
        """Index of the value for each entry of ``X``, in the smallest unsigned dtype."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return assign_cells(X, self.thresholds_)

    def decode(self, indices: Any) -> Float64:
        """Values of indices: ``codebook_[indices]``."""
        check_is_fitted(self)
        return self.codebook_[np.asarray(indices)]

    def transform(self, X: Any) -> Float64:
        """Value that stands for each entry of ``X``."""
        return self.decode(self.encode(X))

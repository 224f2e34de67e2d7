"""The abstract scalar quantizer: all validation, fitting, encoding and decoding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from solvq.scalar._assign import assign, nearest_loss
from solvq.scalar._kernels import Float64
from solvq.scalar._partition import solve
from solvq.scalar._reduce import Problem, checked_weight, reduce


class Solution(NamedTuple):
    """What a quantizer's hook returns, in the units of its `Problem`.

    ``lower_bound`` on the summed squared error is None where the method proves none.
    """

    codebook: Float64
    lower_bound: float | None = None


def gap(loss: float, lower_bound: float) -> float:
    """Relative distance of a loss from its lower bound: 0 where both are 0."""
    if loss <= lower_bound:
        return 0.0
    return loss / lower_bound - 1.0 if lower_bound > 0.0 else float("inf")


class ScalarQuantizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator, ABC):
    """Few shared values for all numbers of an array.

    A quantizer is a final subclass with a constructor that stores its parameters and the hook
    `_solve`. The entries of ``X``, whatever their column, share one codebook.

    Attributes
    ----------
    codebook_ : ndarray of shape (n_values_,), float64
        Shared values, ascending.
    n_values_ : int
        Their number: ``n_values``, or the number of distinct values if that is smaller.
    loss_ : float
        Weighted mean of squared errors of the data at the nearest values.
    lower_bound_ : float
        Proven lower bound of ``loss_`` for any codebook of ``n_values_`` values.
    gap_ : float
        ``loss_ / lower_bound_ - 1``; 0 where the loss is 0.
    n_features_in_ : int
        Number of columns seen in `fit`.
    """

    n_values: int

    @abstractmethod
    def _solve(self, values: Float64, weights: Float64) -> Solution:
        """Codebook for sorted distinct values with positive weights.

        There are more distinct values than ``n_values``; parameters are checked. The entries may
        come in any order, and fewer than ``n_values``.
        """

    def _check_parameters(self) -> None:
        """Raise for parameters that are out of range; subclasses with more extend it."""
        if not isinstance(self.n_values, Integral) or isinstance(self.n_values, bool):
            raise TypeError(f"n_values is {self.n_values!r}; give an integer >= 1")
        if self.n_values < 1:
            raise ValueError(f"n_values is {self.n_values}; give an integer >= 1")

    def _solve_problem(self, problem: Problem) -> Solution:
        """Ascending distinct codebook in the units of the data, which it is where all fit."""
        if problem.values.size <= self.n_values:
            return Solution(problem.data.copy(), 0.0)
        codebook, bound = self._solve(problem.values, problem.weights)
        return Solution(np.unique(problem.restore(codebook)), bound)

    def _certify(self, problem: Problem, solution: Solution) -> tuple[float, float]:
        """Mean loss of a codebook and its proven lower bound, in the units of the data."""
        codebook, bound = solution
        loss = nearest_loss(problem.values, problem.weights, problem.scale(codebook))
        if bound is None:
            bound = solve(problem.values, problem.weights, codebook.size)[2]
        return problem.mean_loss(loss), problem.mean_loss(min(bound, loss))

    def _solve_rows(
        self, x: NDArray[Any], weight: Float64 | None
    ) -> tuple[list[Float64], list[float]]:
        """Codebook and lower bound of each row, in the units of the data."""
        codebooks, bounds = [], []
        for r, row in enumerate(x):
            problem = reduce(row, None if weight is None or not weight[r].any() else weight[r])
            solution = self._solve_problem(problem)
            codebooks.append(solution.codebook)
            bounds.append(self._certify(problem, solution)[1])
        return codebooks, bounds

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> ScalarQuantizer:
        """Find the codebook of the entries of ``X``.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Finite numbers.
        y : ignored
        sample_weight : array_like of shape (n_samples,) or (n_samples, n_features), optional
            Nonnegative weights; a weight per row holds for all entries of the row.

        Raises
        ------
        ValueError
            For NaN, infinite or empty data, unfit weights, or parameters out of range.
        """
        self._check_parameters()
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        if sample_weight is not None:
            weight = np.asarray(sample_weight, dtype=np.float64)
            if weight.shape == (X.shape[0],):
                weight = np.broadcast_to(weight[:, None], X.shape)
            sample_weight = checked_weight(weight, X.shape)
        problem = reduce(X, sample_weight)
        solution = self._solve_problem(problem)
        self.codebook_ = solution.codebook
        self.n_values_ = self.codebook_.size
        self.loss_, self.lower_bound_ = self._certify(problem, solution)
        self.gap_ = gap(self.loss_, self.lower_bound_)
        return self

    def encode(self, X: Any) -> NDArray[Any]:
        """Index of the nearest value for each entry of ``X``, in the smallest unsigned dtype."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return assign(X, self.codebook_)

    def decode(self, indices: Any) -> Float64:
        """Values of indices: ``codebook_[indices]``."""
        check_is_fitted(self)
        return self.codebook_[np.asarray(indices)]

    def transform(self, X: Any) -> Float64:
        """Nearest value of each entry of ``X``."""
        return self.decode(self.encode(X))

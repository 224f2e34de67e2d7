"""What a method of the benchmark must provide."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from bench.problem import Array, Problem

SLOW_TABLE = 1e8
"""Above this n * k a method whose work or memory grows with n * k counts as slow."""


class Fit(NamedTuple):
    """What a method returns: the codebook, and the label of each value if it computes them."""

    codebook: Array
    labels: Array | None


class Method(ABC):
    """One way to place `n_values` values on data; final subclasses live one a file.

    A method never reports a number: the runner measures it, the objective judges its codebook.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    """Distribution name, for the version."""
    module: ClassVar[str]
    """Import name."""
    exact: ClassVar[bool]
    """Whether the method claims the global optimum; the report says so if it is not reached."""
    accepts_weights: ClassVar[bool] = False
    accepts_bfloat16: ClassVar[bool] = False
    """False: bfloat16 data arrive as float32, converted outside the timed region."""
    takes_matrix: ClassVar[bool] = False
    """Whether one call fits all rows of a matrix; otherwise `run` is looped over a sample."""

    def skip(self, problem: Problem) -> str | None:
        """Return why the method does not run on `problem`, or None."""
        if importlib.util.find_spec(self.module) is None:
            return f"not installed (pip install {self.package})"
        if problem.weighted and not self.accepts_weights:
            return "takes no weights"
        return self.limit(problem)

    def limit(self, problem: Problem) -> str | None:
        """Return the method's own reason not to run on `problem`, or None."""
        return None

    def library(self) -> Any:
        """Import the package under test; late, so that a missing one breaks nothing."""
        return importlib.import_module(self.module)

    @abstractmethod
    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Fit `n_values` values to the vector `x`; this call is what is timed."""

    def run_rows(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Fit `n_values` values to each row of `x`; a loop unless the package has better."""
        fits = [
            self.run(row, n_values, None if weights is None else weights[i], seed)
            for i, row in enumerate(x)
        ]
        labels = [fit.labels for fit in fits if fit.labels is not None]
        codebooks = np.stack([fit.codebook for fit in fits])
        return Fit(codebooks, np.stack(labels) if labels else None)

    def precise_codebook(self, x: Array, n_values: int) -> Array | None:
        """Return a float64 codebook to judge instead of one rounded to a coarse dtype, or None.

        Called outside the timed region, for vectors whose dtype is coarser than float32.
        """
        return None

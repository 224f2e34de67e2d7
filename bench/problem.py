"""What is measured: a data set, its shape and the number of values allowed in the codebook."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets import DATASETS

Array = NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """One clustering problem; two-dimensional shapes ask for one codebook a row.

    Parameters
    ----------
    dataset : str
        A key of `bench.datasets.DATASETS`.
    shape : tuple of int
        ``(n,)`` or ``(rows, columns)``.
    n_values : int
        Codebook size k.
    weighted : bool
        Whether every value has a positive weight (lognormal).
    seed : int
        Of the data, and of methods that draw random numbers.
    allow_slow : bool
        Whether runs known to take minutes or gigabytes are wanted.
    sample_rows : int
        How many rows are given to methods that loop over rows; also the rows that are judged.
    """

    dataset: str
    shape: tuple[int, ...]
    n_values: int
    weighted: bool = False
    seed: int = 0
    allow_slow: bool = False
    sample_rows: int = 0

    @property
    def name(self) -> str:
        """``dataset/shape/k``, with ``/weighted`` where it is; what ``--only`` looks at."""
        shape = "x".join(str(size) for size in self.shape)
        return f"{self.dataset}/{shape}/{self.n_values}" + "/weighted" * self.weighted

    @property
    def size(self) -> int:
        """Number of values that one codebook is fitted to."""
        return self.shape[-1]

    def load(self, all_rows: bool = True) -> tuple[Array, Array | None]:
        """Make the values and weights (or None); the same ones in every process."""
        data_seed, weight_seed = np.random.SeedSequence(self.seed).spawn(2)
        x = DATASETS[self.dataset](self.shape, np.random.default_rng(data_seed))
        weights = None
        if self.weighted:
            draws = np.random.default_rng(weight_seed).lognormal(0.0, 1.0, self.shape)
            weights = draws.astype(np.float32)
        if all_rows or len(self.shape) == 1:
            return x, weights
        rows = slice(0, self.sample_rows)
        return x[rows].copy(), None if weights is None else weights[rows].copy()

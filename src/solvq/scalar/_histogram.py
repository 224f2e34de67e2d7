"""Quantization of more data than memory: a histogram that chunks are fed to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import checked_weight, to_numpy
from solvq.scalar._base import check_count
from solvq.scalar._bins import Sums, make_tree, root_nodes
from solvq.scalar._bracket import (
    Moments,
    least_loss,
    mean_problem,
    moments,
    most_loss,
    spread_problem,
)
from solvq.scalar._certificate import Certificate, gap
from solvq.scalar._histogram_file import Stored, read, write
from solvq.scalar._kernels import Float64
from solvq.scalar._partition import solve
from solvq.scalar._reduce import Problem, checked, distinct_patterns, refuse_nonfinite
from solvq.scalar._refine import finer_nodes


class Bracket(NamedTuple):
    """Codebook of data that were seen in a histogram only.

    Attributes
    ----------
    codebook : ndarray of float64
        Shared values, ascending; at most as many as wanted.
    distortion : float
        Proven upper bound of the weighted mean of squared errors of the data at the codebook.
    lower_bound : float
        Proven lower bound of it for any codebook of as many values as wanted.
    gap : float
        ``distortion / lower_bound - 1``: the codebook is at most that far from the optimum.
    """

    codebook: Float64
    distortion: float
    lower_bound: float
    gap: float


def _checked_chunk(chunk: Any, sample_weight: Any) -> tuple[NDArray[Any], Float64]:
    """Flat finite numbers, and their weights or nothing where each counts once."""
    data = checked(chunk)
    flat = np.ascontiguousarray(data).reshape(-1)
    if flat.dtype.kind not in "iu":
        refuse_nonfinite(flat.size - int(np.count_nonzero(np.isfinite(flat))), flat.size)
    if sample_weight is None:
        return flat, np.empty(0)
    weight = to_numpy(sample_weight)
    if weight.shape == data.shape and not weight.any():
        return flat[:0], np.empty(0)
    checked_weight(weight, data.shape)
    return flat, np.ascontiguousarray(weight, np.float64).reshape(-1)


def _proof(found: Moments, problem: Problem, codebook: Float64, n_values: int) -> Certificate:
    """Bounds for an ascending codebook in the units of the moments."""
    loss = most_loss(found, problem, codebook)
    bound = min(least_loss(spread_problem(found), n_values)[0], loss)
    return Certificate(
        float(problem.mean_loss(loss)), float(problem.mean_loss(bound)), float(gap(loss, bound))
    )


class Histogram:
    """Optimal codebook of more data than memory, with a proof.

    Chunks of the data are fed in any order and split, also in many processes whose histograms are
    merged. For each of some bins the weight, the sum, the sum of squares, the least and the largest
    of its numbers are kept. The codebook that `solve` finds has a proven distance from the optimum
    of the data, not of the histogram; a second pass over the data, into the finer bins of `refine`,
    makes it small.

    The first bins are those of the leading 22 bits of a float64: sign, exponent and 10 bits of the
    mantissa. They need no range beforehand.

    Attributes
    ----------
    size : int
        Number of values fed; chunks without any weight do not count.
    n_bins : int
        Number of bins in use.

    Examples
    --------
    >>> import numpy as np
    >>> from solvq.scalar import Histogram
    >>> chunks = np.random.default_rng(0).standard_normal((10, 100_000))
    >>> coarse = Histogram()
    >>> for chunk in chunks:
    ...     coarse.update(chunk)
    >>> fine = coarse.refine(n_values=16)
    >>> for chunk in chunks:
    ...     fine.update(chunk)
    >>> coarse.solve(16).gap < 1e-4, fine.solve(16).gap < 1e-6
    (True, True)
    """

    def __init__(self) -> None:
        self._start(root_nodes())

    def _start(self, nodes: NDArray[np.uint64]) -> None:
        """Become an empty histogram with the bins of a tree."""
        self.size = 0
        self._nodes = nodes
        self._sums = Sums(make_tree(nodes))

    def update(self, chunk: Any, sample_weight: Any = None) -> None:
        """Add numbers.

        Parameters
        ----------
        chunk : array_like of any shape, or torch tensor
            Finite numbers, as for `solvq.quantize`. A chunk is added whole or not at all.
        sample_weight : array_like of the shape of ``chunk``, optional
            Nonnegative weights; a chunk may have no weight at all.

        Raises
        ------
        ValueError
            If the chunk is empty or has NaN or infinite values, or the weights do not fit.
        TypeError
            If the chunk does not hold real numbers of at most 64 bits.
        """
        data, weight = _checked_chunk(chunk, sample_weight)
        self.size += data.size
        if (
            data.dtype.itemsize <= 2 and data.size
        ):  # few distinct values: each once, with its weight
            data, weight = distinct_patterns(data, weight if weight.size else None)
        self._sums.add(data, weight)

    @property
    def n_bins(self) -> int:
        """Number of bins in use."""
        return int(self._sums.bins().size)

    def merge(self, other: Histogram) -> None:
        """Add what another histogram of the same bins was fed.

        Raises
        ------
        TypeError
            If ``other`` is not a histogram.
        ValueError
            If it has other bins, as those of another pass.
        """
        if not isinstance(other, Histogram):
            raise TypeError(f"other is a {type(other).__name__}; give a Histogram")
        if not np.array_equal(self._nodes, other._nodes):
            raise ValueError(
                "the histograms have different bins; merge those of one pass: new ones, or copies "
                "of what one call of refine gave (save it, and load it in each process)"
            )
        bins = other._sums.bins()
        self._sums.add_rows(bins, other._sums.rows[bins])
        self.size += other.size

    def solve(self, n_values: int = 16) -> Bracket:
        """Codebook of ``n_values`` values with a proven distance from the optimum of the data.

        Raises
        ------
        ValueError
            If nothing of positive weight was fed, or ``n_values`` is less than 1.
        """
        check_count("n_values", n_values)
        found, _ = moments(self._sums)
        problem = mean_problem(found)
        codebook = solve(problem.values, problem.weights, n_values).codebook
        return Bracket(found.restore(codebook), *_proof(found, problem, codebook, n_values))

    def certificate(self, codebook: Any) -> Certificate:
        """Compare any codebook with the best of its size on the data, as `solvq.certificate` does.

        The distortion is a proven upper bound of that of the data.

        Raises
        ------
        ValueError
            If nothing was fed, or the codebook is empty or not finite.
        """
        table = np.unique(to_numpy(codebook).astype(np.float64))
        if table.size == 0 or not np.isfinite(table).all():
            raise ValueError("codebook is empty or not finite; give at least one finite value")
        found, _ = moments(self._sums)
        return _proof(found, mean_problem(found), found.scale(table), table.size)

    def refine(self, n_values: int = 16, tol: float = 1e-6) -> Histogram:
        """Empty histogram for a second pass, with finer bins where boundaries can lie.

        A bin is refined if a codebook of ``n_values`` values that is as good as that of `solve` can
        have a boundary between two values in it, so far that the gap of the second pass should be
        at most ``tol``. The bounds hold whatever is fed, so the first pass may see a sample only.

        Raises
        ------
        ValueError
            If nothing was fed, or an argument is out of range.
        """
        check_count("n_values", n_values)
        if not 0.0 < tol < 1.0:
            raise ValueError(f"tol is {tol!r}; give a number between 0 and 1")
        finer = Histogram.__new__(Histogram)
        finer._start(finer_nodes(self._nodes, self._sums, n_values, tol))
        return finer

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the histogram to a safetensors file that appears whole or not at all.

        Raises
        ------
        FileExistsError
            If there is a file already and ``force`` is not set.
        """
        bins = self._sums.bins()
        write(Path(path), Stored(self.size, self._nodes, bins, self._sums.rows[bins]), force)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Histogram:
        """Histogram that `save` wrote.

        Raises
        ------
        FormatError
            If the file was not written by `save`, or is damaged.
        OSError
            If it cannot be read.
        """
        stored = read(Path(path))
        histogram = cls.__new__(cls)
        histogram._start(stored.nodes)
        histogram.size = stored.size
        histogram._sums.add_rows(stored.bins, stored.sums)
        return histogram

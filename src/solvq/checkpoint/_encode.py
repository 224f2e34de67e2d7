"""One tensor: tables and packed indices of its weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NAMES
from solvq.checkpoint._pack import index_width, pack
from solvq.checkpoint._plan import Layout, Settings
from solvq.checkpoint._schema import Description
from solvq.scalar import quantize_certified, quantize_rows

CHUNK = 1 << 18


class Encoded(NamedTuple):
    """A compressed tensor: flat tables, packed indices, and its description."""

    codebook: NDArray[Any]
    packed: NDArray[np.uint8]
    description: Description


class Solved(NamedTuple):
    """Tables (G, K), indices in order, and the sums of squared errors and of their bounds."""

    tables: NDArray[Any]
    indices: NDArray[Any]
    error: float
    bound: float


def sum_of_squares(flat: NDArray[Any], less: NDArray[Any] | None = None) -> float:
    """Sum of squares in float64, of a difference if asked, without a copy of the whole."""
    total = 0.0
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK].astype(np.float64)
        if less is not None:
            part -= less[start : start + CHUNK].astype(np.float64)
        total += float(part @ part)
    return total


def _solve_rows(x: NDArray[Any], settings: Settings, n_jobs: int | None) -> Solved:
    """One table per row of a matrix."""
    rows = quantize_rows(x, settings.n_values, settings.method, n_jobs=n_jobs)
    error, bound = (float(part.sum()) * x.shape[1] for part in rows[2:])
    return Solved(rows.codebooks, rows.indices.reshape(-1), error, bound)


def solve(flat: NDArray[Any], layout: Layout, settings: Settings, n_jobs: int | None) -> Solved:
    """Tables of one tensor; a last group that is shorter is solved by itself."""
    if layout.n_tables == 1:
        code, proof = quantize_certified(flat, settings.n_values, settings.method)
        error, bound = proof.distortion * flat.size, proof.lower_bound * flat.size
        return Solved(code.codebook[None], code.indices, error, bound)
    whole = flat.size // layout.length * layout.length
    parts = [_solve_rows(flat[:whole].reshape(-1, layout.length), settings, n_jobs)]
    if whole < flat.size:
        parts.append(_solve_rows(flat[None, whole:], settings, n_jobs))
    return Solved(
        np.concatenate([part.tables for part in parts]),
        np.concatenate([part.indices for part in parts]),
        sum(part.error for part in parts),
        sum(part.bound for part in parts),
    )


def encode(array: NDArray[Any], layout: Layout, settings: Settings, n_jobs: int | None) -> Encoded:
    """Compress one tensor."""
    flat = array.reshape(-1)
    solved = solve(flat, layout, settings, n_jobs)
    energy, n_values = sum_of_squares(flat), solved.tables.shape[1]
    description = Description(
        dtype=NAMES[array.dtype],
        shape=array.shape,
        layout=layout,
        n_values=n_values,
        relative_error=solved.error / energy if energy else 0.0,
        lower_bound=solved.bound / energy if energy else 0.0,
        energy=energy,
    )
    codebook = solved.tables.reshape(-1)
    (filled,) = description.stored("")[":codebook"][1]
    codebook = np.concatenate([codebook, np.repeat(codebook[-1:], filled - codebook.size)])
    return Encoded(codebook, pack(solved.indices, index_width(n_values)), description)

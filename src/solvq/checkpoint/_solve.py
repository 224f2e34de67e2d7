"""Tables of one tensor under a layout, with a proven bound."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._layout import Layout
from solvq.scalar import quantize_blocks, quantize_rows
from solvq.scalar._kernels import Float64
from solvq.scalar._quantize import make_quantizer, proved_code

Weight = Float64 | None


class Finder(NamedTuple):
    """What finds tables: a number of values, a method, its parameters, threads."""

    n_values: int
    method: str
    parameters: dict[str, Any]
    n_jobs: int | None


class Solved(NamedTuple):
    """Tables (G, K), flat indices, and weighted sums: squared errors, a bound of them, squares.

    ``energy`` is None where it would take work of its own.
    """

    tables: NDArray[Any]
    indices: NDArray[Any]
    error: float
    bound: float
    energy: float | None = None


def _one_table(flat: NDArray[Any], weight: Weight, find: Finder) -> Solved:
    """A table for all weights."""
    quantizer = make_quantizer(find.method, find.n_values, find.parameters)
    code, proof, problem = proved_code(flat, weight, quantizer)
    mass = flat.size if weight is None else float(weight.sum())
    squares = float(problem.mean_loss(problem.weights @ problem.values**2))
    sums = (mean * mass for mean in (proof.distortion, proof.lower_bound, squares))
    return Solved(code.codebook[None], code.indices.reshape(-1), *sums)


def _rows(x: NDArray[Any], weight: Weight, find: Finder) -> Solved:
    """A table for each row of a matrix."""
    n_values, method, parameters, jobs = find
    rows = quantize_rows(x, n_values, method, weight, jobs, **parameters)
    mass = x.shape[1] if weight is None else weight.sum(axis=1)
    sums = (float((mean * mass).sum()) for mean in (rows.distortion, rows.lower_bound))
    return Solved(rows.codebooks, rows.indices.reshape(-1), *sums)


def _runs(flat: NDArray[Any], weight: Weight, length: int, find: Finder) -> Solved:
    """A table for each run of consecutive weights; a last run that is shorter is by itself."""
    whole = flat.size // length * length
    parts = []
    for part, width in ((slice(whole), length), (slice(whole, None), flat.size - whole)):
        if flat[part].size:
            shaped = None if weight is None else weight[part].reshape(-1, width)
            parts.append(_rows(flat[part].reshape(-1, width), shaped, find))
    if len(parts) == 1:
        return parts[0]
    width = max(part.tables.shape[1] for part in parts)
    tables = [np.pad(p.tables, ((0, 0), (0, width - p.tables.shape[1])), "edge") for p in parts]
    indices = np.concatenate([part.indices for part in parts])
    error, bound = sum(part.error for part in parts), sum(part.bound for part in parts)
    return Solved(np.concatenate(tables), indices, error, bound)


def _blocks(flat: NDArray[Any], weight: Weight, layout: Layout, find: Finder) -> Solved:
    """A table for each block of a matrix."""
    shape, block = (layout.rows, layout.columns), (layout.height, layout.width)
    n_values, method, parameters, jobs = find
    shaped = None if weight is None else weight.reshape(shape)
    found = quantize_blocks(
        flat.reshape(shape), block, n_values, method, shaped, jobs, **parameters
    )
    mass: Any = np.ones(shape) if shaped is None else shaped
    for axis, side in enumerate(block):
        mass = np.add.reduceat(mass, np.arange(0, shape[axis], side), axis=axis)
    tables = found.codebooks.reshape(layout.blocks, -1)
    sums = (float((mean * mass).sum()) for mean in (found.distortion, found.lower_bound))
    return Solved(tables, found.indices.reshape(-1), *sums)


def solve(flat: NDArray[Any], weight: Weight, layout: Layout, find: Finder) -> Solved:
    """Tables of a flat tensor, and flat weights of its errors or None."""
    if layout.blocks == 1:
        return _one_table(flat, weight, find)
    if layout.length:
        return _runs(flat, weight, layout.length, find)
    return _blocks(flat, weight, layout, find)

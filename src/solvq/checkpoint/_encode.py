"""One tensor: tables, scales and indices of its weights, and how good they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq import rans
from solvq.checkpoint._container import NAMES, NUMPY_DTYPES
from solvq.checkpoint._feedback import bias_shift
from solvq.checkpoint._layout import Layout, layout_of
from solvq.checkpoint._outputs import Choice, fitted, matrix, output_error
from solvq.checkpoint._pack import gather, index_width, pack, squares, table_error
from solvq.checkpoint._scales import (
    balancing,
    block_scales,
    divided,
    fitted_scales,
    held,
    stored_scales,
    wide,
)
from solvq.checkpoint._schema import Description
from solvq.checkpoint._scheme import SCALES, Scheme, credible, filled
from solvq.checkpoint._settings import RESTRICTED, Recipe, Settings
from solvq.checkpoint._solve import Finder, Solved, Weight, solve
from solvq.scalar._kernels import Float64

CHUNK = 1 << 18
ROUNDS = 2  # times that scales are fitted to the tables, and tables to the scales
HARMLESS = 1e-2  # share of the error that rounding the tables to float16 may add


class Tensor(NamedTuple):
    """A tensor and what is known of its importance.

    ``weight`` are flat weights of its squared errors; ``hessian`` and ``mean`` are the second
    moments and the means of what it is multiplied with. Each may be None.
    """

    array: NDArray[Any]
    weight: Weight
    hessian: Float64 | None = None
    mean: Float64 | None = None


class Encoded(NamedTuple):
    """A compressed tensor: the parts that are stored in order, and its description.

    ``shift`` is what keeps the mean output if it is added to the bias; None if that is not known.
    """

    parts: list[NDArray[Any]]
    description: Description
    shift: Float64 | None


def weighted_squares(
    flat: NDArray[Any], weight: Weight = None, less: NDArray[Any] | None = None
) -> float:
    """Weighted sum of squares in float64, of a difference if asked, without a copy of the whole."""
    total, none = 0.0, np.empty(0)
    for start in range(0, flat.size, CHUNK):
        chunk = slice(start, start + CHUNK)
        x = flat[chunk]
        y = np.empty(0, x.dtype) if less is None else less[chunk]
        if x.dtype.itemsize <= 2:
            x, y = x.astype(np.float32), y.astype(np.float32)
        total += squares(x, y, none if weight is None else weight[chunk])
    return total


def entry_dtypes(own: str, scaled: bool, settings: Settings) -> tuple[str, str]:
    """Dtype that table entries of a tensor should have, and the one if that does harm."""
    small = NUMPY_DTYPES[own].itemsize <= 2
    exact = "F32" if scaled and small else own
    if settings.values == "same" or (settings.values == "auto" and small and not scaled):
        return exact, exact
    return RESTRICTED.get(settings.values, "F16"), exact


def _scaled(
    flat: NDArray[Any], weight: Weight, layouts: tuple[Layout, Layout], find: Finder, dtypes: Any
) -> tuple[Solved, Float64, str]:
    """Tables and scales in turn, each the best for the other; and the dtype of the scales."""
    tables, blocks = layouts
    values, scale_dtype = dtypes
    x = wide(flat)
    scales = block_scales(x, blocks, values)
    scale_dtype = held(scales, scale_dtype)
    scales = stored_scales(scales, scale_dtype)
    solved = solve(*divided(x, weight, scales, blocks), tables, find)
    best = solved, scales
    for _ in range(ROUNDS):
        q = np.empty(x.size, x.dtype)
        gather(solved.tables.astype(x.dtype), solved.indices, tables, q)
        scales = stored_scales(fitted_scales(x, weight, q, scales, blocks), scale_dtype)
        solved = solve(*divided(x, weight, scales, blocks), tables, find)
        best = (solved, scales) if solved.error < best[0].error else best
    return *best, scale_dtype


def _balanced(
    flat: NDArray[Any], weight: Float64, layouts: tuple[Layout, Layout], find: Finder, dtype: str
) -> tuple[Solved, Float64]:
    """A table for coded indices, and scales that make the weights of errors even."""
    tables, blocks = layouts
    scales = balancing(weight, blocks, dtype)
    y, factor = divided(wide(flat), weight, scales, blocks)
    solved = solve(y, None, tables, find)
    q = np.empty(y.size, y.dtype)
    gather(solved.tables.astype(y.dtype), solved.indices, tables, q)
    bound = float(factor.min()) * solved.bound
    return solved._replace(error=weighted_squares(y, factor, q), bound=bound), scales


def _solved(
    tensor: Tensor, recipe: Recipe, settings: Settings, jobs: int | None
) -> tuple[Solved, Float64, Scheme]:
    """Tables, scales if wanted, and the scheme that they are wanted to be stored in."""
    array, weight = tensor.array, tensor.weight
    flat, tables = array.reshape(-1), layout_of(recipe.layout, array.shape)
    find = Finder(recipe.n_values, *settings.quantizer(recipe.price), jobs)
    wanted, _ = entry_dtypes(NAMES[flat.dtype], bool(recipe.scale), settings)
    if not recipe.scale:
        solved = solve(flat, weight, tables, find)
        return solved, np.empty(0), Scheme(tables, solved.tables.shape[1], wanted)
    blocks, dtype = layout_of(recipe.scale, array.shape), SCALES[settings.scale_dtype]
    if settings.entropy and weight is not None:
        solved, scales = _balanced(flat, weight, (tables, blocks), find, dtype)
    else:
        solved, scales, dtype = _scaled(flat, weight, (tables, blocks), find, (wanted, dtype))
    return solved, scales, Scheme(tables, solved.tables.shape[1], wanted, blocks, dtype)


def _padded(numbers: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Numbers in a dtype, the last one repeated as often as alignment wants."""
    with np.errstate(over="ignore"):
        flat = numbers.reshape(-1).astype(NUMPY_DTYPES[dtype])
    return np.concatenate([flat, np.repeat(flat[-1:], filled(flat.size, dtype) - flat.size)])


def coded_indices(
    indices: NDArray[Any], n_values: int, n_rows: int, jobs: int | None
) -> NDArray[np.uint8]:
    """Stream of indices; rows of different spread have frequencies of their own."""
    classes = rans.class_of_runs(indices.reshape(n_rows, -1), n_values, n_jobs=jobs)
    return rans.encode(indices, n_values, classes if classes.any() else None, jobs)


def _error(tensor: Tensor, scheme: Scheme, choice: Choice, scales: Float64) -> float:
    """Weighted sum of squared errors of what is stored."""
    flat, own = tensor.array.reshape(-1), tensor.array.dtype
    if scheme.scales is not None or own.itemsize < 4:
        return weighted_squares(flat, tensor.weight, restored(tensor, scheme, choice, scales))
    weight = np.empty(0) if tensor.weight is None else tensor.weight
    with np.errstate(over="ignore"):
        tables = choice.tables.astype(own)
    return float(table_error(flat, weight, tables, choice.indices, scheme.tables))


def restored(tensor: Tensor, scheme: Scheme, choice: Choice, scales: Float64) -> NDArray[Any]:
    """Flat weights that a choice stands for."""
    return scheme.restore(choice.tables, scales, choice.indices, NAMES[tensor.array.dtype])


def _stored(
    tensor: Tensor, found: tuple[Solved, Float64, Scheme], settings: Settings
) -> tuple[Scheme, Choice, float]:
    """Scheme and tables as they are stored: in the wanted dtype, if that does no harm."""
    solved, scales, scheme = found
    own = NAMES[tensor.array.dtype]
    wanted, exact = entry_dtypes(own, scheme.scales is not None, settings)
    scheme, choice, error = replace(scheme, values=exact), Choice(*solved[:2]), solved.error
    for values in dict.fromkeys((wanted, exact)):
        scheme = replace(scheme, values=values)
        if values == own and scheme.scales is None:
            return scheme, Choice(*solved[:2]), solved.error
        with np.errstate(over="ignore"):
            choice = Choice(solved.tables.astype(NUMPY_DTYPES[values]), solved.indices)
        error = _error(tensor, scheme, choice, scales)
        if settings.values != "auto" or error <= (1.0 + HARMLESS) * solved.error:
            break
    return scheme, choice, error


def encode(tensor: Tensor, recipe: Recipe, settings: Settings, jobs: int | None) -> Encoded:
    """Compress one tensor."""
    array, w = tensor.array, matrix(tensor.array)
    solved, scales, scheme = _solved(tensor, recipe, settings, jobs)
    scheme, choice, error = _stored(tensor, (solved, scales, scheme), settings)
    if tensor.hessian is not None and settings.feedback:
        choice = fitted(w, tensor.hessian, scheme, (choice, scales), jobs)
        error = _error(tensor, scheme, choice, scales)
    parts = [_padded(choice.tables, scheme.values)]
    if scheme.scales is not None:
        parts.append(_padded(scales, scheme.scale_dtype))
    if settings.entropy:
        stream = coded_indices(choice.indices, scheme.n_values, array.shape[0], jobs)
        if credible(array.size, stream.size):
            parts.append(stream)
            scheme = replace(scheme, coded=stream.size)
    if scheme.coded is None:
        parts.append(pack(choice.indices, index_width(scheme.n_values)))
    energy = solved.energy
    if energy is None or scheme.scales is not None:
        energy = weighted_squares(array.reshape(-1), tensor.weight)
    errors = (error / energy, min(solved.bound, error) / energy) if energy else (0.0, 0.0)
    found = Description(NAMES[array.dtype], array.shape, "", scheme, recipe.price, *errors, energy)
    if tensor.hessian is None and tensor.mean is None:
        return Encoded(parts, found, None)
    q = restored(tensor, scheme, choice, scales).reshape(w.shape)
    if tensor.hessian is not None:
        found = replace(found, outputs=output_error(w, q, tensor.hessian))
    return Encoded(parts, found, None if tensor.mean is None else bias_shift(w, q, tensor.mean))


def proved(
    flat: NDArray[Any], weight: Weight, found: Description, scales: NDArray[Any], jobs: int | None
) -> float:
    """Bound of the sum of weighted squared errors of a stored scheme, computed anew."""
    scheme = found.scheme
    if scheme is None:
        return 0.0
    method, parameters = "optimal" if scheme.coded is None else "entropy", {}
    if found.price:
        parameters = {"alpha": found.price}
    find = Finder(scheme.n_values, method, parameters, jobs)
    if scheme.scales is None:
        return solve(flat, weight, scheme.tables, find).bound
    used = scales[: scheme.scales.blocks].astype(np.float64)
    y, factor = divided(wide(flat), weight, used, scheme.scales)
    if scheme.coded is not None:
        return float(factor.min()) * solve(y, None, scheme.tables, find).bound
    return solve(y, factor, scheme.tables, find).bound

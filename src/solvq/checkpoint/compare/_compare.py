"""Two tensors of one shape: their differences, and what the second is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint.compare._certify import Proof, prove
from solvq.checkpoint.compare._difference import Errors, TensorDifference
from solvq.checkpoint.compare._structure import CHUNK, Structure, find
from solvq.scalar._kernels import Float64


def same_bits(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Whether two tensors have the same bytes."""
    return a.size == b.size and all(
        np.array_equal(a[i : i + CHUNK], b[i : i + CHUNK]) for i in range(0, a.size, CHUNK)
    )


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers of an array in a row; complex ones are two each."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(f"f{flat.dtype.itemsize // 2}") if flat.dtype.kind == "c" else flat


def _wide(part: NDArray[Any]) -> Float64:
    """Numbers in float64."""
    with np.errstate(invalid="ignore"):  # signalling NaN
        return part.astype(np.float64)


def _differ(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Where two pieces differ as numbers: as they are if of one dtype, else in float64."""
    if a.dtype != b.dtype:
        a, b = _wide(a), _wide(b)
    both_nan = (a != a) & (b != b)  # noqa: PLR0124 - also for the dtypes of ml_dtypes
    different: NDArray[np.bool_] = (a != b) & ~both_nan
    return different


def measure(a: NDArray[Any], b: NDArray[Any], identical: bool) -> Errors:
    """Differences of two flat arrays of one length.

    Sums are taken in units of a power of two, so that no square overflows or vanishes.
    """
    peak, different, nonfinite = 0.0, 0, 0
    parts = [slice(i, i + CHUNK) for i in range(0, a.size, CHUNK)]
    for part in parts:
        both = np.stack([_wide(a[part]), _wide(b[part])])
        finite = np.isfinite(both)
        nonfinite += int(np.count_nonzero(~finite.all(axis=0)))
        peak = max(peak, float(np.max(np.abs(both), initial=0.0, where=finite)))
        different += int(np.count_nonzero(_differ(a[part], b[part])))
    exponent = int(np.frexp(peak)[1]) + 1
    error = energy = largest = 0.0
    for part in parts:
        both = np.ldexp(np.stack([_wide(a[part]), _wide(b[part])]), -exponent)
        both[:, ~np.isfinite(both).all(axis=0)] = 0.0
        less = both[0] - both[1]
        error, energy = error + float(less @ less), energy + float(both[0] @ both[0])
        largest = max(largest, float(np.abs(less).max()))
    relative = (error / energy if energy > 0.0 else np.inf) if error > 0.0 else 0.0
    with np.errstate(over="ignore", under="ignore"):
        sums = np.ldexp([error, energy], 2 * exponent).tolist()
        largest = float(np.ldexp(largest, exponent))
    return Errors(identical, different, nonfinite, sums[0], sums[1], relative, largest)


def _proof(
    a: NDArray[Any], b: NDArray[Any], structure: Structure, errors: Errors, n_jobs: int | None
) -> Proof | None:
    """Proof of the tables of B, if there are any and A holds finite floats."""
    energy = errors.energy
    if a.dtype.kind in "iub" or errors.n_nonfinite or not 0.0 < energy < np.inf:
        return None
    proof = prove(a, b, structure, errors.error, n_jobs)
    if proof is None:
        return None
    sums = (errors.error, proof.nearest, proof.recentred, proof.lower_bound)
    return Proof(*(one / energy for one in sums))


def compare(
    about: TensorDifference,
    a: NDArray[Any],
    b: NDArray[Any],
    certify: bool,
    n_jobs: int | None,
) -> TensorDifference:
    """Complete what was found of a tensor; ``a`` and ``b`` have one shape."""
    is_complex, shape = "c" in (a.dtype.kind, b.dtype.kind), a.shape
    if a.dtype != b.dtype and is_complex:
        return replace(about, why_not="complex on one side only")
    identical = a.dtype == b.dtype and same_bits(_bytes(a), _bytes(b))
    a, b = _flat(a), _flat(b)
    errors = measure(a, b, identical)
    about = replace(about, errors=errors)
    if b.size == 0:
        return about
    if errors.n_different == 0:
        stored = Structure("copy", b.dtype.name, 8 * b.dtype.itemsize * (1 + is_complex))
        return replace(about, structure=stored)
    if is_complex or not all(np.isfinite(b[i : i + CHUNK]).all() for i in range(0, b.size, CHUNK)):
        return about
    found = find(b, shape)
    about = replace(
        about,
        structure=found.structure,
        n_values=found.n_values,
        n_values_per_row=found.n_values_per_row,
    )
    if not certify:
        return about
    return replace(about, proof=_proof(a, b, found.structure, errors, n_jobs))


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes of an array."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)

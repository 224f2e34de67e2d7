"""What a tensor is made of, from its values alone: tables, grids, scaled tables, roundings.

Nothing is known of the tool that made it. Of all descriptions that fit, the one of the fewest
bits is taken; one by tables counts only where it needs at most half the bits of the plain values
and each table serves at least twice as many weights as it has entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint.compare._runs import MOST_STEPS, count_known, count_ranks, find_grids
from solvq.code import index_bits
from solvq.scalar._kernels import Float64

CHUNK = 1 << 18
MOST = 1 << 16  # distinct values of a tensor, or of a row of it, that are counted
GROUPS = (32, 64, 128)
EVIDENCE = 16  # values on a grid, or on a scaled table, that chance does not explain
PRECISIONS = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Structure:
    """Description of the values of a tensor.

    Attributes
    ----------
    kind : str
        ``copy`` of the other side, ``table`` of free values, ``grid`` of even steps from an
        offset (``step * k + offset``), ``scaled`` table that all groups share, or ``plain``.
    per : str
        What shares a table or a scale: ``tensor``, ``row`` or ``group:N``; empty if nothing does.
    n_values : int or None
        Most values of a table, or of a grid; None where there is none.
    n_tables, length : int
        Number of tables, grids or scales, and how many consecutive weights each serves.
    index_bits : float
        Bits of a weight: of the index, or of the value itself.
    entropy : float
        Empirical entropy of the indices in bits, with one histogram for all tables.
    table_bits : int
        Bits of all tables, scales and offsets, in the narrowest precision that holds the values.
    precision : str
        That precision, in the names of NumPy.
    """

    kind: str
    precision: str
    index_bits: float
    per: str = ""
    n_values: int | None = None
    n_tables: int = 0
    length: int = 0
    entropy: float = float("nan")
    table_bits: int = 0

    def bits(self, size: int) -> float:
        """Bits that the description of ``size`` weights takes."""
        return self.index_bits * size + self.table_bits


class Count(NamedTuple):
    """Distinct values of a tensor, how often each occurs; None where there are more than `MOST`."""

    values: NDArray[Any] | None
    times: NDArray[np.int64]


def chunks(flat: NDArray[Any], length: int = 1, size: int = CHUNK) -> Iterator[NDArray[Any]]:
    """Yield matrices of whole groups of a flat array, of about a size.

    A last group that is shorter comes alone. Numbers are of dtypes that NumPy can sort quickly.
    """
    step = max(1, size // length) * length
    whole = flat.size // length * length
    for start in range(0, whole, step):
        yield sortable(flat[start : min(start + step, whole)]).reshape(-1, length)
    if whole < flat.size:
        yield sortable(flat[None, whole:])


def sortable(array: NDArray[Any]) -> NDArray[Any]:
    """Same numbers in a dtype of NumPy's own of at least 32 bits for floats."""
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    narrow = array.dtype.kind not in "iu" and array.dtype.itemsize < 4
    return array.astype(np.float32) if narrow else array


def count_values(flat: NDArray[Any]) -> Count:
    """Distinct values of an array, by chunks."""
    values, times = sortable(flat[:0]), np.zeros(0, np.int64)
    for part in chunks(flat):
        again = times.copy()
        if count_known(part.reshape(-1), values, again):
            times = again
            continue
        new, often = np.unique(part, return_counts=True)
        merged = np.union1d(values, new)
        if merged.size > MOST:
            return Count(None, times)
        grown = np.zeros(merged.size, np.int64)
        grown[np.searchsorted(merged, values)] = times
        grown[np.searchsorted(merged, new)] += often
        values, times = merged, grown
    return Count(values, times)


def entropy(times: NDArray[np.int64]) -> float:
    """Entropy of a histogram in bits."""
    share = times[times > 0] / max(1, times.sum())
    return float(max(0.0, -np.sum(share * np.log2(share))))


def precision(flat: NDArray[Any]) -> np.dtype[Any]:
    """Narrowest float dtype that holds all values of an array exactly; its own if none does."""
    if flat.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        return flat.dtype
    for name in PRECISIONS:
        narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name, None) or name)
        if narrow.itemsize < flat.dtype.itemsize:
            parts = (flat[i : i + CHUNK] for i in range(0, flat.size, CHUNK))
            with np.errstate(over="ignore", under="ignore"):
                if all(np.array_equal(p.astype(narrow).astype(p.dtype), p) for p in parts):
                    return narrow
    return flat.dtype


def count_ranks_by(flat: NDArray[Any], length: int, limit: int) -> tuple[int | None, Any]:
    """Most distinct values of consecutive groups, and how often each rank occurs.

    The number is None where a group has more than ``limit``.
    """
    limit = min(limit, length)
    counts, most = np.zeros(limit, np.int64), 0
    for part in chunks(flat, length):
        most = max(most, count_ranks(np.sort(part, axis=1), limit, counts))
        if most > limit:
            return None, counts
    return most, counts


def _tables(plain: Structure, width: int, most: int, times: Any) -> Structure:
    """Structure of free tables of at most ``most`` values."""
    return replace(
        plain,
        kind="table",
        n_values=most,
        index_bits=index_bits(most),
        entropy=entropy(times),
        table_bits=plain.n_tables * most * width,
    )


def _grid(flat: NDArray[Any], plain: Structure, width: int) -> Structure | None:
    """Structure of an even grid per group, if there is one."""
    eps = float(ml_dtypes.finfo(plain.precision).eps)
    counts = np.zeros((2, 2 * MOST_STEPS + 1), np.int64)
    found = np.zeros(5, np.int64)
    for part in chunks(flat, plain.length):
        if not find_grids(np.sort(part.astype(np.float64), axis=1), eps, counts, found):
            return None
    places, low, high, missed, evidence = found.tolist()
    if evidence < EVIDENCE:
        return None
    anchored = missed == 0 and high - low < MOST_STEPS
    n_values = high - low + 1 if anchored else places
    return replace(
        plain,
        kind="grid",
        n_values=n_values,
        index_bits=index_bits(n_values),
        entropy=entropy(counts[int(anchored)]),
        table_bits=plain.n_tables * width * (1 if anchored else 2),
    )


def _levels(part: NDArray[Any], signed: bool) -> Float64:
    """Numbers of each row divided by the one of largest magnitude, with its sign if wanted."""
    x = part.astype(np.float64)
    peak = np.take_along_axis(x, np.argmax(np.abs(x), axis=1)[:, None], axis=1)
    peak = np.where(peak == 0.0, 1.0, peak if signed else np.abs(peak))
    quotient: Float64 = x / peak
    return quotient


def _merged(ends: Float64, times: Any, near: float) -> tuple[Float64, Any]:
    """Least and greatest number of each cluster, in turn, and its size with the former.

    Clusters are apart by more than ``near``.
    """
    order = np.argsort(ends, kind="stable")
    ends, times = ends[order], times[order]
    first = np.flatnonzero(np.diff(ends, prepend=-np.inf) > near)
    last = np.append(first[1:], ends.size) - 1
    sums = np.add.reduceat(times, first)
    pairs = np.stack([sums, np.zeros_like(sums)], axis=1)
    return np.stack([ends[first], ends[last]], axis=1).reshape(-1), pairs.reshape(-1)


def _scaled(flat: NDArray[Any], plain: Structure, width: int, signed: bool) -> Structure | None:
    """Structure of one table times a scale per group, if there is one."""
    eps = float(ml_dtypes.finfo(plain.precision).eps)
    ends, times = np.zeros(0), np.zeros(0, np.int64)
    for part in chunks(flat, plain.length):
        new, often = np.unique(_levels(part, signed), return_counts=True)
        ends, times = _merged(np.append(ends, new), np.append(times, often), 4.0 * eps)
        spread = float((ends[1::2] - ends[::2]).max())
        if ends.size > 2 * MOST_STEPS or spread > 2.0 * eps:
            return None
    n_values = ends.size // 2
    if flat.size - plain.n_tables < EVIDENCE or n_values * eps > 0.25:
        return None
    return replace(
        plain,
        kind="scaled",
        n_values=n_values,
        index_bits=index_bits(n_values),
        entropy=entropy(times),
        table_bits=(plain.n_tables + n_values) * width,
    )


class Found(NamedTuple):
    """Structure of a tensor, and its distinct values over all and in a row, None if too many."""

    structure: Structure
    n_values: int | None
    n_values_per_row: int | None


def _candidates(
    flat: NDArray[Any], plain: Structure, most: int | None, times: Any, bits: float
) -> Iterator[Structure]:
    """Yield structures of a tensor whose groups have tables or scales of their own.

    ``most`` is the largest number of distinct values in a group, None if there are too many.
    Structures that must take more than ``bits`` are not looked for.
    """
    width = 8 * np.dtype(plain.precision).itemsize
    if most is not None and 2 * most <= plain.length:
        yield _tables(plain, width, most, times)
    least = index_bits(most or 2) * flat.size + plain.n_tables * width
    if flat.dtype.kind in "iub" or least >= bits:
        return
    grid = _grid(flat, plain, width)
    if grid is not None:
        yield grid
    if most is not None and most <= MOST_STEPS:
        for signed in (True, False):
            scaled = _scaled(flat, plain, width, signed)
            if scaled is not None:
                yield scaled


def find(flat: NDArray[Any], shape: tuple[int, ...]) -> Found:
    """Structure of the finite numbers of a tensor that is not empty."""
    narrow, count, size = precision(flat), count_values(flat), flat.size
    width = 8 * narrow.itemsize
    best = Structure("plain", narrow.name, width)
    half = best.bits(size) / 2.0
    n_values = in_row = None if count.values is None else count.values.size
    if n_values is not None:
        best = replace(best, entropy=entropy(count.times))
        whole = replace(best, per="tensor", n_tables=1, length=size)
        whole = _tables(whole, width, n_values, count.times)
        if 2 * n_values <= size and whole.bits(size) <= half:
            best = whole
    row = size // shape[0] if len(shape) > 1 else size
    in_row = 1 if row == 1 else in_row
    for per, length in [("row", row), *((f"group:{n}", n) for n in GROUPS)]:
        if not 1 < length < size:
            continue
        most, times = count_ranks_by(flat, length, MOST if per == "row" else length // 2)
        in_row = most if per == "row" else in_row
        tables = -(-size // length)
        plain = Structure("plain", narrow.name, width, per, None, tables, length)
        for other in _candidates(flat, plain, most, times, best.bits(size)):
            allowed = half if other.kind == "table" else np.inf
            if other.bits(size) < best.bits(size) and other.bits(size) <= allowed:
                best = other
    return Found(best, n_values, in_row)

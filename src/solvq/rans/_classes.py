"""Runs that share a table: which rows of a matrix of symbols to code together.

Rows of different scale have different frequencies; one table for all wastes the difference, a table
for each row its own bytes. Rows are sorted by what they cost under the frequencies of all, cut into
groups of about equal number, and the exact cheapest partition of the groups into intervals is
found; then rows move to the class that codes them in the fewest bits, and classes are merged while
that saves. Sizes include tables, states, and the classes of the rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.kernels import kernel
from solvq.rans._encode import checked_symbols, counted
from solvq.rans._frequencies import TABLE_BITS
from solvq.rans._parallel import each
from solvq.rans._plan import MOST_CLASSES

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

EVALUATIONS = 4e6  # twice the terms that the search for the partition sums up, at most
A_SYMBOL = 0.25  # of them for each symbol, at most
MOST_GROUPS, FEWEST_GROUPS = 256, 8
ROUNDS = 4
CLOSE = 1e-4  # a round must save this share
CLASS_BITS = 170.0  # what a class costs beside its table: states, length of a chunk
BLOCK = 1 << 18  # symbols that a task takes
UNSEEN = 0.25  # stands for the count of a symbol that a class has not seen


@kernel
def _price(counts: Int64, n_rows: int, of_rows: int) -> float:
    """Bits of a class: its symbols, its table, and the class of each of its rows."""
    total, bits = 0, 0.0
    for c in counts:
        if c > 0:
            total += c
            logarithm = math.log2(c)
            bits += TABLE_BITS + 0.5 * logarithm - c * logarithm
    if total == 0:
        return 0.0
    return bits + total * math.log2(total) + n_rows * math.log2(of_rows / n_rows) + CLASS_BITS


@kernel
def _row_costs(rows: Any, costs: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Bits of each row under each class, given those of a symbol, (K, n_classes)."""
    counts = np.zeros(costs.shape[0], np.int32)
    dense = rows.shape[1] >= costs.shape[0]
    for r in range(rows.shape[0]):
        out[r] = np.float32(0.0)
        if dense:
            counts[:] = 0
            for symbol in rows[r]:
                counts[symbol] += 1
            for k in range(counts.size):
                if counts[k] > 0:
                    times = np.float32(counts[k])
                    for j in range(costs.shape[1]):
                        out[r, j] += times * costs[k, j]
        else:
            for symbol in rows[r]:
                for j in range(costs.shape[1]):
                    out[r, j] += costs[symbol, j]


@kernel
def _class_counts(rows: Any, classes: NDArray[np.intp], counts: Int64) -> None:
    """Counts of the symbols of each class, (2, n_classes, K): two that do not wait for another."""
    whole = rows.shape[1] // 2 * 2
    for r in range(rows.shape[0]):
        one, other = counts[0, classes[r]], counts[1, classes[r]]
        for i in range(0, whole, 2):
            one[rows[r, i]] += 1
            other[rows[r, i + 1]] += 1
        if whole < rows.shape[1]:
            one[rows[r, whole]] += 1


@kernel
def _partition(sums: Int64, rows: Int64, most: int) -> Int64:
    """Ends of the cheapest partition of groups into at most ``most`` intervals.

    ``sums`` and ``rows`` are cumulative counts (G + 1, K) and numbers of rows (G + 1,).
    """
    g, of_rows = rows.size - 1, rows[-1]
    best, back = np.full((most + 1, g + 1), np.inf), np.zeros((most + 1, g + 1), np.int64)
    best[0, 0], counts = 0.0, np.empty(sums.shape[1], np.int64)
    for j in range(1, g + 1):
        for i in range(j):
            for c in range(counts.size):
                counts[c] = sums[j, c] - sums[i, c]
            price = _price(counts, rows[j] - rows[i], of_rows)
            for k in range(1, most + 1):
                if best[k - 1, i] + price < best[k, j]:
                    best[k, j], back[k, j] = best[k - 1, i] + price, i
    k, j = int(np.argmin(best[:, g])), g
    ends = np.empty(k, np.int64)
    while j > 0:
        ends[k - 1] = j
        j = back[k, j]
        k -= 1
    return ends


def _costs_of_rows(rows: NDArray[Any], costs: Float64, n_jobs: int | None) -> NDArray[np.float32]:
    """Bits of each row under each class, (R, n_classes), blocks of rows in parallel."""
    out = np.empty((rows.shape[0], costs.shape[1]), np.float32)
    step = max(1, BLOCK // rows.shape[1])
    single = np.ascontiguousarray(costs, np.float32)

    def work(starts: list[int]) -> list[None]:
        for start in starts:
            _row_costs(rows[start : start + step], single, out[start : start + step])
        return []

    each(work, list(range(0, rows.shape[0], step)), n_jobs)
    return out


def _counts_of(rows: NDArray[Any], classes: NDArray[np.intp], shape: tuple[int, int]) -> Int64:
    """Counts of the symbols of each class."""
    counts = np.zeros((2, *shape), np.int64)
    _class_counts(rows, classes, counts)
    return counts[0] + counts[1]


def _cut(cost: NDArray[np.float32], rows: NDArray[Any], n_symbols: int, most: int) -> Any:
    """Classes of rows that are intervals of their costs."""
    n_rows = cost.size
    groups = int(math.sqrt(min(EVALUATIONS, A_SYMBOL * rows.size) / n_symbols))
    groups = min(n_rows, MOST_GROUPS, max(FEWEST_GROUPS, groups))
    order = np.argsort(cost, kind="stable")
    ends = np.arange(groups + 1) * n_rows // groups
    group = np.empty(n_rows, np.intp)
    group[order] = np.repeat(np.arange(groups), np.diff(ends))
    counts = _counts_of(rows, group, (groups, n_symbols))
    sums = np.concatenate([np.zeros((1, n_symbols), np.int64), np.cumsum(counts, axis=0)])
    cuts = _partition(sums, ends, min(most, groups))
    return np.searchsorted(cuts, group, side="right")


def _prices(counts: Int64, sizes: Int64) -> Float64:
    """Bits of each class."""
    total = int(sizes.sum())
    return np.array([_price(c, s, total) if s else 0.0 for c, s in zip(counts, sizes, strict=True)])


def _merged(classes: NDArray[np.intp], counts: Int64, sizes: Int64) -> NDArray[np.intp]:
    """Classes of which no two are cheaper as one; the best pair is joined first."""
    total, names = int(sizes.sum()), np.arange(sizes.size)
    counts, sizes, price = counts.copy(), sizes.copy(), _prices(counts, sizes)
    saved = np.full((names.size, names.size), -np.inf)

    def renew(a: int) -> None:
        for b in np.flatnonzero(sizes).tolist():
            if a != b and sizes[a]:
                joint = _price(counts[a] + counts[b], sizes[a] + sizes[b], total)
                saved[(a, b) if a < b else (b, a)] = price[a] + price[b] - joint

    for a in range(names.size):
        renew(a)
    while saved.max() > 0.0:
        a, b = divmod(int(saved.argmax()), names.size)
        counts[a] += counts[b]
        sizes[a], sizes[b] = sizes[a] + sizes[b], 0
        price[a], price[b] = _price(counts[a], sizes[a], total), 0.0
        names[names == b] = a
        saved[b], saved[:, b] = -np.inf, -np.inf
        renew(a)
    return np.unique(names[classes], return_inverse=True)[1]


def class_of_runs(
    symbols: Any, n_symbols: int, n_classes: int = 64, n_jobs: int | None = None
) -> NDArray[np.uint8]:
    """Classes of the rows of a matrix of symbols that make `encode` of it small.

    Parameters
    ----------
    symbols : ndarray of shape (n_runs, length), uint8 or uint16
        All below ``n_symbols``.
    n_symbols : int
        At most 65536.
    n_classes : int, default 64
        At most so many classes, at most 256; how many pay is found.
    n_jobs : int, optional
        Threads; all processors by default. The result does not depend on it.

    Returns
    -------
    ndarray of shape (n_runs,), uint8
        All zero if one table does best.

    Raises
    ------
    ValueError
        If ``symbols`` is no matrix of symbols below ``n_symbols``, or ``n_classes`` out of range.
    TypeError
        If the symbols are not uint8 or uint16.
    """
    rows = checked_symbols(symbols, n_symbols)
    if rows.ndim != 2:
        raise ValueError(f"symbols have shape {rows.shape}; give (n_runs, length)")
    if not 1 <= n_classes <= MOST_CLASSES:
        raise ValueError(f"n_classes is {n_classes}; give 1..{MOST_CLASSES}")
    counts = counted(rows, n_symbols)
    if min(rows.shape) < 1 or np.count_nonzero(counts) < 2:
        return np.zeros(rows.shape[0], np.uint8)
    one = -np.log2(np.maximum(counts, 1) / rows.size)
    classes = _cut(_costs_of_rows(rows, one[:, None], n_jobs)[:, 0], rows, n_symbols, n_classes)
    return _improved(rows, classes, n_symbols, n_jobs).astype(np.uint8)


def _improved(
    rows: NDArray[Any], classes: NDArray[np.intp], n_symbols: int, n_jobs: int | None
) -> NDArray[np.intp]:
    """Classes after rows have moved to where they are cheapest, while that saves."""
    n = int(classes.max()) + 1
    counts, sizes = _counts_of(rows, classes, (n, n_symbols)), np.bincount(classes, minlength=n)
    total = _prices(counts, sizes).sum()
    for _ in range(ROUNDS if n > 1 else 0):
        smooth = counts.T + UNSEEN
        with np.errstate(divide="ignore"):
            costs = -np.log2(smooth / smooth.sum(axis=0))
            share = -np.log2(sizes / sizes.sum())
        moved = np.argmin(_costs_of_rows(rows, costs, n_jobs) + share, axis=1)
        new, new_sizes = _counts_of(rows, moved, (n, n_symbols)), np.bincount(moved, minlength=n)
        now = _prices(new, new_sizes).sum()
        if now >= total * (1.0 - CLOSE):
            break
        classes, counts, sizes, total = moved, new, new_sizes, now
    return _merged(classes, counts, sizes)

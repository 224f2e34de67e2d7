"""Counts as frequencies that sum to a power of two, at the least cost of coding with them.

For counts ``c`` and a precision of ``bits``, find integers ``f``, at least 1 where ``c`` is
positive and 0 elsewhere, with ``sum(f) == 2**bits``, that minimise ``-sum(c * log2(f))``. The
objective is separable and concave in each ``f[i]``, so a choice is optimal if and only if no unit
moved from one symbol to another gains. A start near the optimum follows from the multiplier of the
sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.kernels import kernel

Int64 = NDArray[np.int64]

MOST_BITS = 16  # of precision, so that a state of 32 bits is refilled by at most one word
FAST_BITS = 12  # of precision: such tables stay in the fastest cache
CLOSE = 1e-4  # a finer precision must save this share
COARSE = 8e-3  # bits that a rare symbol costs beyond its logarithm at the finest precision, a
# quarter of that at the next: the states are then less smooth; somewhat above what was measured
TABLE_BITS = 2.5  # what the magnitude of a frequency takes in a stored table, about


@kernel
def _start(counts: Int64, price: float, frequencies: Int64) -> tuple[int, int]:
    """Frequencies whose every unit gains at least ``price``; their sum, and how many are 1.

    The ``k``-th unit gains ``c log((k + 1) / k)``: units up to ``1 / (exp(price / c) - 1)``, here
    to its first terms, do.
    """
    total, ones = 0, 0
    for i in range(counts.size):
        if counts[i] > 0:
            u = min(price / counts[i], 4.0)
            f = 1 + max(0, math.floor(1.0 / u - 0.5 + u / 12.0))
            frequencies[i] = f
            total += f
            ones += f == 1
    return total, ones


@kernel
def _margins(count: int, f: int) -> tuple[float, float]:
    """What one unit more would gain, and one unit less lose."""
    if count == 0:
        return -np.inf, np.inf
    more = count * math.log1p(1.0 / f)
    return more, count * math.log1p(1.0 / (f - 1.0)) if f > 1 else np.inf


@kernel
def _move(counts: Int64, frequencies: Int64, margins: Any, i: Any, step: int) -> None:
    """Give a symbol a unit, or take one."""
    frequencies[i] += step
    margins[0, i], margins[1, i] = _margins(counts[i], frequencies[i])


@kernel
def _settle(counts: Int64, frequencies: Int64, margins: Any, missing: int) -> None:
    """Give or take units until the sum is right, the best ones at once, then singly."""
    while missing != 0:
        if missing > 0:
            order = np.argsort(-margins[0])
            for i in order[: min(missing, np.sum(counts > 0))]:
                _move(counts, frequencies, margins, i, 1)
                missing -= 1
        else:
            order = np.argsort(margins[1])
            for i in order[: min(-missing, np.sum(frequencies > 1))]:
                _move(counts, frequencies, margins, i, -1)
                missing += 1
    while True:
        more, less = np.argmax(margins[0]), np.argmin(margins[1])
        if margins[0, more] <= margins[1, less] * (1.0 + 1e-12):
            return
        _move(counts, frequencies, margins, more, 1)
        _move(counts, frequencies, margins, less, -1)


@kernel
def _fit(counts: Int64, bits: int, frequencies: Int64) -> None:
    """Optimal frequencies of counts of which at least one and at most ``2**bits`` are positive."""
    total, seen = 1 << bits, np.sum(counts > 0)
    frequencies[:] = 0
    price = np.sum(counts) / total
    found, ones = _start(counts, price, frequencies)
    for _ in range(16):
        if abs(found - total) <= 1 + seen // 64 or found == ones or total <= ones:
            break
        price *= (found - ones) / (total - ones)
        found, ones = _start(counts, price, frequencies)
    margins = np.empty((2, counts.size))
    for i in range(counts.size):
        margins[0, i], margins[1, i] = _margins(counts[i], frequencies[i])
    _settle(counts, frequencies, margins, total - found)


@kernel
def _bits(counts: Int64, frequencies: Int64, bits: int) -> float:
    """Bits of the symbols under frequencies of a precision, and what the states lose."""
    total, loss = 0.0, COARSE * 4.0 ** (bits - MOST_BITS)
    for i in range(counts.size):
        if counts[i] > 0:
            others = 1.0 - frequencies[i] * 2.0**-bits
            total += counts[i] * (bits - math.log2(frequencies[i]) + loss * others * others)
    return total


@kernel
def _table_bits(frequencies: Int64) -> float:
    """About the bits that the stored table takes."""
    total = 0.0
    for f in frequencies:
        if f > 0:
            total += TABLE_BITS + math.floor(math.log2(f))
    return total


def fit(counts: Int64, bits: int) -> Int64:
    """Frequencies of the sum ``2**bits`` that code the counts in the fewest bits."""
    frequencies = np.empty(counts.size, np.int64)
    _fit(counts, bits, frequencies)
    return frequencies


def model(counts: Int64) -> tuple[Int64, int]:
    """Frequencies and their precision that code counts, not all zero, and the table in least bits.

    Parameters
    ----------
    counts : ndarray of shape (K,), int64
        Nonnegative; at most 65536 of them positive.

    Returns
    -------
    frequencies : ndarray of shape (K,), int64
    bits : int
        Their sum is ``2**bits``; 0 if one symbol stands alone.
    """
    seen = np.flatnonzero(counts)
    own, least = counts[seen], (seen.size - 1).bit_length()
    best, bits, chosen = math.inf, 0, np.ones(1, np.int64)
    for precision in range(least, MOST_BITS + 1) if least else ():
        frequencies = fit(own, precision)
        size = coded_bits(own, frequencies, precision) + _table_bits(frequencies)
        if size < best * (1.0 if precision <= FAST_BITS else 1.0 - CLOSE):
            best, bits, chosen = size, precision, frequencies
    out = np.zeros(counts.size, np.int64)
    out[seen] = chosen
    return out, bits


def coded_bits(counts: Int64, frequencies: Int64, bits: int) -> float:
    """Bits of symbols of given counts coded with frequencies of a precision; no chunk's own."""
    return float(_bits(counts, frequencies, bits))

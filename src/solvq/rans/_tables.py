"""Tables of frequencies as few bytes: magnitudes by an adaptive binary arithmetic coder.

A frequency ``f`` is its length in bits, predicted by that of its neighbour (and, from the second
table on, by the table before), and the bits below its leading one. One walk serves writing and
reading, so that the two cannot differ: `_bit` takes a bit to write, or gives the one it reads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.kernels import kernel
from solvq.rans._bytes import DamagedError
from solvq.rans._frequencies import MOST_BITS

Int64 = NDArray[np.int64]

LOW, HIGH, PLACE, CODE, READING, CHANCE = range(6)  # of a coder's state
STEPS = 8  # distances of a length from its prediction that have a model of their own
MODELS = 32 + 2 * STEPS
SEEN = CHANCE + MODELS + 1  # how much each model has seen stands behind their chances
EVEN = MODELS  # the model of bits that are as often 0 as 1: it does not learn
LEARNT = 30  # observations after which a model forgets old ones
ONE = 1 << 16
LEAST = 32  # of a chance, out of `ONE`
RATES = (ONE / (np.arange(LEARNT + 1) + 1.5)).astype(np.int64)  # by observations, out of `ONE`
WORST = 32  # bytes that a frequency takes at most


class Coder(NamedTuple):
    """State of the arithmetic coder and what its models have learnt, in one array; its bytes."""

    state: Any
    data: Any


def _coder(data: NDArray[np.uint8], reading: bool) -> Coder:
    """A coder that has learnt nothing, at the start of its bytes."""
    code = int.from_bytes(data[:4].tobytes().ljust(4, b"\0"), "big") if reading else 0
    state = np.array([0, 0xFFFFFFFF, 4 if reading else 0, code, reading], np.int64)
    return Coder(np.append(state, np.repeat([ONE // 2, 0], MODELS + 1)), data)


@kernel
def _shift(coder: Coder, low: int) -> None:
    """Write the byte that is settled, or read one; behind the end there are zeros."""
    state, data = coder.state, coder.data
    if state[READING]:
        byte = np.int64(data[state[PLACE]]) if state[PLACE] < data.size else 0
        state[CODE] = ((state[CODE] << 8) & 0xFFFFFFFF) | byte
    else:
        data[state[PLACE]] = low >> 24
    state[PLACE] += 1


@kernel
def _bit(coder: Coder, model: int, bit: int) -> int:
    """Write a bit with a model, or read it; the model learns from it."""
    state = coder.state
    low, high = state[LOW], state[HIGH]
    chance = state[CHANCE + model]
    middle = low + ((high - low) >> 16) * min(max(chance, LEAST), ONE - LEAST)
    if state[READING]:
        bit = 1 if state[CODE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    if model != EVEN:
        seen = state[SEEN + model]
        state[CHANCE + model] = chance + ((((ONE if bit else 0) - chance) * RATES[seen]) >> 16)
        state[SEEN + model] = min(seen + 1, LEARNT)
    while (low ^ high) >> 24 == 0:
        _shift(coder, low)
        low, high = (low << 8) & 0xFFFFFFFF, ((high << 8) & 0xFFFFFFFF) | 0xFF
    state[LOW], state[HIGH] = low, high
    return bit


@kernel
def _number(coder: Coder, value: int, bits: int) -> int:
    """Write or read a number of so many bits, all equally likely."""
    read = 0
    for i in range(bits - 1, -1, -1):
        read = (read << 1) | _bit(coder, EVEN, (value >> i) & 1)
    return read


@kernel
def _length(f: int) -> int:
    """Bits of a nonnegative number."""
    length = 0
    while f >> length:
        length += 1
    return length


@kernel
def _magnitude(coder: Coder, length: int, guess: int, top: int, kind: int) -> int:
    """Write or read the length of a frequency, at most ``top``, by its distance from a guess."""
    if _bit(coder, kind, 1 if length == guess else 0):
        return guess
    up = 1 if guess == 0 else 0
    if 0 < guess < top:
        up = _bit(coder, 16 + kind, 1 if length > guess else 0)
    room, distance = top - guess if up else guess, 1
    while distance < room:
        model = 32 + up * STEPS + min(distance, STEPS) - 1
        if not _bit(coder, model, 1 if abs(length - guess) > distance else 0):
            break
        distance += 1
    return guess + distance if up else guess - distance


@kernel
def _walk(coder: Coder, table: Int64, before: Int64, bits: int) -> int:
    """Write or read a table of frequencies of the sum ``2**bits``; what the sum lacks if damaged.

    ``before`` is the table before it, or empty.
    """
    left, top, last, old, same = 1 << bits, bits + 1, 0, 0, 1
    for i in range(table.size):
        if left == 0:
            table[i:] = 0
            break
        now = _length(before[i]) if before.size else 0
        guess = min(max(last + now - old, 0), top)
        kind = (1 if guess > 0 else 0) + 2 * same + (4 if before.size else 0)
        length = _magnitude(coder, _length(table[i]), guess, top, kind)
        value = 0
        if length > 0:
            value = (1 << (length - 1)) | _number(coder, table[i], length - 1)
        same, last, old = 1 if length == guess else 0, length, now
        table[i] = value
        if value > 0:
            left -= value
            if left < 0:
                break
            top = _length(left)
    return left


def write(tables: list[Int64], precisions: list[int]) -> NDArray[np.uint8]:
    """Tables of one length, of the sums ``2**bits``, as bytes."""
    coder = _coder(np.zeros(64, np.uint8), reading=False)
    before = np.empty(0, np.int64)
    for table, bits in zip(tables, precisions, strict=True):
        room = np.zeros(int(coder.state[PLACE]) + WORST * (table.size + 2), np.uint8)
        room[: coder.state[PLACE]] = coder.data[: coder.state[PLACE]]
        coder = coder._replace(data=room)
        _number(coder, bits, 5)
        _walk(coder, table.copy(), before, bits)
        before = table
    end = int(coder.state[PLACE])
    if coder.state[LOW] > 0:
        coder.data[end] = (int(coder.state[LOW]) >> 24) + 1
        end += 1
    used = np.flatnonzero(coder.data[:end])
    return coder.data[: int(used[-1]) + 1 if used.size else 0]


def read(data: NDArray[np.uint8], n_tables: int, n_symbols: int) -> tuple[list[Int64], list[int]]:
    """Invert `write`.

    Raises
    ------
    DamagedError
        If the bytes are no such tables.
    """
    coder = _coder(data.copy(), reading=True)  # what is read-only would be compiled once more
    tables: list[Int64] = []
    precisions: list[int] = []
    before = np.empty(0, np.int64)
    for _ in range(n_tables):
        bits = int(_number(coder, 0, 5))
        table = np.zeros(n_symbols, np.int64)
        if bits > MOST_BITS or _walk(coder, table, before, bits) != 0:
            raise ValueError(
                "the coded symbols are damaged: a table of frequencies does not add up"
            )
        if bits > 0 and table.max() == 1 << bits:
            raise DamagedError("a table leaves nothing to code")
        tables.append(table)
        precisions.append(bits)
        before = table
    return tables, precisions

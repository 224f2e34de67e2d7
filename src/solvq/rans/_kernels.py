"""Interleaved range coding by asymmetric numeral systems (rANS), table-driven.

A state ``x`` of 32 bits, at least `LEAST`, takes a symbol of frequency ``f`` out of ``2**n`` that
starts at ``s`` by ``x -> (x // f) * 2**n + s + x % f``, after its low 16 bits have left for the
stream if it would grow too large. Reading turns this around, last symbol first; writing therefore
goes backwards. Symbol ``i`` belongs to state ``i % LANES``, whose chains of operations a processor
runs side by side. Source: J. Duda, "Asymmetric numeral systems" (arXiv:1311.2540), and the
interleaving of F. Giesen (arXiv:1402.3392). ``tests/oracles.py`` holds the twin, in whole numbers.

The quotient is a product: for ``m = ceil(2**(32 + n) / f)`` and every ``x < f * 2**(32 - n)``,
``x * m >> 32 + n`` is exact and does not overflow 64 bits as long as ``f < 2**n``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.kernels import kernel

UInt64 = NDArray[np.uint64]
Words = NDArray[np.uint16]
Word = Any  # of 64 bits: a state, an entry of a table, a place, here compiled, there NumPy's

LANES = 4
SHORT = 1024  # symbols below which one state does
LEAST = np.uint64(1 << 16)
WORD = np.uint64(16)
LOW = np.uint64(0xFFFF)
HALF = np.uint64(0xFFFFFFFF)
ONE = np.uint64(1)


class Writing(NamedTuple):
    """What writing looks up of a symbol: multiplier, and frequency (high half) with start (low)."""

    multiplier: Any
    place: Any
    bits: Any


def writing(frequencies: NDArray[np.int64], bits: int) -> Writing:
    """Table that writes with frequencies of the sum ``2**bits``, of at least two symbols."""
    f = frequencies.astype(np.uint64)
    start = np.cumsum(f, dtype=np.uint64) - f
    whole = np.uint64(1 << (32 + bits))
    multiplier = (whole + np.maximum(f, 1) - ONE) // np.maximum(f, ONE)
    return Writing(multiplier, (f << np.uint64(32)) | start, np.uint64(bits))


def reading(frequencies: NDArray[np.int64], bits: int) -> UInt64:
    """Symbol, frequency and offset of each of the ``2**bits`` slots, ``bits`` low bits each."""
    table = np.empty(1 << bits, np.uint64)
    _fill(frequencies, bits, table)
    return table


@kernel
def _fill(frequencies: NDArray[np.int64], bits: int, table: UInt64) -> None:
    """Write the entries of `reading`."""
    slot = 0
    for symbol in range(frequencies.size):
        f = frequencies[symbol]
        entry = (np.uint64(symbol) << np.uint64(2 * bits)) | (np.uint64(f) << np.uint64(bits))
        for offset in range(f):
            table[slot] = entry | np.uint64(offset)
            slot += 1


@kernel
def _push(x: Word, multiplier: Word, place: Word, bits: Word) -> Word:
    """State after a symbol has been taken."""
    f = place >> np.uint64(32)
    quotient = (x * multiplier) >> (np.uint64(32) + bits)
    return x + (place & HALF) + quotient * ((ONE << bits) - f)


@kernel
def _spill(x: Word, place: Word, bits: Word, words: Words, end: Word) -> tuple[Word, Word]:
    """State that has room for the symbol, and the end of the free words, one less if one is taken.

    The word is written in any case and counted only if it is needed: no branch to mispredict.
    """
    full = x >= ((place >> np.uint64(32)) << (np.uint64(32) - bits))
    words[end - 1] = np.uint16(x & LOW)
    return (x >> WORD if full else x), end - np.int64(full)


@kernel
def _write_groups(symbols: Any, table: Writing, state: UInt64, words: Words) -> Word:
    """Write groups of `LANES` symbols, the last group first; returns where the words begin."""
    by, at, n = table.multiplier, table.place, table.bits
    x0, x1, x2, x3 = state[0], state[1], state[2], state[3]
    end: Word = np.int64(words.size)
    for group in range(symbols.size // LANES - 1, -1, -1):
        i = LANES * group
        a, b, c, d = symbols[i], symbols[i + 1], symbols[i + 2], symbols[i + 3]
        x3, end = _spill(x3, at[d], n, words, end)
        x3 = _push(x3, by[d], at[d], n)
        x2, end = _spill(x2, at[c], n, words, end)
        x2 = _push(x2, by[c], at[c], n)
        x1, end = _spill(x1, at[b], n, words, end)
        x1 = _push(x1, by[b], at[b], n)
        x0, end = _spill(x0, at[a], n, words, end)
        x0 = _push(x0, by[a], at[a], n)
    state[0], state[1], state[2], state[3] = x0, x1, x2, x3
    return end


@kernel
def write_chunk(symbols: Any, table: Any, words: Words) -> Word:
    """Write symbols to the end of ``words``, of length ``symbols.size + 2 * LANES``.

    Returns where the words begin: the final states, then the words that reading takes one by one.
    """
    lanes = LANES if symbols.size >= SHORT else 1
    state = np.full(LANES, LEAST)
    end: Word = np.int64(words.size)
    whole = symbols.size // LANES * LANES if lanes > 1 else 0
    for i in range(symbols.size - 1, whole - 1, -1):
        place, j = table.place[symbols[i]], i % lanes
        state[j], end = _spill(state[j], place, table.bits, words, end)
        state[j] = _push(state[j], table.multiplier[symbols[i]], place, table.bits)
    if lanes > 1:
        end = _write_groups(symbols[:whole], table, state, words[:end])
    for j in range(lanes - 1, -1, -1):
        words[end - 1] = np.uint16(state[j] >> WORD)
        words[end - 2] = np.uint16(state[j] & LOW)
        end -= 2
    return end


@kernel
def _pull(x: Word, entry: Word, bits: Word) -> Word:
    """State after the symbol of an entry has left."""
    mask = (ONE << bits) - ONE
    return ((entry >> bits) & mask) * (x >> bits) + (entry & mask)


@kernel
def _refill(x: Word, words: Words, place: Word) -> tuple[Word, Word]:
    """State that is large enough again, and the place of the next word."""
    wider = (x << WORD) | np.uint64(words[place])
    lacks = x < LEAST
    return (wider if lacks else x), place + np.int64(lacks)


@kernel
def _read_groups(words: Words, table: UInt64, bits: Word, state: UInt64, out: Any) -> Any:
    """Read groups of `LANES` symbols while there are words for all; how many, and words used."""
    mask, above = (ONE << bits) - ONE, bits + bits
    x0, x1, x2, x3 = state[0], state[1], state[2], state[3]
    i, place = np.int64(0), np.int64(2 * LANES)
    while i <= out.size - LANES and place <= words.size - LANES:
        e0 = table[x0 & mask]
        x0, place = _refill(_pull(x0, e0, bits), words, place)
        out[i] = e0 >> above
        e1 = table[x1 & mask]
        x1, place = _refill(_pull(x1, e1, bits), words, place)
        out[i + 1] = e1 >> above
        e2 = table[x2 & mask]
        x2, place = _refill(_pull(x2, e2, bits), words, place)
        out[i + 2] = e2 >> above
        e3 = table[x3 & mask]
        x3, place = _refill(_pull(x3, e3, bits), words, place)
        out[i + 3] = e3 >> above
        i += LANES
    state[0], state[1], state[2], state[3] = x0, x1, x2, x3
    return i, place


@kernel
def read_chunk(words: Words, table: UInt64, bits: Word, out: Any) -> bool:
    """Read symbols; whether the words are what `write_chunk` wrote, as far as can be seen.

    Nothing outside the arrays is read or written, whatever the words are.
    """
    lanes = LANES if out.size >= SHORT else 1
    if words.size < 2 * lanes:
        return False
    state = np.empty(LANES, np.uint64)
    for j in range(lanes):
        state[j] = np.uint64(words[2 * j]) | (np.uint64(words[2 * j + 1]) << WORD)
        if state[j] < LEAST:
            return False
    mask = (ONE << bits) - ONE
    i: Word = np.int64(0)
    place: Word = np.int64(2 * lanes)
    if lanes > 1:
        i, place = _read_groups(words, table, bits, state, out)
    while i < out.size:
        entry, j = table[state[i % lanes] & mask], i % lanes
        state[j] = _pull(state[j], entry, bits)
        if state[j] < LEAST:
            if place == words.size:
                return False
            state[j], place = _refill(state[j], words, place)
        out[i] = entry >> (bits + bits)
        i += 1
    for j in range(lanes):
        if state[j] != LEAST:
            return False
    return place == words.size


@kernel
def count(symbols: Any, counts: NDArray[np.int64]) -> None:
    """Add the symbols to their counts, many in four turns that do not wait for one another."""
    if symbols.size < 4 * counts.size:
        for symbol in symbols:
            counts[symbol] += 1
        return
    turns = np.zeros((4, counts.size), np.int64)
    whole = symbols.size // 4 * 4
    for i in range(0, whole, 4):
        turns[0, symbols[i]] += 1
        turns[1, symbols[i + 1]] += 1
        turns[2, symbols[i + 2]] += 1
        turns[3, symbols[i + 3]] += 1
    for i in range(whole, symbols.size):
        turns[0, symbols[i]] += 1
    for k in range(counts.size):
        counts[k] += turns[0, k] + turns[1, k] + turns[2, k] + turns[3, k]

"""Lossless coding of words: what is predictable by rANS, the rest as it is.

The high bits of a weight (its exponent, and a little of its mantissa) are far from equally likely,
the low ones nearly are, and its sign is. A word is therefore rotated by one bit where that pays, so
that the sign comes last, and cut into halves of 16 bits; the ``top`` bits of a half are coded as
one symbol, the others packed. All choices follow from histograms: a half of few distinct patterns
is coded whole, noise is left alone. Words of 4 and 8 bytes that take few distinct values are a
table of these and indices.

Single bytes are coded whole.

Layout: a byte for the form; then raw bytes; or the coded bytes; or the number of values, values,
coded indices; or a byte for the rotation and for each half, highest first, a byte for ``top``, the
length of the coded symbols and these, and the packed rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._pack import pack, packed_size, unpack
from solvq.kernels import kernel
from solvq.rans import decode, encode
from solvq.rans._bytes import DamagedError, Reader, number
from solvq.rans._encode import counted

Bytes = NDArray[np.uint8]
Words = NDArray[Any]

RAW, BYTES, VALUES, HALVES = range(4)  # forms of a stream
WIDTH = 16  # of a half
FEW = 256  # values of which a table is never much
MOST_VALUES = 1 << 16
MOST_STEPS = 8  # a word
FINEST = 1 << 16  # sum of the frequencies of many symbols
EDGE = 2.0  # bits to tell where symbols that occur begin and end, beside the logarithm of the gap
ENTRY = 2.0  # bits of a symbol's entry in the table, beside half the logarithm of its frequency


def _word_size(nbytes: int, itemsize: int) -> int:
    """Bytes of the words that items are taken as."""
    return next(size for size in (8, 4, 2, 1) if itemsize % size == 0 and nbytes % size == 0)


@kernel
def _half(words: Words, rotation: int, shift: int, out: NDArray[np.uint16]) -> None:
    """Bits ``shift`` and above of the rotated words."""
    r, s, back = np.uint64(rotation), np.uint64(shift), np.uint64(8 * words.itemsize - rotation)
    for i in range(words.size):
        word = np.uint64(words[i])
        if rotation:
            word = (word << r) | (word >> back)
        out[i] = (word >> s) & np.uint64(0xFFFF)


@kernel
def _join(words: Words, high: NDArray[np.uint16], low: NDArray[np.uint16], bits: int) -> None:
    """Append a half to words, whose low bits they are; either part may be missing."""
    w, s = np.uint64(WIDTH), np.uint64(bits)
    for i in range(words.size):
        half = np.uint64(low[i]) if low.size else np.uint64(0)
        if high.size:
            half |= np.uint64(high[i]) << s
        words[i] = (np.uint64(words[i]) << w) | half if words.itemsize > 2 else half


@kernel
def _rotate_back(words: Words) -> None:
    """Undo a rotation by one bit."""
    top = np.uint64(8 * words.itemsize - 1)
    for i in range(words.size):
        word = np.uint64(words[i])
        words[i] = (word >> np.uint64(1)) | ((word & np.uint64(1)) << top)


@kernel
def _size(counts: NDArray[np.int64], total: int) -> float:
    """About the bits of coded symbols and their table, given how often each occurs."""
    size, whole, scale, edges, last = 0.0, 0.0, FINEST / total, 1, 0
    finer = max(0.0, math.log2(scale))
    for c in counts:
        if c > 0:
            f = max(1.0, np.rint(c * scale))
            whole += f
            logarithm = math.log2(f)
            size += ENTRY + 0.5 * max(0.0, logarithm - finer) - c * logarithm
            edges += last == 0
        last = c
    return size + total * math.log2(whole) + edges * (EDGE + math.log2(counts.size / edges))


def _best_top(half: NDArray[np.uint16]) -> tuple[int, float]:
    """How many high bits of a half to code as a symbol, and about the bits that it then takes."""
    counts = counted(half, 1 << WIDTH)
    best, chosen = float(half.size * WIDTH), 0
    for top in range(WIDTH, 0, -1):
        bits = float(_size(counts, half.size)) + half.size * (WIDTH - top)
        if bits < best:
            best, chosen = bits, top
        counts = counts[::2] + counts[1::2]
    return chosen, best


def _coded_half(half: NDArray[np.uint16], top: int, n_jobs: int | None) -> list[Bytes]:
    """Parts of the stream that hold a half."""
    bits = WIDTH - top
    parts = [np.array([top], np.uint8)]
    if top > 0:
        coded = encode(half >> np.uint16(bits), 1 << top, n_jobs=n_jobs)
        parts += [np.frombuffer(number(coded.size), np.uint8), coded]
    if top == 0:
        parts.append(half.astype("<u2", copy=False).view(np.uint8))
    elif bits > 0:
        parts.append(pack(half & np.uint16((1 << bits) - 1), bits))
    return parts


def _halves(words: Words, n_jobs: int | None) -> list[Bytes]:
    """Parts of a stream of halves."""
    highest, found = 8 * words.itemsize - WIDTH, []
    for rotation in (0, 1):
        half = np.empty(words.size, np.uint16)
        _half(words, rotation, highest, half)
        top, size = _best_top(half)
        found.append((size, rotation, top, half))
    _, rotation, top, half = min(found, key=lambda one: one[0])
    parts = [np.array([HALVES, rotation], np.uint8), *_coded_half(half, top, n_jobs)]
    for shift in range(highest - WIDTH, -1, -WIDTH):
        half = np.empty(words.size, np.uint16)
        _half(words, rotation, shift, half)
        top, _ = _best_top(half)
        parts += _coded_half(half, top, n_jobs)
    return parts


@kernel
def _index(words: Words, slots: NDArray[np.int32], values: Words, indices: Any) -> int:
    """Number the distinct words in the order of their first places; how many, or -1 if too many.

    ``slots``, a power of two of them, all -1, are a table of numbers at hashed places. Words that
    collide far more often than words by chance count as too many.
    """
    found, steps, mask = 0, 0, np.uint64(slots.size - 1)
    for i in range(words.size):
        word = np.uint64(words[i])
        place = (word ^ (word >> np.uint64(15)) ^ (word >> np.uint64(30))) ^ (word >> np.uint64(45))
        place &= mask
        while slots[place] >= 0 and values[slots[place]] != words[i]:
            place = (place + np.uint64(1)) & mask
            steps += 1
        if slots[place] < 0:
            if found == values.size or steps > MOST_STEPS * words.size:
                return -1
            slots[place], values[found] = found, words[i]
            found += 1
        indices[i] = slots[place]
    return found


def _distinct(words: Words) -> tuple[Words, NDArray[np.uint16]] | None:
    """Sorted distinct words and indices, unless they are many."""
    most = min(MOST_VALUES, words.size // 2)
    values, indices = np.empty(most, words.dtype), np.empty(words.size, np.uint16)
    slots = np.full(4 << most.bit_length(), -1, np.int32)
    found = _index(words, slots, values, indices)
    if found < 0:
        return None
    order = np.argsort(values[:found])
    rank = np.empty(found, np.uint16)
    rank[order] = np.arange(found)
    return values[order], rank[indices]


def pack_lossless(raw: Bytes, itemsize: int, n_jobs: int | None = None) -> Bytes:
    """Code the bytes of numbers in fewer, exactly.

    Parameters
    ----------
    raw : ndarray of shape (n_bytes,), uint8
        Little-endian numbers, whatever they mean.
    itemsize : int
        Bytes of a number; words of at most 8 are looked at.
    n_jobs : int, optional
        Threads; all processors by default. The stream does not depend on it.

    Returns
    -------
    ndarray of uint8
        A stream that `unpack_lossless` takes, at most one byte longer than ``raw``.
    """
    raw = np.ascontiguousarray(raw)
    words = raw.view(f"<u{_word_size(raw.size, itemsize)}")
    best = [np.array([RAW], np.uint8), raw]
    for parts in _forms(words, n_jobs) if raw.size else ():
        if sum(part.size for part in parts) < sum(part.size for part in best):
            best = parts
    return np.concatenate(best)


def _forms(words: Words, n_jobs: int | None) -> Iterator[list[Bytes]]:
    """Streams of the forms that may be smallest."""
    if words.itemsize == 1:
        yield [np.array([BYTES], np.uint8), encode(words, 1 << 8, n_jobs=n_jobs)]
        return
    found = _distinct(words) if words.itemsize > 2 else None
    if found is not None:
        values, indices = found
        head = np.frombuffer(bytes([VALUES]) + number(values.size), np.uint8)
        yield [head, values.view(np.uint8), encode(indices, values.size, n_jobs=n_jobs)]
    if found is None or values.size > FEW:
        yield _halves(words, n_jobs)


def unpack_lossless(stream: Bytes, nbytes: int, itemsize: int, n_jobs: int | None = None) -> Bytes:
    """Invert `pack_lossless`.

    Parameters
    ----------
    stream : ndarray of uint8
        What `pack_lossless` returned.
    nbytes, itemsize : int
        Size of what was packed, and of a number in it.
    n_jobs : int, optional
        Threads; all processors by default.

    Returns
    -------
    ndarray of shape (nbytes,), uint8

    Raises
    ------
    ValueError
        If the stream is damaged or does not stand for so many bytes.
    """
    take, size = Reader(stream), _word_size(nbytes, itemsize)
    form = int(take.take(1)[0])
    if form == RAW:
        out = take.take(nbytes).copy()
    elif form == BYTES and size == 1:
        out = decode(take.take(take.left), nbytes, n_jobs)
    elif form == VALUES:
        n_values = take.number()
        values = take.take(min(n_values, MOST_VALUES) * size).copy().view(f"<u{size}")
        indices = decode(take.take(take.left), nbytes // size, n_jobs)
        if indices.size and int(indices.max()) >= values.size:
            raise DamagedError(f"index {indices.max()} into {values.size} values")
        out = values[indices].view(np.uint8)
    elif form == HALVES and size > 1:
        out = _joined(take, nbytes // size, size, n_jobs).view(np.uint8)
    else:
        raise DamagedError(f"form {form} is unknown")
    take.finish()
    return out


def _joined(take: Reader, count: int, size: int, n_jobs: int | None) -> Words:
    """Words of a stream of halves."""
    rotation, none = int(take.take(1)[0]), np.empty(0, np.uint16)
    words = np.zeros(count, f"<u{size}")
    for _ in range(8 * size // WIDTH):
        top = int(take.take(1)[0])
        bits = WIDTH - top
        if bits < 0 or rotation > 1:
            raise DamagedError(f"{top} bits of {WIDTH}, rotated by {rotation}")
        high = low = none
        if top > 0:
            high = decode(take.take(take.number()), count, n_jobs).astype(np.uint16, copy=False)
            if count and int(high.max()) >> top:
                raise DamagedError(f"symbol {high.max()} of {top} bits")
        if top == 0:
            low = take.take(2 * count).copy().view("<u2")
        elif bits > 0:
            packed = take.take(packed_size(count, bits)).copy()
            low = unpack(packed, bits, count).astype(np.uint16, copy=False)
        _join(words, high, low, bits)
    if rotation:
        _rotate_back(words)
    return words

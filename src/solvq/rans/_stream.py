"""A self-contained stream: header, tables of frequencies, chunks that are coded independently.

Layout, numbers of seven bits a byte: version; number of symbols; count; runs (0: one class); the
classes of the runs, coded likewise, if there are runs; tables, their length first; the logarithm of
the chunk length; words of every chunk; then their words. Runs stand in the order of their classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from solvq.rans._bytes import Damaged, Reader, number
from solvq.rans._frequencies import Int64, coded_bits, model
from solvq.rans._kernels import LANES, count, read_chunk, reading, write_chunk, writing
from solvq.rans._tables import read, write

VERSION = 1
MOST_SYMBOLS = 1 << 16
MOST_CLASSES = 256
CHUNK_BITS = 8 << 16  # of a chunk, about: states and length of it cost 0.03 % of that
SHORTEST, LONGEST = 16, 24  # logarithms of the length of a chunk
MOST = 1 << 48  # symbols of a stream
Item = TypeVar("Item")
Result = TypeVar("Result")


class Part(NamedTuple):
    """Symbols ``start:stop`` of one chunk, coded by the table of a class."""

    table: int
    start: int
    stop: int


def _each(
    work: Callable[[Item], Result], items: list[Item], n_jobs: int | None
) -> Iterable[Result]:
    """Results in order, in parallel if there are several."""
    threads = min(n_jobs or os.cpu_count() or 1, len(items))
    if threads < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def _parts(sizes: list[int], precisions: list[int], chunk: int) -> list[Part]:
    """Chunks of classes of given sizes; none for a class of one symbol, which costs nothing."""
    parts, start = [], 0
    for table, (size, bits) in enumerate(zip(sizes, precisions, strict=True)):
        if bits > 0:
            for first in range(start, start + size, chunk):
                parts.append(Part(table, first, min(first + chunk, start + size)))
        start += size
    return parts


def _chunk(n_bits: float, size: int) -> int:
    """Logarithm of the length of chunks of about `CHUNK_BITS`."""
    wanted = CHUNK_BITS * size / max(n_bits, 1.0)
    return min(LONGEST, max(SHORTEST, round(float(np.log2(max(wanted, 1.0))))))


def checked_symbols(symbols: Any, n_symbols: int) -> NDArray[Any]:
    """Contiguous uint8 or uint16 symbols, whose range is checked where they are counted.

    Raises
    ------
    TypeError
        If they are of another dtype.
    ValueError
        If ``n_symbols`` is out of range.
    """
    symbols = np.ascontiguousarray(symbols)
    if symbols.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"symbols have dtype {symbols.dtype}; give uint8 or uint16")
    if not 1 <= n_symbols <= MOST_SYMBOLS:
        raise ValueError(f"n_symbols is {n_symbols}; give 1..{MOST_SYMBOLS}")
    return symbols


def counted(symbols: NDArray[Any], n_symbols: int) -> Int64:
    """How often each symbol occurs.

    Raises
    ------
    ValueError
        If one is not below ``n_symbols``.
    """
    counts = np.zeros(1 << (8 * symbols.dtype.itemsize), np.int64)
    count(symbols.reshape(-1), counts)
    if counts[n_symbols:].any():
        largest = int(np.flatnonzero(counts)[-1])
        raise ValueError(f"a symbol is {largest}; n_symbols={n_symbols} allows 0..{n_symbols - 1}")
    return np.pad(counts[:n_symbols], (0, max(0, n_symbols - counts.size)))


def _arranged(
    symbols: NDArray[Any], classes: Any, n_symbols: int
) -> tuple[NDArray[Any], list[int], bytes]:
    """Symbols in the order of their classes, how many each has, and the header's part on them."""
    if classes is None or symbols.size == 0:
        return symbols, [symbols.size], number(0)
    classes = np.asarray(classes)
    if classes.ndim != 1 or classes.dtype != np.uint8 or classes.size == 0:
        raise ValueError(
            f"classes have shape {classes.shape} and dtype {classes.dtype}; give (n_runs,) uint8"
        )
    if symbols.size % classes.size:
        raise ValueError(f"{symbols.size} symbols are not {classes.size} runs of equal length")
    used, dense, runs = np.unique(classes, return_inverse=True, return_counts=True)
    if used.size == 1:
        return symbols, [symbols.size], number(0)
    ids = encode(dense.astype(np.uint8), used.size, n_jobs=1).tobytes()
    length = symbols.size // classes.size
    order = np.argsort(dense, kind="stable")
    arranged = np.take(symbols.reshape(-1, length), order, axis=0).reshape(-1)
    head = number(classes.size) + number(used.size) + number(len(ids)) + ids
    return arranged, (runs * length).tolist(), head


def encode(
    symbols: Any, n_symbols: int, classes: Any = None, n_jobs: int | None = None
) -> NDArray[np.uint8]:
    """Code symbols in about as many bits as their entropy.

    Parameters
    ----------
    symbols : ndarray of shape (N,), uint8 or uint16
        All below ``n_symbols``.
    n_symbols : int
        At most 65536.
    classes : ndarray of shape (n_runs,), uint8, optional
        The symbols are ``n_runs`` runs of equal length; runs of one class share a table of
        frequencies. `class_of_runs` finds classes that pay.
    n_jobs : int, optional
        Threads; all processors by default. The stream does not depend on it.

    Returns
    -------
    ndarray of uint8
        The stream that `decode` takes.

    Raises
    ------
    ValueError
        If a symbol is not below ``n_symbols``, or the classes do not fit.
    TypeError
        If the symbols are not uint8 or uint16.
    """
    symbols = checked_symbols(symbols, n_symbols)
    if symbols.ndim != 1:
        raise ValueError(f"symbols have shape {symbols.shape}; give one axis")
    symbols, sizes, head = _arranged(symbols, classes, n_symbols)
    head = bytes([VERSION]) + number(n_symbols) + number(symbols.size) + head
    if symbols.size == 0:
        return np.frombuffer(head, np.uint8).copy()
    ends = np.cumsum(sizes)
    counts = [
        counted(symbols[end - size : end], n_symbols)
        for end, size in zip(ends, sizes, strict=True)
    ]
    models = [model(one) for one in counts]
    precisions = [bits for _, bits in models]
    chunk = _chunk(sum(coded_bits(c, *m) for c, m in zip(counts, models, strict=True)), symbols.size)
    tables = [writing(*m) if m[1] else None for m in models]

    def work(part: Part) -> NDArray[np.uint16]:
        words = np.empty(part.stop - part.start + 2 * LANES, np.uint16)
        return words[write_chunk(symbols[part.start : part.stop], tables[part.table], words) :].copy()

    chunks = list(_each(work, _parts(sizes, precisions, 1 << chunk), n_jobs))
    packed = write([f for f, _ in models], precisions).tobytes()
    head += number(len(packed)) + packed + bytes([chunk])
    head += b"".join(number(words.size) for words in chunks)
    body = [words.astype("<u2", copy=False).view(np.uint8) for words in chunks]
    return np.concatenate([np.frombuffer(head, np.uint8), *body])


class Header(NamedTuple):
    """What stands before the words of a stream."""

    n_symbols: int
    count: int
    classes: NDArray[Any] | None
    sizes: list[int]


def _header(take: Reader, expected_count: int | None) -> Header:
    """Read and check a header up to the tables."""
    version = int(take.take(1)[0])
    if version != VERSION:
        raise Damaged(f"version {version}, not {VERSION}")
    n_symbols, size = take.number(), take.number()
    if not 1 <= n_symbols <= MOST_SYMBOLS or size > MOST:
        raise Damaged(f"{size} symbols below {n_symbols}")
    if expected_count is not None and size != expected_count:
        raise Damaged(f"{size} symbols where {expected_count} are expected")
    n_runs = take.number()
    if n_runs == 0:
        return Header(n_symbols, size, None, [size])
    n_classes = take.number()
    if not 2 <= n_classes <= min(n_runs, MOST_CLASSES) or n_runs > size or size % n_runs:
        raise Damaged(f"{n_classes} classes of {n_runs} runs of {size} symbols")
    classes = decode(take.take(take.number()), n_runs, n_jobs=1)
    runs = counted(classes, max(n_classes, int(classes.max()) + 1))
    if runs.size != n_classes or not runs.all():
        raise Damaged("the classes of its runs are not those announced")
    return Header(n_symbols, size, classes, (runs * (size // n_runs)).tolist())


def decode(
    stream: Any, expected_count: int | None = None, n_jobs: int | None = None
) -> NDArray[Any]:
    """Invert `encode`.

    Parameters
    ----------
    stream : ndarray of uint8 or bytes
        What `encode` returned.
    expected_count : int, optional
        Number of symbols. Give it wherever the stream comes from outside: a few bytes may stand
        for any number of equal symbols.
    n_jobs : int, optional
        Threads; all processors by default.

    Returns
    -------
    ndarray of shape (N,), uint8 if ``n_symbols <= 256``, else uint16

    Raises
    ------
    ValueError
        If the stream is damaged, or holds another number of symbols.
    """
    if isinstance(stream, (bytes, bytearray, memoryview)):
        stream = np.frombuffer(stream, np.uint8)
    take = Reader(stream)
    head = _header(take, expected_count)
    out = np.empty(head.count, np.uint8 if head.n_symbols <= 1 << 8 else np.uint16)
    if head.count > 0:
        _fill(take, head, out, n_jobs)
    take.finish()
    if head.classes is None:
        return out
    order = np.argsort(head.classes, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return np.take(out.reshape(order.size, -1), back, axis=0).reshape(-1)


def _fill(take: Reader, head: Header, out: NDArray[Any], n_jobs: int | None) -> None:
    """Decode the chunks of a stream, in the order of the classes."""
    frequencies, precisions = read(take.take(take.number()), len(head.sizes), head.n_symbols)
    chunk = int(take.take(1)[0])
    if not SHORTEST <= chunk <= LONGEST:
        raise Damaged(f"chunks of 2**{chunk} symbols")
    parts = _parts(head.sizes, precisions, 1 << chunk)
    lengths = [take.number() for _ in parts]
    words = [take.take(2 * length) for length in lengths]
    tables = [reading(f, bits) for f, bits in zip(frequencies, precisions, strict=True)]
    for end, size, f in zip(np.cumsum(head.sizes), head.sizes, frequencies, strict=True):
        if f.max() == f.sum():
            out[end - size : end] = np.argmax(f)

    def work(item: tuple[Part, NDArray[np.uint8]]) -> bool:
        part, raw = item
        own = raw.copy().view("<u2").astype(np.uint16, copy=False)
        table, bits = tables[part.table], np.uint64(precisions[part.table])
        return read_chunk(own, table, bits, out[part.start : part.stop])

    if not all(_each(work, list(zip(parts, words, strict=True)), n_jobs)):
        raise Damaged("a chunk does not end where it should")

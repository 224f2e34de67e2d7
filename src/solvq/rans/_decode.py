"""Reading a stream back: every length is checked before memory is taken or a chunk is read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.rans._bytes import DamagedError, Reader
from solvq.rans._encode import counted
from solvq.rans._kernels import read_chunk, reading
from solvq.rans._parallel import each
from solvq.rans._plan import LONGEST, MOST_CLASSES, MOST_SYMBOLS, SHORTEST, VERSION, Part, cut
from solvq.rans._tables import read

MOST = 1 << 48  # symbols of a stream


class Header(NamedTuple):
    """What stands first in a stream."""

    n_symbols: int
    size: int
    classes: NDArray[Any] | None
    sizes: list[int]


def _header(take: Reader, expected_count: int | None, nested: bool = False) -> Header:
    """Read and check a header up to the tables; one inside another has no classes."""
    version = int(take.take(1)[0])
    if version != VERSION:
        raise DamagedError(f"version {version}, not {VERSION}")
    n_symbols, size = take.number(), take.number()
    if not 1 <= n_symbols <= MOST_SYMBOLS or size > MOST:
        raise DamagedError(f"{size} symbols below {n_symbols}")
    if expected_count is not None and size != expected_count:
        raise DamagedError(f"{size} symbols where {expected_count} are expected")
    n_runs = take.number()
    if nested and n_runs > 0:
        raise DamagedError("the classes of its runs have classes")
    if n_runs == 0:
        return Header(n_symbols, size, None, [size])
    n_classes = take.number()
    if not 2 <= n_classes <= min(n_runs, MOST_CLASSES) or n_runs > size or size % n_runs:
        raise DamagedError(f"{n_classes} classes of {n_runs} runs of {size} symbols")
    inner = Reader(take.take(take.number()))
    head = _header(inner, n_runs, nested=True)
    if head.n_symbols != n_classes:
        raise DamagedError("the classes of its runs are not those announced")
    classes = _symbols(inner, head, 1)
    runs = counted(classes, 1 << 8)
    if not runs[:n_classes].all() or runs[n_classes:].any():
        raise DamagedError("the classes of its runs are not those announced")
    return Header(n_symbols, size, classes, (runs[:n_classes] * (size // n_runs)).tolist())


def decode(
    stream: Any, expected_count: int | None = None, n_jobs: int | None = None
) -> NDArray[Any]:
    """Invert `encode`.

    Parameters
    ----------
    stream : ndarray of shape (n_bytes,), uint8, or bytes
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
    TypeError
        If it is no bytes.
    """
    if isinstance(stream, (bytes, bytearray, memoryview)):
        stream = np.frombuffer(stream, np.uint8)
    if not isinstance(stream, np.ndarray) or stream.dtype != np.uint8 or stream.ndim != 1:
        raise TypeError("the stream is no bytes; give bytes or a uint8 array of one axis")
    take = Reader(stream)
    head = _header(take, expected_count)
    out = _symbols(take, head, n_jobs)
    if head.classes is None or head.size == 0:
        return out
    order = np.argsort(head.classes, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return np.take(out.reshape(order.size, -1), back, axis=0).reshape(-1)


def _symbols(take: Reader, head: Header, n_jobs: int | None) -> NDArray[Any]:
    """Read the rest of a stream: its symbols in the order of the classes."""
    if head.size == 0:
        take.finish()
        return np.empty(0, np.uint8 if head.n_symbols <= 1 << 8 else np.uint16)
    frequencies, precisions = read(take.take(take.number()), len(head.sizes), head.n_symbols)
    chunk = int(take.take(1)[0])
    coded = [size for size, bits in zip(head.sizes, precisions, strict=True) if bits > 0]
    if not SHORTEST <= chunk <= LONGEST or sum(coded) >> chunk > take.left:
        raise DamagedError(f"chunks of 2**{chunk} symbols")
    parts = cut(head.sizes, precisions, 1 << chunk)
    lengths = [take.number() for _ in parts]
    words = [take.take(2 * length) for length in lengths]
    take.finish()
    try:
        out = np.empty(head.size, np.uint8 if head.n_symbols <= 1 << 8 else np.uint16)
    except MemoryError:
        raise DamagedError(f"{head.size} symbols are more than memory holds") from None
    for end, size, f in zip(np.cumsum(head.sizes), head.sizes, frequencies, strict=True):
        if np.count_nonzero(f) == 1:
            out[end - size : end] = np.argmax(f)
    tables = [reading(f, bits) for f, bits in zip(frequencies, precisions, strict=True)]

    def work(items: list[tuple[Part, NDArray[np.uint8]]]) -> list[Any]:
        room = np.empty(max(raw.size for _, raw in items), np.uint8)
        return [_chunk(raw, room, tables[part.table], part, out) for part, raw in items]

    if not all(each(work, list(zip(parts, words, strict=True)), n_jobs)):
        raise DamagedError("a chunk does not end where it should")
    return out


def _chunk(
    raw: NDArray[np.uint8], room: NDArray[np.uint8], table: Any, part: Part, out: NDArray[Any]
) -> bool:
    """Read one chunk, its words moved to where they are aligned; whether it is sound."""
    room[: raw.size] = raw
    words = room[: raw.size].view("<u2").astype(np.uint16, copy=False)
    bits = np.uint64(table.size.bit_length() - 1)
    return bool(read_chunk(words, table, bits, out[part.start : part.stop]))

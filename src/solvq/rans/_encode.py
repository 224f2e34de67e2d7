"""Writing a self-contained stream: header, tables, chunks that are coded independently.

Layout, numbers of seven bits a byte: version; number of symbols; count; runs (0: one class); the
classes of the runs, coded likewise, if there are runs; tables, their length first; the logarithm of
the chunk length; words of every chunk; then their words. Runs stand in the order of their classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.rans._bytes import number
from solvq.rans._kernels import LANES, count, write_chunk, writing
from solvq.rans._parallel import each
from solvq.rans._plan import MOST_SYMBOLS, VERSION, Int64, Part, Plan


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
    symbols: NDArray[Any], classes: Any
) -> tuple[NDArray[Any], NDArray[np.uint8] | None, list[int]]:
    """Symbols in the order of their classes, these from 0 up, and how many symbols each has."""
    if classes is None or symbols.size == 0:
        return symbols, None, [symbols.size]
    classes = np.asarray(classes)
    if classes.ndim != 1 or classes.dtype != np.uint8 or classes.size == 0:
        raise ValueError(
            f"classes have shape {classes.shape} and dtype {classes.dtype}; give (n_runs,) uint8"
        )
    if symbols.size % classes.size:
        raise ValueError(f"{symbols.size} symbols are not {classes.size} runs of equal length")
    used, dense, runs = np.unique(classes, return_inverse=True, return_counts=True)
    if used.size == 1:
        return symbols, None, [symbols.size]
    length = symbols.size // classes.size
    order = np.argsort(dense, kind="stable")
    arranged = np.take(symbols.reshape(-1, length), order, axis=0).reshape(-1)
    return arranged, dense.astype(np.uint8), (runs * length).tolist()


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
    symbols, dense, sizes = _arranged(symbols, classes)
    head = preamble(n_symbols, symbols.size, dense)
    if symbols.size == 0:
        return np.frombuffer(head, np.uint8).copy()
    ends = np.cumsum(sizes)
    spans = [symbols[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    plan = Plan.of([counted(span, n_symbols) for span in spans])
    tables = [writing(f, n) if n else None for f, n in plan.models]

    def work(parts: list[Part]) -> list[NDArray[np.uint16]]:
        room = np.empty(max(part.stop - part.start for part in parts) + 2 * LANES, np.uint16)
        done = []
        for table, start, stop in parts:
            words = room[: stop - start + 2 * LANES]
            done.append(words[write_chunk(symbols[start:stop], tables[table], words) :].copy())
        return done

    chunks = each(work, plan.parts, n_jobs)
    head += plan.head + b"".join(number(words.size) for words in chunks)
    body = [words.astype("<u2", copy=False).view(np.uint8) for words in chunks]
    return np.concatenate([np.frombuffer(head, np.uint8), *body])


def preamble(n_symbols: int, size: int, classes: NDArray[np.uint8] | None) -> bytes:
    """Header of a stream up to the classes of its runs, which are numbered from 0."""
    head = bytes([VERSION]) + number(n_symbols) + number(size)
    if classes is None:
        return head + number(0)
    n_classes = int(classes.max()) + 1
    ids = encode(classes, n_classes, n_jobs=1).tobytes()
    return head + number(classes.size) + number(n_classes) + number(len(ids)) + ids


def size_bound(counts: Any, classes: Any = None) -> int:
    """Bytes that `encode` does not exceed, from how often each symbol occurs.

    All but the coded chunks is known exactly. Of these the bound is what the symbols cost under
    their table, with an allowance for the states that is above what was measured, not proven.

    Parameters
    ----------
    counts : ndarray of shape (K,) or (n_classes, K), integers
        How often each symbol occurs (in each class).
    classes : ndarray of shape (n_runs,), uint8, optional
        Classes below ``n_classes``, all used.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the counts are negative, have another shape, or do not go with the classes.
    """
    counts = np.asarray(counts)
    n_classes = 1 if classes is None else int(np.unique(classes).size)
    table = counts if counts.ndim == 2 else counts[None]
    if table.ndim != 2 or len(table) != n_classes or not 1 <= table.shape[1] <= MOST_SYMBOLS:
        raise ValueError(
            f"counts have shape {counts.shape}; give ({n_classes}, K) for {n_classes} classes"
        )
    if table.min() < 0 or (n_classes > 1 and not table.any(axis=1).all()):
        raise ValueError("counts are negative, or those of a class all zero; give true counts")
    head = preamble(table.shape[1], int(table.sum()), None if n_classes == 1 else classes)
    if table.sum() == 0:
        return len(head)
    return len(head) + Plan.of([np.asarray(row, np.int64) for row in table]).bound

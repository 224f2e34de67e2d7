"""What a stream will be made of, from counts alone: tables, chunks, sizes."""

from __future__ import annotations

import math
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from solvq.rans._bytes import number
from solvq.rans._frequencies import coded_bits, model
from solvq.rans._kernels import LANES
from solvq.rans._tables import write

Int64 = NDArray[np.int64]

VERSION = 1
MOST_SYMBOLS = 1 << 16
MOST_CLASSES = 256
CHUNK_BITS = 8 << 17  # of a chunk, about: its states and its length cost 0.015 % of that
SHORTEST, LONGEST = 16, 24  # logarithms of the length of a chunk
LENGTH = 4  # bytes of the length of a chunk, at most


class Part(NamedTuple):
    """Symbols ``start:stop`` of one chunk, coded by the table of a class."""

    table: int
    start: int
    stop: int


def cut(sizes: list[int], precisions: list[int], chunk: int) -> list[Part]:
    """Chunks of classes of given sizes; none for a class of one symbol, which costs nothing."""
    parts, start = [], 0
    for table, (size, bits) in enumerate(zip(sizes, precisions, strict=True)):
        if bits > 0:
            for first in range(start, start + size, chunk):
                parts.append(Part(table, first, min(first + chunk, start + size)))
        start += size
    return parts


@final
class Plan(NamedTuple):
    """Tables and chunks of a stream.

    ``models`` are frequencies and precision of each class, ``head`` the part of the header that
    holds them, ``bits`` what the symbols take.
    """

    models: list[tuple[Int64, int]]
    parts: list[Part]
    head: bytes
    bits: float

    @staticmethod
    def of(counts: list[Int64]) -> Plan:
        """Plan for the counts of each class, none of them all zero."""
        models = [model(one) for one in counts]
        sizes, precisions = [int(one.sum()) for one in counts], [bits for _, bits in models]
        bits = sum(coded_bits(c, *m) for c, m in zip(counts, models, strict=True))
        wanted = math.log2(max(1.0, CHUNK_BITS * sum(sizes) / max(bits, 1.0)))
        chunk = min(LONGEST, max(SHORTEST, round(wanted)))
        packed = write([f for f, _ in models], precisions).tobytes()
        head = number(len(packed)) + packed + bytes([chunk])
        return Plan(models, cut(sizes, precisions, 1 << chunk), head, bits)

    @property
    def bound(self) -> int:
        """Bytes that head, lengths and chunks do not exceed."""
        each = 4 * LANES + LENGTH
        return len(self.head) + math.ceil(self.bits / 8) + each * len(self.parts)

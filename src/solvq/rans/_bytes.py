"""Whole numbers as few bytes, seven bits in each, and a reader that notices the end."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

LONGEST = 9  # bytes of a number: below 2**63


class DamagedError(ValueError):
    """A stream that cannot be what was written."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the coded symbols are damaged: {what}; copy or code them again")


def number(value: int) -> bytes:
    """Nonnegative number, low bits first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@final
class Reader:
    """Take parts off the front of a stream of bytes."""

    def __init__(self, stream: NDArray[np.uint8]) -> None:
        self._stream = stream
        self._place = 0

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return self._stream.size - self._place

    def number(self) -> int:
        """Next number.

        Raises
        ------
        DamagedError
            If the stream ends before it, or it is too long.
        """
        value = 0
        for i in range(LONGEST):
            byte = int(self.take(1)[0])
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                return value
        raise DamagedError("a number has too many bytes")

    def take(self, count: int) -> NDArray[np.uint8]:
        """Next ``count`` bytes, not copied.

        Raises
        ------
        DamagedError
            If fewer are left.
        """
        if count > self.left:
            raise DamagedError("the stream ends too early")
        self._place += count
        return self._stream[self._place - count : self._place]

    def finish(self) -> None:
        """Check that nothing is left.

        Raises
        ------
        DamagedError
            If something is.
        """
        if self.left:
            raise DamagedError("bytes are left behind its end")

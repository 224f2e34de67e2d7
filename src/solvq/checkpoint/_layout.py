"""What shares a table, or a scale: blocks of a tensor that is seen as a matrix."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

PATTERN = r"tensor|row|column|rows:[1-9]\d*|group:[1-9]\d*|block:[1-9]\d*x[1-9]\d*"
ALLOWED = "tensor, row, column, rows:N, group:N or block:RxC, as in group:64 or block:8x64"


class Layout(NamedTuple):
    """A matrix of ``rows`` times ``columns`` in blocks of ``height`` times ``width``.

    Blocks are numbered row by row; the last ones of a row or column may be cut off.
    """

    rows: int
    columns: int
    height: int
    width: int

    @property
    def across(self) -> int:
        """Blocks beside each other."""
        return -(-self.columns // self.width)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.rows // self.height) * self.across

    @property
    def name(self) -> str:
        """Name that `layout_of` takes."""
        if self.rows == 1:
            return "tensor" if self.width == self.columns else f"group:{self.width}"
        if self.width == self.columns:
            return "row" if self.height == 1 else f"rows:{self.height}"
        if (self.height, self.width) == (self.rows, 1):
            return "column"
        return f"block:{self.height}x{self.width}"

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.rows * self.columns

    @property
    def length(self) -> int:
        """Consecutive weights of a block, of which the blocks are runs; 0 if they are not."""
        if self.rows == 1:
            return self.width
        whole = self.width == self.columns and self.rows % self.height == 0
        return self.height * self.columns if whole else 0


def layout_of(name: str, shape: tuple[int, ...]) -> Layout:
    """Layout of a name for a non-empty tensor; its first axis are the rows of the matrix.

    A ``group`` is a run of consecutive weights, in the order of the memory.

    Raises
    ------
    ValueError
        If the name is none of `PATTERN`.
    """
    if not re.fullmatch(PATTERN, name):
        raise ValueError(f"layout is {name!r}; give {ALLOWED}")
    size = math.prod(shape)
    rows = shape[0] if len(shape) > 1 else 1
    columns = size // rows
    kind, _, sides = name.partition(":")
    if kind == "tensor":
        return Layout(1, size, 1, size)
    if kind == "group":
        return Layout(1, size, 1, min(int(sides), size))
    height, width = {
        "row": lambda: (1, columns),
        "column": lambda: (rows, 1),
        "rows": lambda: (min(int(sides), rows), columns),
        "block": lambda: tuple(int(side) for side in sides.split("x")),
    }[kind]()
    return Layout(rows, columns, min(height, rows), min(width, columns))

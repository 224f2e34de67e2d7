"""What to do with each tensor: keep it and why, or how its weights share tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from solvq.checkpoint._container import NUMPY_DTYPES, Entry
from solvq.checkpoint._pack import index_width, packed_size
from solvq.scalar import METHODS

FLOATS = ("F64", "F32", "F16", "BF16")
MAX_VALUES = 1 << 16


class Layout(NamedTuple):
    """Tables of a tensor: ``n_tables`` of them, each for ``length`` consecutive weights."""

    n_tables: int
    length: int


@dataclass(frozen=True)
class Settings:
    """What to compress and how, checked.

    Parameters
    ----------
    n_values : int, default 16
        Table entries, at most 65536.
    per : str, default "tensor"
        One table per ``tensor``, per ``row`` (first axis), or per ``group:N`` of consecutive
        weights.
    method : str, default "optimal"
        Name in `solvq.scalar.METHODS`.
    include, exclude : tuple of str
        Shell patterns of tensor names; exclude wins.
    min_size : int, default 1024
        Tensors of fewer weights are kept.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    n_values: int = 16
    per: str = "tensor"
    method: str = "optimal"
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    min_size: int = 1024

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; choose one of {', '.join(METHODS)}")
        if not 1 <= self.n_values <= MAX_VALUES:
            raise ValueError(f"n_values is {self.n_values}; give 1 to {MAX_VALUES}")
        if not re.fullmatch(r"tensor|row|group:[1-9][0-9]*", self.per):
            raise ValueError(f"per is {self.per!r}; give tensor, row or group:N, as in group:64")
        if self.min_size < 0:
            raise ValueError(f"min_size is {self.min_size}; give 0 or more")

    def layout(self, entry: Entry) -> Layout:
        """Tables of a tensor of at least two dimensions."""
        if self.per == "tensor":
            return Layout(1, entry.size)
        if self.per == "row":
            return Layout(entry.shape[0], entry.size // entry.shape[0])
        length = int(self.per.removeprefix("group:"))
        return Layout(-(-entry.size // length), length)

    def keep(self, name: str, entry: Entry) -> str:
        """Why a tensor stays as it is; empty if it is to be compressed."""
        if not _matches(name, self.include):
            return "not included"
        if _matches(name, self.exclude):
            return "excluded"
        if entry.dtype not in FLOATS:
            return f"dtype {entry.dtype}"
        if entry.size == 0:
            return "empty"
        if len(entry.shape) < 2:
            return f"{len(entry.shape)}-D"
        if entry.size < self.min_size:
            return f"fewer than {self.min_size} weights"
        layout = self.layout(entry)
        tables = layout.n_tables * self.n_values * NUMPY_DTYPES[entry.dtype].itemsize
        if tables + packed_size(entry.size, index_width(self.n_values)) >= entry.nbytes:
            return "would not shrink"
        return ""


def _matches(name: str, globs: Iterable[str]) -> bool:
    """Whether a tensor's name fits one of several shell patterns."""
    return any(fnmatchcase(name, glob) for glob in globs)

"""A tree of bins over all float64 numbers, fine where it was asked to be.

The bits of a float64 give an integer key that grows with the number. A bin is a range of keys
with the same leading bits, so all its numbers have one sign and exponent, and its numbers are
linear in the key. The root has a bin for every sign, exponent and `MANTISSA` leading bits of the
mantissa: a relative resolution that needs no range beforehand. A bin can have a node of finer bins
over the part of it that is in use; what falls into the bin beside that part stays in the bin.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.scalar._kernels import Float64, kernel

MANTISSA = 10  # leading bits of the mantissa that tell the bins of the root apart
ROOT_SHIFT = 52 - MANTISSA
ROOT = (0, ROOT_SHIFT, 0, 1 << (64 - ROOT_SHIFT))
SIGN = np.uint64(1 << 63)
BLOCK = 1024  # numbers whose keys are made at once
PAGE = 9  # bits of a bin's number within its page; most pages are never used
COLUMNS = 5
WEIGHT, SUM, SQUARE, HIGH, LOW = range(COLUMNS)
UInt64 = NDArray[np.uint64]


class Tree(NamedTuple):
    """Bins, as nodes of consecutive ones.

    A node has the bins of ``key >> shift`` from ``start`` on, ``length`` of them, which are
    numbered from ``base``. ``child[bin]`` is the node of finer bins of a bin, 0 if it has none.
    """

    shift: UInt64
    start: UInt64
    length: UInt64
    base: NDArray[np.int64]
    child: NDArray[np.int32]

    @property
    def size(self) -> int:
        """Number of bins."""
        return self.child.size


def make_tree(nodes: UInt64) -> Tree:
    """Tree of rows (bin that it refines, shift, start, length), the root first."""
    lengths = nodes[:, 3].astype(np.int64)
    base = np.cumsum(lengths) - lengths
    child = np.zeros(int(lengths.sum()), np.int32)
    child[nodes[1:, 0].astype(np.int64)] = np.arange(1, len(nodes))
    shift, start, length = (np.ascontiguousarray(nodes[:, c]) for c in (1, 2, 3))
    return Tree(shift, start, length, base, child)


def root_nodes() -> UInt64:
    """Rows of the tree of coarse bins."""
    return np.array([ROOT], np.uint64)


@kernel
def _keys(x: NDArray[Any], keys: UInt64) -> None:
    """Integers in the order of some numbers."""
    values = keys.view(np.float64)
    bits = keys.view(np.int64)
    for i in range(x.size):
        values[i] = x[i] + 0.0  # no negative zero
    for i in range(x.size):
        keys[i] = np.uint64(bits[i]) ^ (np.uint64(bits[i] >> 63) | np.uint64(1 << 63))


@kernel
def _places(keys: UInt64, tree: Tree, bins: NDArray[np.int64], places: Float64) -> None:
    """Bin of each key, and place of its number in it."""
    shifts, starts, lengths, bases, child = tree  # once: each access in the loop would be counted
    for i in range(keys.size):
        key, shift = keys[i], np.uint64(ROOT_SHIFT)
        place = np.int64(key >> shift)
        node = np.uint64(child[np.uint64(place)])
        while node > 0:
            step = (key >> shifts[node]) - starts[node]  # wraps to a large one if below
            if step >= lengths[node]:
                break
            shift = shifts[node]
            place = bases[node] + np.int64(step)
            node = np.uint64(child[np.uint64(place)])
        unit = np.uint64(1) << shift
        bins[i] = place
        places[i] = np.float64(np.int64(key & (unit - np.uint64(1)))) / np.float64(np.int64(unit))


@kernel
def _add(
    bins: NDArray[np.int64], t: Float64, weight: NDArray[Any], sums: Float64, used: Any
) -> None:
    """Add places to the sums of their bins; empty ``weight`` counts."""
    for i in range(bins.size):
        w = weight[i] if weight.size else 1.0
        b = np.uint64(bins[i])
        if w == 0.0:
            continue
        used[b >> np.uint64(PAGE)] = True
        sums[b, 0] += w
        sums[b, 1] += w * t[i]
        sums[b, 2] += w * t[i] * t[i]
        sums[b, 3] = max(sums[b, 3], t[i])
        sums[b, 4] = max(sums[b, 4], 1.0 - t[i])


@kernel
def accumulate(x: NDArray[Any], weight: NDArray[Any], tree: Tree, sums: Float64, used: Any) -> None:
    """Add finite numbers to the sums of their bins; empty ``weight`` counts.

    With ``t`` in [0, 1) the place of a number in its bin, a row of ``sums`` is the weight, the
    weighted sums of ``t`` and ``t^2``, and the largest ``t`` and ``1 - t``. ``used`` marks pages of
    bins.
    """
    keys, bins, places = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.int64), np.empty(BLOCK)
    for first in range(0, x.size, BLOCK):
        last = min(first + BLOCK, x.size)
        size = last - first
        _keys(x[first:last], keys[:size])
        _places(keys[:size], tree, bins[:size], places[:size])
        _add(bins[:size], places[:size], weight[first:last], sums, used)


class Sums:
    """What was added to the bins of a tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.rows = np.zeros((tree.size, COLUMNS))  # the system gives memory to what is used
        self._used = np.zeros((tree.size >> PAGE) + 1, np.bool_)

    def bins(self) -> NDArray[np.int64]:
        """Bins of positive weight."""
        pages = np.flatnonzero(self._used)[:, None] << PAGE
        bins = (pages + np.arange(1 << PAGE)).reshape(-1)
        bins = bins[bins < self.tree.size]
        return bins[self.rows[bins, WEIGHT] > 0.0]

    def add(self, x: NDArray[Any], weight: NDArray[Any]) -> None:
        """Add finite numbers; empty ``weight`` counts."""
        accumulate(x, weight, self.tree, self.rows, self._used)

    def add_rows(self, bins: NDArray[np.int64], rows: Float64) -> None:
        """Add the rows of some distinct bins of a twin."""
        self._used[bins >> PAGE] = True
        self.rows[bins, :HIGH] += rows[:, :HIGH]
        self.rows[bins, HIGH:] = np.maximum(self.rows[bins, HIGH:], rows[:, HIGH:])


def keys_to_values(keys: UInt64) -> Float64:
    """Numbers of keys."""
    return np.where(keys & SIGN, keys ^ SIGN, ~keys).view(np.float64)


class Edges(NamedTuple):
    """First key and shift of some bins, and their place and width on the line."""

    key: UInt64
    shift: UInt64
    left: Float64
    width: Float64


def edges(tree: Tree, bins: NDArray[np.int64]) -> Edges:
    """Where bins lie."""
    node = np.searchsorted(tree.base, bins, side="right") - 1
    shift = tree.shift[node]
    key = (tree.start[node] + (bins - tree.base[node]).astype(np.uint64)) << shift
    left = keys_to_values(key)
    half = np.where(shift > 0, np.uint64(1) << np.maximum(shift, 1) - np.uint64(1), np.uint64(0))
    return Edges(key, shift, left, 2.0 * (keys_to_values(key + half) - left))

"""Best table of entries from a short grid, from sums on the lattice of its midpoints.

For entries ``g_1 < ... < g_k`` out of a grid, the sum of ``w (x - nearest)^2`` is
``A(g_k) - 2 sum_j (g_(j+1) - g_j) h((g_j + g_(j+1)) / 2)``, where ``A(g)`` is the loss with ``g``
alone and ``h(t) = sum_(x <= t) w (t - x)``: the second term is what each entry saves over the one
above it. All midpoints lie on a lattice of half the grid's finest step, on which ``h`` is a running
sum, so the data need not be sorted. The saving has the Monge property: the best entry below an
entry rises with that entry and with the count, so all counts up to ``k`` take O(G^2 + k G) for G
grid entries. ``tests/oracles.py`` tries all subsets.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from solvq.scalar._grids import span
from solvq.scalar._kernels import Float64, kernel

STEP = 4  # entries that are compared at once
ENTRIES = 512  # largest grid
CELLS = 4096  # largest lattice: with more, rounding would reach 2**-28 of the finest step squared
FAR = 2.0**20  # data must be within so many cells of the lattice's start


class Lattice(NamedTuple):
    """Scratch: sums of cells, places and savings of entries, costs and best entries below."""

    mass: Any
    moment: Any
    h: Any
    place: Any
    cost: Any
    below: Any
    saved: Any


def lattice(n: int, k: int) -> Lattice:
    """Scratch for tables of ``k`` from grids of ``n`` entries, of which `ENTRIES` are of use."""
    n = min(n, ENTRIES)
    mass, moment, h = (np.empty(CELLS + 1) for _ in range(3))
    place, below = np.empty(n, np.int64), np.empty((k, n), np.int64)
    cost, saved = np.zeros((2, n + STEP)), np.empty((n, n + STEP))
    return Lattice(mass, moment, h, place, cost, below, saved)


@kernel
def _places(grid: Float64, first: int, last: int, room: Lattice) -> float:
    """Write the entries in units of their finest step, from the first on; returns that step.

    Infinite where there is no lattice: some are not whole multiples of it, or too far.
    """
    step, even = np.inf, True
    for g in range(first, last):
        step = min(step, grid[g + 1] - grid[g])
    for g in range(first, last + 1):
        place = (grid[g] - grid[first]) / step
        even = even and place <= CELLS and place == np.floor(place)
        room.place[g - first] = int(place) if even else 0
    return step if even else np.inf


@kernel
def _scatter(x: Any, w: Float64, line: Any, room: Lattice) -> Any:
    """Sums of the data by cells; returns (weight, first moment) up to the lattice and of all.

    ``line`` is the lattice's start, the width of a cell and their number. A cell includes its
    upper end, and from there its moment is taken.
    """
    start, unit, cells = line
    per_unit = 1.0 / unit  # a power of two for all formats
    room.mass[:cells], room.moment[:cells] = 0.0, 0.0
    below, under, weight, total = 0.0, 0.0, 0.0, 0.0
    for i in range(x.size):
        y, a = (x[i] - start) * per_unit, w[i] if w.size else 1.0
        weight += a
        total += a * y
        if y <= 0.0:
            below += a
            under -= a * y
        elif y <= cells:
            upper = np.ceil(y)
            c = np.uint64(upper) - np.uint64(1)
            room.mass[c] += a
            room.moment[c] += a * (upper - y)
    return below, under, weight, total


@kernel
def _accumulate(below: float, under: float, cells: int, room: Lattice) -> None:
    """Write ``h``, and in place of the masses of the cells those up to their lower ends."""
    h = under
    for c in range(cells):
        room.h[c] = h
        h += below + room.moment[c]
        inside = room.mass[c]
        room.mass[c] = below
        below += inside
    room.h[cells], room.mass[cells] = h, below


@kernel
def _save(n: int, zero: int, room: Lattice) -> None:
    """Write what an entry ``b`` saves as the next above ``a``, in units of four squared cells.

    Minus infinity where it may not be: below ``a``, or beyond ``zero`` that must be between.
    """
    places, h, saved = room.place, room.h, room.saved
    for b in range(np.uint64(n)):  # unsigned: no wrap-around test
        high = places[b]
        for a in range(np.uint64(0), b):
            saved[b, a] = (high - places[a]) * h[np.uint64(high + places[a])]
        saved[b, b : n + STEP] = -np.inf
        if 0 < zero < b:
            saved[b, :zero] = -np.inf


@kernel
def _layer(room: Lattice, j: int, n: int) -> None:
    """Solve tables of ``j + 1`` entries up to each grid entry, from those of ``j``.

    The best entry below never falls as the entry or the count rises. What is looked at beyond the
    one of the next entry cannot be better, so entries are compared by fours, without a branch.
    """
    old, new, saved = room.cost[(j + 1) % 2], room.cost[j % 2], room.saved
    before, found = room.below[j - 1], room.below[j]
    last: Any = np.uint64(n - 1)
    for b in range(n - 1, -1, -1):
        start: Any = np.uint64(before[b])
        best, at, row = np.inf, start, np.uint64(b)
        for a in range(start, max(start, last) + np.uint64(1), np.uint64(STEP)):
            c, d, e = a + np.uint64(1), a + np.uint64(2), a + np.uint64(3)
            v, u = old[a] - saved[row, a], old[c] - saved[row, c]
            y, z = old[d] - saved[row, d], old[e] - saved[row, e]
            first, low = (c, u) if u < v else (a, v)
            second, high = (e, z) if z < y else (d, y)
            first, low = (second, high) if high < low else (first, low)
            at, best = (first, low) if low < best else (at, best)
        new[b], found[b], last = best, at, at


@kernel
def _ending(room: Lattice, j: int, n: int, zero: int, sums: Any) -> tuple[float, int]:
    """Least loss, but for a constant, of tables of ``j + 1`` entries, and their last entry."""
    best, at = np.inf, 0
    for b in range(max(zero, 0), n):
        place = float(room.place[b])
        v = room.cost[j % 2, b] + place * (place * sums[0] - sums[1])
        if v < best:
            best, at = v, b
    return best, at


@kernel
def _chosen(room: Lattice, k: int, n: int, zero: int, sums: Any) -> tuple[int, int]:
    """Count and last entry of the best table of at most ``k`` entries; the fewest on ties."""
    count, last = 1, 0
    for b in range(n):
        room.cost[0, b] = 0.0 if zero < 0 or b <= zero else np.inf
        room.below[0, b] = 0
    best, last = _ending(room, 0, n, zero, sums)
    for j in range(1, k):
        _layer(room, j, n)
        value, at = _ending(room, j, n, zero, sums)
        if value < best:
            best, count, last = value, j + 1, at
    return count, last


@kernel
def _written(room: Lattice, count: int, last: int, kept: Any, grid: Float64, out: Float64) -> int:
    """Write the entries that some datum is nearest to, or that must be there, and count them.

    ``kept`` is the entry that must be there and the weight of all data.
    """
    entries = np.empty(count, np.int64)
    for j in range(count - 1, -1, -1):
        entries[j] = last
        last = room.below[j, last]
    n, reached = 0, 0.0
    for j in range(count):
        upto = kept[1]
        if j + 1 < count:
            upto = room.mass[room.place[entries[j]] + room.place[entries[j + 1]]]
        if upto > reached or entries[j] == kept[0]:
            out[n] = grid[entries[j]]
            n += 1
        reached = max(reached, upto)
    return n


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz", "reassoc"})
def _extent(x: Any) -> tuple[float, float]:
    """Least and largest of finite numbers."""
    low, high = x[0], x[0]
    for i in range(np.uint64(x.size)):
        low, high = min(low, x[i]), max(high, x[i])
    return low, high


@kernel
def lattice_table(
    x: Any, w: Float64, grid: Float64, keep_zero: bool, room: Lattice, out: Float64
) -> int:
    """Best table of at most ``out.size`` entries of a grid; returns how many ``out`` has.

    0 where the grid is too large, or has no lattice or too long a one. Empty ``w`` counts.
    """
    low, high = _extent(x)
    first, last = span(grid, low, high, keep_zero)
    n = last - first + 1
    if n == 1:
        out[0] = grid[first]
        return 1
    if n > ENTRIES:
        return 0
    step = _places(grid, first, last, room)
    unit, start = 0.5 * step, grid[first]
    reach = max(abs(low - start), abs(high - start))
    if step == np.inf or 2 * room.place[n - 1] > CELLS or not reach < FAR * unit:
        return 0
    cells = 2 * room.place[n - 1]
    below, under, weight, total = _scatter(x, w, (start, unit, cells), room)
    _accumulate(below, under, cells, room)
    zero = int(np.searchsorted(grid, 0.0)) - first if keep_zero else -1
    _save(n, zero, room)
    count, at = _chosen(room, min(out.size, n), n, zero, (weight, total))
    return _written(room, count, at, (zero, weight), grid[first : last + 1], out)


@kernel
def lattice_rows(
    x: Any, w: Float64, grid: Float64, keep_zero: bool, room: Lattice, out: Float64
) -> NDArray[np.int64]:
    """`lattice_table` of each row, its last entry repeated; returns the numbers of entries.

    A row without weight is solved as if all its data had one.
    """
    none, counts = np.empty(0), np.zeros(x.shape[0], np.int64)
    for r in range(x.shape[0]):
        weight = w[r] if w.size and w[r].max() > 0.0 else none
        counts[r] = lattice_table(x[r], weight, grid, keep_zero, room, out[r])
        if counts[r]:
            out[r, counts[r] :] = out[r, counts[r] - 1]
    return counts

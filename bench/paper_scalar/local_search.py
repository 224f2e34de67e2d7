"""What the study needs and solvq does not ship: a local-search l0, and plain Lloyd."""

from __future__ import annotations

import numpy as np

from bench.paper_scalar.study import Array

CYCLES, SWAPS = 50, 20


def step_basis(u: Array) -> Array:
    """Return the dense step basis of sorted distinct values; column 1 is free, of ones."""
    basis = np.tril(np.ones((u.size, u.size)))
    return basis * np.concatenate([[1.0], np.diff(u)])


def local_l0_path(u: Array, n_penalties: int = 200) -> list[Array]:
    """Find supports for ``min |u - V a|^2 + penalty |a|_0`` on a grid of falling penalties.

    Coordinate descent with hard thresholds, then swaps of one column for another while they help,
    each penalty started from the solution before it: the scheme of L0Learn. The columns have
    length one and a zero mean, which is the free first coefficient.
    """
    basis = step_basis(u)[:, 1:]
    basis -= basis.mean(axis=0)
    basis /= np.linalg.norm(basis, axis=0)
    gram, target = basis.T @ basis, basis.T @ (u - u.mean())
    a, supports = np.zeros(u.size - 1), []
    for penalty in np.geomspace(np.max(target**2), 1e-9 * np.max(target**2), n_penalties):
        a = descend(gram, target, a, penalty)
        for _ in range(SWAPS):
            if not swap(gram, target, a, penalty):
                break
            a = descend(gram, target, a, penalty)
        supports.append(np.concatenate([[0], 1 + np.flatnonzero(a)]))
    return supports


def descend(gram: Array, target: Array, a: Array, penalty: float) -> Array:
    """Change one coefficient at a time until the support settles."""
    a = a.copy()
    slope = target - gram @ a
    for _ in range(CYCLES):
        before = a != 0
        for j in range(a.size):
            wanted = slope[j] + a[j]
            new = wanted if wanted * wanted > penalty else 0.0
            if new != a[j]:
                slope -= gram[j] * (new - a[j])
                a[j] = new
        if np.array_equal(before, a != 0):
            break
    return a


def swap(gram: Array, target: Array, a: Array, penalty: float) -> bool:
    """Exchange one column for a better one, in place; False if no exchange helps."""
    slope = target - gram @ a
    for i in np.flatnonzero(a):
        without = slope + gram[i] * a[i]
        j = int(np.argmax(np.where(a != 0, 0.0, np.abs(without))))
        if without[j] ** 2 > without[i] ** 2 * (1 + 1e-9) and a[j] == 0:
            a[i], a[j] = 0.0, without[j]
            return True
    return False


def means(u: Array, support: Array) -> Array:
    """Return the means of the groups that start at a support: the refit."""
    return np.array([part.mean() for part in np.split(u, support[1:])])


def textbook_lloyd(x: Array, n_values: int, rng: np.random.Generator, steps: int = 100) -> Array:
    """Alternate from values drawn evenly in the range; an empty cell keeps its value.

    The k-means that has empty clusters: nothing is done about them.
    """
    values = np.sort(rng.uniform(x.min(), x.max(), n_values))
    for _ in range(steps):
        cells = np.searchsorted((values[1:] + values[:-1]) / 2, x)
        counts = np.bincount(cells, minlength=n_values)
        sums = np.bincount(cells, weights=x, minlength=n_values)
        moved = np.sort(np.where(counts > 0, sums / np.maximum(counts, 1), values))
        if np.array_equal(moved, values):
            break
        values = moved
    return values

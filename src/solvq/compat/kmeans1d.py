"""In place of the package ``kmeans1d``: ``from solvq.compat import kmeans1d``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solvq.arrays import to_numpy
from solvq.scalar import quantize
from solvq.scalar._base import check_count

__all__ = ["Clustered", "cluster"]


class Clustered(NamedTuple):
    """Cluster of each number, and the centre of each cluster, ascending."""

    clusters: list[int]
    centroids: list[float]


def cluster(array: Any, k: int) -> Clustered:
    """Clusters of numbers with the least sum of squared distances to the centres.

    What ``kmeans1d.cluster`` of version 0.5.0 gives, in O(n log n) time whatever ``k`` and O(n)
    memory, also at large offsets. Where several partitions are equally good it may be another one
    of these.

    Parameters
    ----------
    array : array_like of shape (n,)
        Finite numbers.
    k : int
        Number of clusters; at most ``n`` are made.

    Returns
    -------
    Clustered
        Two lists. With fewer than ``k`` distinct numbers the first clusters are empty and have the
        centre 0, as there.

    Raises
    ------
    ValueError
        If ``array`` is empty, not flat or not finite, or ``k`` is less than 1.
    """
    check_count("k", k)
    numbers = np.asarray(to_numpy(array), np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"array has shape {numbers.shape}; give a flat sequence of numbers")
    code = quantize(numbers, n_values=int(k))
    empty = min(int(k), numbers.size) - len(code.codebook)
    clusters = code.indices.astype(np.int64) + empty
    return Clustered(clusters.tolist(), [0.0] * empty + code.codebook.tolist())

"""A binary heap of the nodes between neighbouring blocks, whose keys may change.

``key[i]`` and ``node[i]`` are the heap, ``place[n]`` is where node ``n`` stands in it. Nodes of
equal keys leave in ascending order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solvq.scalar._kernels import Float64, kernel


class Queue(NamedTuple):
    """Room for a heap of nodes; see the module."""

    key: Any
    node: Any
    place: Any


def queue(size: int) -> Queue:
    """Room for the nodes ``0 .. size - 1``."""
    return Queue(np.empty(size), np.empty(size, np.int32), np.empty(size, np.int32))


@kernel
def _put(queue: Queue, i: int, key: float, node: int) -> None:
    """Write an entry of the heap."""
    queue.key[i], queue.node[i], queue.place[node] = key, node, i


@kernel
def _rise(queue: Queue, i: int, key: float, node: int) -> None:
    """Place an entry at ``i`` or above it."""
    while i > 0:
        parent = (i - 1) >> 1
        above, other = queue.key[parent], queue.node[parent]
        if above < key or (above == key and other < node):
            break
        _put(queue, i, above, other)
        i = parent
    _put(queue, i, key, node)


@kernel
def _sink(queue: Queue, i: int, size: int, key: float, node: int) -> None:
    """Place an entry at ``i`` or below it."""
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        below, other = queue.key[child], queue.node[child]
        if child + 1 < size:
            right, second = queue.key[child + 1], queue.node[child + 1]
            if right < below or (right == below and second < other):
                child, below, other = child + 1, right, second
        if key < below or (key == below and node < other):
            break
        _put(queue, i, below, other)
        i = child
    _put(queue, i, key, node)


@kernel
def fill(queue: Queue, keys: Float64, size: int) -> None:
    """Make the heap that of the nodes ``1 .. size`` with ``keys[node]``."""
    for i in range(size):
        _put(queue, i, keys[i + 1], i + 1)
    for i in range((size >> 1) - 1, -1, -1):
        _sink(queue, i, size, queue.key[i], queue.node[i])


@kernel
def pop(queue: Queue, size: int) -> tuple[float, int]:
    """Take the node of the least key from a heap of ``size``."""
    key, node = queue.key[0], queue.node[0]
    _sink(queue, 0, size - 1, queue.key[size - 1], queue.node[size - 1])
    return key, node


@kernel
def change(queue: Queue, size: int, node: int, key: float) -> None:
    """Give a node of the heap another key."""
    i = queue.place[node]
    if key < queue.key[i]:
        _rise(queue, i, key, node)
    else:
        _sink(queue, i, size, key, node)

"""Batches of items in threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

BATCH = 8  # items that share working memory, at most
Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    work: Callable[[list[Item]], list[Result]], items: list[Item], n_jobs: int | None
) -> list[Result]:
    """Results of batches of items, in order, in parallel if there are several."""
    threads = min(n_jobs or os.cpu_count() or 1, len(items))
    size = max(1, min(BATCH, len(items) // max(threads, 1)))
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    if threads < 2:
        found = [work(batch) for batch in batches]
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(work, batches))
    return [result for results in found for result in results]

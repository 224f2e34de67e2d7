"""Synthetic data, seeded: one file a data set, each with ``make(shape, rng) -> array``."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets import bfloat16, integers, normal, student

Make = Callable[[tuple[int, ...], np.random.Generator], NDArray[Any]]

DATASETS: dict[str, Make] = {
    "normal": normal.make,
    "student": student.make,
    "integers": integers.make,
    "bfloat16": bfloat16.make,
}

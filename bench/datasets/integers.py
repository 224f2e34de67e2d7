"""Whole numbers stored as float32: massive ties, a few thousand distinct values at most."""

import numpy as np
from numpy.typing import NDArray

SCALE = 300.0


def make(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw normal values with standard deviation `SCALE` and round them to whole numbers."""
    return np.rint(SCALE * rng.standard_normal(shape)).astype(np.float32)

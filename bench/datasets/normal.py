"""Standard normal float32 values: the usual model of a layer's weights, nearly no ties."""

import numpy as np
from numpy.typing import NDArray


def make(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw standard normal float32 values."""
    return rng.standard_normal(shape, dtype=np.float32)

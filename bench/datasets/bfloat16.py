"""Standard normal values in bfloat16: at most a few thousand distinct values, whatever the n."""

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray


def make(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    """Draw standard normal values and round them to bfloat16."""
    return rng.standard_normal(shape, dtype=np.float32).astype(ml_dtypes.bfloat16)

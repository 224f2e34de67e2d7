"""Heavy-tailed float32 values: Student's t with 3 degrees of freedom (finite variance)."""

import numpy as np
from numpy.typing import NDArray

DEGREES_OF_FREEDOM = 3.0


def make(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw Student t values and round them to float32."""
    return rng.standard_t(DEGREES_OF_FREEDOM, shape).astype(np.float32)

"""Least mean squared error at a rate, for sources of variance one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHANNON = {"normal": 1.0, "laplace": np.e / np.pi}  # of 4^-R, from the differential entropy
WIDTH, POINTS = 14.0, 1401  # range and size of the grid of Blahut and Arimoto's algorithm
FINEST = 3.0  # bits up to which that grid is fine enough
SLOPES = np.geomspace(0.25, 100.0, 28)
ROUNDS = 400


def shannon(source: str, bits: Sequence[float] | NDArray[Any]) -> NDArray[Any]:
    """Shannon's lower bound; of a Gaussian source it is the rate-distortion function itself."""
    return SHANNON[source] * 4.0 ** -np.asarray(bits, float)


def blahut_arimoto() -> tuple[NDArray[Any], NDArray[Any]]:
    """Rates in bits and distortions of a Laplacian source, up to `FINEST` bits.

    The source is put on a grid, which is that of the reproduction as well. Every point computed is
    above the rate-distortion function of the grid, and converges to it.
    """
    x = np.linspace(-WIDTH / 2, WIDTH / 2, POINTS)
    p = np.exp(-(2**0.5) * np.abs(x))
    p /= p.sum()
    square = (x[:, None] - x) ** 2
    q = np.full(POINTS, 1.0 / POINTS)
    found = []
    for slope in SLOPES:
        kernel = np.exp(-slope * square)
        for _ in range(ROUNDS):
            q = q * (kernel.T @ (p / (kernel @ q)))
        joint = kernel * q / (kernel @ q)[:, None] * p[:, None]
        error = float(np.sum(joint * square))
        rate = float(-slope * error - p @ np.log(kernel @ q)) / np.log(2.0)
        if rate > FINEST:
            break
        found.append((rate, error))
    return np.array(found).T[0], np.array(found).T[1]

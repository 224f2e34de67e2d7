"""Latents and a codebook for them, the same ones in every process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

MIXED = 5  # codewords in the convex combination that a latent is
NOISE = 0.2  # standard deviation added to it
PATCH, PIXEL = 4, 255.0
REAL_CODES, REAL_FIT = 256, 20000


class Data(NamedTuple):
    """Latents (N, F), codebook (K, F), and a gradient (N, F) that a loss sends to the values."""

    z: Array
    codebook: Array
    cotangent: Array

    def first(self, rows: int) -> Data:
        """The first latents only."""
        return Data(self.z[:rows], self.codebook, self.cotangent[:rows])


@dataclass(frozen=True)
class VectorProblem:
    """Gaussian codewords, and latents that are sparse convex combinations of them plus noise."""

    rows: int
    dim: int
    n_codes: int
    seed: int = 0

    @property
    def name(self) -> str:
        """Name to print and to select by."""
        return f"N={self.rows} F={self.dim} K={self.n_codes}"

    def load(self) -> Data:
        """Make the float32 arrays; the first rows do not depend on how many follow."""
        words, mixes, noise, gradient = (
            np.random.default_rng(seed) for seed in np.random.SeedSequence(self.seed).spawn(4)
        )
        codebook = words.standard_normal((self.n_codes, self.dim))
        z = np.empty((self.rows, self.dim))
        for row in z:
            chosen = mixes.integers(self.n_codes, size=MIXED)
            row[:] = mixes.dirichlet(np.ones(MIXED)) @ codebook[chosen]
        z += NOISE * noise.standard_normal(z.shape)
        cotangent = gradient.standard_normal(z.shape)
        return Data(*(a.astype(np.float32) for a in (z, codebook, cotangent)))


def image_patches(folder: Path, rows: int, seed: int) -> Data:
    """Colour patches of 4 x 4 pixels in [0, 1], with a k-means codebook of other patches.

    Reads the array ``x`` (images, height, width, 3) of bytes in ``cifar10_lossless4k.npz``.
    """
    from sklearn.cluster import KMeans  # noqa: PLC0415

    with np.load(folder / "cifar10_lossless4k.npz") as archive:
        images = archive["x"]
    n, height, width, channels = images.shape
    tiles = images.reshape(n, height // PATCH, PATCH, width // PATCH, PATCH, channels)
    patches = tiles.transpose(0, 1, 3, 2, 4, 5).reshape(-1, PATCH * PATCH * channels) / PIXEL
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(patches))
    fit, rest = patches[order[:REAL_FIT]], patches[order[REAL_FIT : REAL_FIT + rows]]
    means = KMeans(REAL_CODES, n_init=1, random_state=seed).fit(fit).cluster_centers_
    cotangent = rng.standard_normal(rest.shape)
    return Data(*(a.astype(np.float32) for a in (rest, means, cotangent)))

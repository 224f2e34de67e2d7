"""One table per tensor by k-means, as Core ML's palettization makes it."""

from __future__ import annotations

from typing import final

import numpy as np

from bench.compression.methods._base import Array, Coded, Method, packed


@final
class KMeans(Method):
    """scikit-learn's k-means as coremltools 9.0 calls it: one start, tolerance 0.01."""

    name = "k-means"
    about = (
        "coremltools palettize_weights, mode kmeans, on float32: scikit-learn, n_init=1, tol=0.01;"
        " a float32 table per tensor and packed codes"
    )
    rates = (8.0, 4.0, 3.0, 2.0)

    def code(self, x: Array, bits: float) -> Coded:
        """Cluster the weights."""
        from sklearn.cluster import KMeans as Clusters

        values, k = x.reshape(-1, 1).astype(np.float32), 2 ** int(bits)
        fit = Clusters(k, init="k-means++", n_init=1, tol=1e-2, random_state=0).fit(values)
        table = fit.cluster_centers_[:, 0].astype(np.float32)
        parts = {"table": 4 * k, "codes": packed(x.size, int(bits))}
        return Coded(table[fit.labels_].reshape(x.shape), parts)


@final
class HalfKMeans(Method):
    """The least error of one table per tensor of float16 weights."""

    name = "k-means-half"
    about = (
        "the same on float16, coremltools' default precision, where kmeans1d is exact (computed"
        " with solvq.quantize: the optimum is the same); a float16 table per tensor"
    )
    rates = (8.0, 4.0, 3.0, 2.0)

    def code(self, x: Array, bits: float) -> Coded:
        """Cluster the weights, rounded to float16."""
        from solvq import quantize

        k = 2 ** int(bits)
        with np.errstate(over="ignore"):
            half = x.astype(np.float16)
        found = quantize(half.astype(np.float32), n_values=k)
        table = np.asarray(found.codebook).astype(np.float16).astype(np.float32)
        parts = {"table": 2 * k, "codes": packed(x.size, int(bits))}
        return Coded(table[found.indices].reshape(x.shape), parts)

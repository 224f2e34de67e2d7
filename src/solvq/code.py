"""The one result type: a codebook and indices into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import checked_weight, scaled, to_numpy

__all__ = ["Code", "index_bits", "index_dtype"]

CHUNK = 1 << 18  # values decoded at a time where a whole decoded copy is not wanted


def index_bits(n_codes: int) -> int:
    """Bits of a fixed-length index into ``n_codes`` entries; 0 for a single entry."""
    return max(0, int(n_codes) - 1).bit_length()


def index_dtype(n_codes: int) -> np.dtype[Any]:
    """Smallest unsigned dtype that holds the indices ``0 .. n_codes - 1``."""
    return np.min_scalar_type(max(0, int(n_codes) - 1))


@dataclass(frozen=True, eq=False)
class Code:
    """Numbers stored as indices into a table of few shared values.

    ``codebook[indices]`` is the decoded array: of shape ``indices.shape`` for a scalar codebook
    ``(K,)`` and ``indices.shape + (D,)`` for a vector codebook ``(K, D)``. A sparse convex code
    has `weights`, a scalar code of the shape of ``indices``; its last axis lists the entries that
    each vector mixes, and the decoded vector is their weighted sum.

    Parameters
    ----------
    codebook : ndarray of shape (K,) or (K, D)
        Shared values, in the dtype that decoding gives. ``K >= 1``.
    indices : ndarray of integers below K, any shape
        Stored in the smallest unsigned dtype.
    weights : Code or None
        Quantized mixing weights of a sparse convex code (vector codebooks only).

    Raises
    ------
    ValueError
        If the shapes do not fit together or an index is out of range.
    TypeError
        If ``indices`` are not integers.
    """

    codebook: NDArray[Any]
    indices: NDArray[Any]
    weights: Code | None = None

    def __post_init__(self) -> None:
        """Check once that the parts fit together, and freeze them."""
        codebook, indices = np.asarray(self.codebook), np.asarray(self.indices)
        if codebook.ndim not in (1, 2) or codebook.shape[0] < 1:
            raise ValueError(
                f"codebook has shape {codebook.shape}; give (K,) or (K, D) with K >= 1"
            )
        if not np.issubdtype(indices.dtype, np.integer):
            raise TypeError(f"indices have dtype {indices.dtype}; give integers")
        if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < len(codebook):
            raise ValueError(
                f"indices span {indices.min()}..{indices.max()}; a codebook of {len(codebook)} "
                f"entries allows 0..{len(codebook) - 1}"
            )
        if self.weights is not None:
            self._check_weights(codebook, indices)
        indices = indices.astype(index_dtype(len(codebook)), copy=False)
        for name, array in (("codebook", codebook), ("indices", indices)):
            frozen = array.view()
            frozen.flags.writeable = False
            object.__setattr__(self, name, frozen)

    def _check_weights(self, codebook: NDArray[Any], indices: NDArray[Any]) -> None:
        """Check that mixing weights stand beside every index of a vector code."""
        weights = self.weights
        if not isinstance(weights, Code) or weights.codebook.ndim != 1:
            raise TypeError("weights must be a Code with a scalar codebook")
        if codebook.ndim != 2 or indices.ndim < 1 or weights.indices.shape != indices.shape:
            raise ValueError(
                f"weights of shape {weights.indices.shape} need indices of the same shape and a "
                f"codebook (K, D); got {indices.shape} and {codebook.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the decoded array."""
        leading = self.indices.shape if self.weights is None else self.indices.shape[:-1]
        return leading + self.codebook.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the decoded array."""
        return self.codebook.dtype

    def decode(self) -> NDArray[Any]:
        """Return the numbers that the code stands for."""
        if self.weights is None:
            return np.asarray(self.codebook[self.indices])  # 0-d: not a scalar
        mix = self.weights.decode()[..., None]
        return (mix * self.codebook[self.indices]).sum(axis=-2).astype(self.dtype, copy=False)

    @property
    def nbits(self) -> int:
        """Bits of everything that must be stored: fixed-length indices and the codebook itself."""
        bits = self.indices.size * index_bits(len(self.codebook)) + 8 * self.codebook.nbytes
        return bits + (0 if self.weights is None else self.weights.nbits)

    @property
    def rate(self) -> float:
        """Bits stored per decoded value, the codebook included; nan where nothing is stored."""
        size = int(np.prod(self.shape))
        return self.nbits / size if size else float("nan")

    @property
    def entropy(self) -> float:
        """Empirical entropy of the indices in bits per index, without the codebook."""
        if self.indices.size == 0:
            return float("nan")
        counts = np.bincount(self.indices.reshape(-1), minlength=len(self.codebook))
        share = counts[counts > 0] / self.indices.size
        return float(max(0.0, -np.sum(share * np.log2(share))))

    def distortion(self, x: Any, sample_weight: Any = None) -> float:
        """Weighted mean of the squared errors of the decoded numbers, in float64.

        Parameters
        ----------
        x : array_like of the decoded shape
            The numbers that were encoded.
        sample_weight : array_like of the same shape, optional
            Nonnegative weights; equal by default.

        Raises
        ------
        ValueError
            If a shape differs, the code holds no value, or the weights are negative, not finite
            or all zero.
        """
        x = to_numpy(x)
        if x.shape != self.shape or x.size == 0:
            raise ValueError(f"x has shape {x.shape}; the code decodes to {self.shape}, non-empty")
        weight = checked_weight(sample_weight, x.shape)
        if weight is not None:
            weight, _ = scaled(weight)
        flat = x.reshape(-1)
        if self.codebook.ndim == 2:
            error = (self.decode().reshape(-1).astype(np.float64) - flat.astype(np.float64)) ** 2
            return float(np.average(error, weights=weight))
        return self._scalar_distortion(flat, weight)

    def _scalar_distortion(self, x: NDArray[Any], weight: NDArray[Any] | None) -> float:
        """`distortion` of a scalar code, chunk by chunk, without a decoded copy."""
        codebook, indices = self.codebook.astype(np.float64), self.indices.reshape(-1)
        total, mass = 0.0, 0.0
        for start in range(0, x.size, CHUNK):
            part = slice(start, start + CHUNK)
            error = (codebook[indices[part]] - x[part].astype(np.float64)) ** 2
            if weight is None:
                total, mass = total + float(error.sum()), mass + error.size
            else:
                w = weight[part]
                total, mass = total + float(error @ w), mass + float(w.sum())
        return total / mass

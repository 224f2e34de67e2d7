"""Which ways to send its latents a trained autoencoder is measured by."""

from __future__ import annotations

import torch

from solvq import quantize
from solvq.train._autoencoder import Autoencoder, Output
from solvq.train._transmit import (
    WORD,
    Indices,
    Largest,
    Mixtures,
    Numbers,
    Sparse,
    Transmission,
)
from solvq.vector import METHODS, SoftConvexSparseQuantizer, VectorQuantizer

SUPPORTS = (2, 4)  # codewords of a latent in sparse codes
FINE = 256  # levels of the weights that a table is made of
LEVELS = 16  # weights in such a table
COARSE = (8, 4, 2)  # bits of rounded numbers


def transmissions(model: Autoencoder, training: Output, n_codes: int) -> list[Transmission]:
    """Ways to send latents, the model's own one first.

    A layer that assigns hard sends its indices. A soft convex layer sends exact mixtures, and at
    fewer bits the same trained codebook serves codes that are discrete: the codeword of the
    largest weight, the nearest codeword, sparse mixtures with weights from a table that
    `solvq.quantize` makes. Latents without a bottleneck are sent as float32 or rounded numbers, or
    as the nearest of as many codewords that k-means finds after training.

    Parameters
    ----------
    model : Autoencoder
        In eval mode.
    training : Output
        For training images: tables, ranges and codewords are found on them.
    n_codes : int
        Codewords for a model that has none.
    """
    layer = model.quantizer
    if layer is None:
        kmeans = METHODS["nearest"](training.latents.shape[1], n_codes).to(training.latents.device)
        kmeans.initialise(training.latents, torch.Generator().manual_seed(0))
        after = Indices("nearest of k-means codewords", kmeans.eval(), own=False)
        return [*(Numbers(training.values, n) for n in (WORD, *COARSE)), after]
    if isinstance(layer, SoftConvexSparseQuantizer):
        return [Sparse("sparse mixtures", layer, own=True)]
    if not layer.mixes:
        return [Indices("indices", layer, own=True)]
    return [
        Mixtures("exact mixtures", layer, own=True),
        Numbers(training.values, COARSE[0]),
        Largest("largest weight", layer, own=True),
        nearest(layer),
        *(sparse(layer, s, training) for s in SUPPORTS if s <= layer.n_codes),
    ]


def nearest(layer: VectorQuantizer) -> Indices:
    """Nearest of the codewords of a layer."""
    plain = METHODS["nearest"](layer.dim, layer.n_codes).to(layer.table.device)
    with torch.no_grad():
        plain.table.copy_(layer.codebook)
    return Indices("nearest codeword", plain.eval(), own=False)


def sparse(layer: VectorQuantizer, n_nonzero: int, training: Output) -> Sparse:
    """Mixtures of few codewords of a layer; the table of weights is the best one for training."""
    fine = _sparse(layer, n_nonzero, FINE)
    weights = fine(training.latents).weights
    if weights is None:
        raise ValueError("the sparse layer gave no weights")
    table = quantize(weights[..., 1:], n_values=LEVELS).codebook
    coarse = _sparse(layer, n_nonzero, len(table))
    coarse.set_levels(table)
    return Sparse(f"sparse mixtures of {n_nonzero}", coarse, own=False)


def _sparse(layer: VectorQuantizer, n_nonzero: int, n_values: int) -> SoftConvexSparseQuantizer:
    """A sparse layer with the codewords of another one."""
    made = SoftConvexSparseQuantizer(layer.dim, layer.n_codes, n_nonzero, n_values)
    made.to(layer.table.device).eval()
    with torch.no_grad():
        made.table.copy_(layer.codebook)
    return made

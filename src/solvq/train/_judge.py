"""A trained autoencoder against images it has not seen, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvq.train._autoencoder import Autoencoder, Output
from solvq.train._metrics import Frechet, LatentError, Means, errors, similarities
from solvq.train._transmit import Shape, Transmission, to_rows
from solvq.vector import VectorQuantizer

LATENTS = 2000  # kept for figures
SAMPLES = 16  # images kept for figures
FRECHET = 500  # images that features are computed of, since a large network takes its time


class Point:
    """What a way to send latents costs and leaves, counted over batches.

    Parameters
    ----------
    transmission : Transmission
        The way.
    """

    def __init__(self, transmission: Transmission) -> None:
        self.transmission = transmission
        self.images, self.latents = Means(), LatentError()
        self.n_bytes = 0

    def add(self, model: Autoencoder, output: Output, x: Tensor) -> None:
        """Send a batch, receive it, and decode what came."""
        batch, _, height, width = output.latents.shape
        shape: Shape = (batch, height, width)
        data = self.transmission.send(output)
        values = self.transmission.receive(data, shape)
        self.n_bytes += len(data)
        self.latents.add(output.latents, values)
        self.images.add(errors(model.decode(values.to(output.latents)), x))

    def figures(self, latents_per_pixel: float) -> dict[str, Any]:
        """Name, bits per latent and pixel, and errors.

        ``sent`` counts the bytes, ``nominal`` and ``entropy`` are the `Rate` of the transmission;
        ``mse`` and ``psnr`` are those of reconstructions from the bytes.
        """
        rate = self.transmission.rate
        latent = {
            "nominal": rate.nominal,
            "entropy": rate.entropy,
            "sent": 8 * self.n_bytes / self.latents.count,
        }
        return {
            "name": self.transmission.name,
            "bits_per_latent": latent,
            "bits_per_pixel": {key: bits * latents_per_pixel for key, bits in latent.items()},
            **self.images.means(),
            "relative_error": self.latents.figures()["relative_error"],
        }


class Judge:
    """Everything that is counted over the test images.

    Parameters
    ----------
    model : Autoencoder
        In eval mode; the counts of its layer start anew.
    points : sequence of Transmission
        Ways to send latents, the model's own one first.
    frechet : Frechet, optional
        Features of a network to compare the sets by.
    """

    def __init__(
        self, model: Autoencoder, points: Sequence[Transmission], frechet: Frechet | None
    ) -> None:
        self.model = model
        self.points = [Point(one) for one in points]
        self.frechet = frechet
        self.images, self.latents = Means(), LatentError()
        self.kept: dict[str, list[NDArray[Any]]] = {}
        self.grid, self.size = (0, 0), 0
        if model.quantizer is not None:
            model.quantizer.reset_usage()

    @torch.no_grad()
    def add(self, x: Tensor, n_images: int) -> None:
        """Take in images (B, 3, H, W) of ``n_images`` to come in all."""
        output = self.model(x)
        self.images.add(errors(output.reconstruction, x) | similarities(output.reconstruction, x))
        self.latents.add(output.latents, output.values)
        if self.model.quantizer is not None:
            self.model.quantizer.measure(output.latents)
        if self.frechet is not None:
            stride = -(-n_images // FRECHET)
            self.frechet.add(output.reconstruction[::stride], x[::stride])
        for point in self.points:
            point.add(self.model, output, x)
        self.grid, self.size = tuple(output.latents.shape[2:]), x.shape[-1]
        self._keep(output, x, math.ceil(LATENTS * len(x) / n_images))

    def _keep(self, output: Output, x: Tensor, count: int) -> None:
        """Keep some latents with their values, and the first images."""
        rows = to_rows(output.latents)
        chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
        self._append("latents", rows[chosen])
        self._append("values", to_rows(output.values)[chosen])
        if len(self.kept.get("originals", ())) == 0:
            self._append("originals", _bytes(x[:SAMPLES]))
            self._append("reconstructions", _bytes(output.reconstruction[:SAMPLES]))

    def _append(self, name: str, tensor: Tensor) -> None:
        self.kept.setdefault(name, []).append(tensor.detach().cpu().numpy())

    def figures(self) -> dict[str, Any]:
        """All figures, by name."""
        layer = self.model.quantizer
        per_image = math.prod(self.grid)
        points = [point.figures(per_image / self.size**2) for point in self.points]
        own = points[0]
        usage = {} if layer is None else layer.usage()._asdict()
        return {
            **self.images.means(),
            **self.latents.figures(),
            **usage,
            "frechet": None if self.frechet is None else self.frechet.figures(),
            "latents_per_image": per_image,
            "bits_per_latent": own["bits_per_latent"],
            "bits_per_pixel": own["bits_per_pixel"],
            "mse_from_bits": own["mse"],
            "points": points,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What figures are drawn from: usage, latents, values, codewords, images."""
        arrays = {name: np.concatenate(parts) for name, parts in self.kept.items()}
        layer = self.model.quantizer
        if layer is not None:
            arrays["codebook"] = layer.codebook[: layer.n_codes].detach().cpu().numpy()
            arrays["usage"] = shares(layer)
        return arrays


def shares(layer: VectorQuantizer) -> NDArray[np.float64]:
    """Share of each codeword in what was counted, (levels, n_codes), each level summing to 1.

    Of layers that mix codewords in eval mode the mean weights, of others the indices.
    """
    weights = layer.usage_weights
    served = layer.usage_counts if weights is None or not layer.mixes else weights
    counts = served.view(-1, layer.n_codes).double().cpu().numpy()
    return counts / np.maximum(counts.sum(1, keepdims=True), 1e-300)


def _bytes(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] as uint8 (B, H, W, 3)."""
    return (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)

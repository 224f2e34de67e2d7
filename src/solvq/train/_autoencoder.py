"""An encoder, a bottleneck from the table of vector quantizers or none, and a decoder."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from solvq.train._config import NONE, Config
from solvq.train._models import MODELS
from solvq.vector import METHODS, Quantized, VectorQuantizer


class Output(NamedTuple):
    """What an autoencoder gives for images (B, 3, H, W).

    ``latents`` come from the encoder and ``values`` go to the decoder, both (B, dim, h, w);
    ``quantized`` is what the bottleneck returned, None where there is none.
    """

    reconstruction: Tensor
    latents: Tensor
    values: Tensor
    quantized: Quantized | None


class Autoencoder(nn.Module):
    """Images to images by way of latents (B, dim, h, w) of which each is quantized.

    Parameters
    ----------
    config : Config
        Architecture and bottleneck.

    Raises
    ------
    TypeError, ValueError
        For arguments that the bottleneck does not take.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        architecture = MODELS[config.model]
        self.encoder = architecture.encoder(config)
        self.decoder = architecture.decoder(config)
        self.quantizer: VectorQuantizer | None = None
        if config.quantizer != NONE:
            layer = METHODS[config.quantizer]
            self.quantizer = layer(config.dim, config.n_codes, **config.options)
        self.through = False  # whether latents pass the bottleneck by

    def encode(self, x: Tensor) -> Tensor:
        """Latents (B, dim, h, w) of images in [0, 1]."""
        return self.encoder(2 * x - 1)

    def decode(self, values: Tensor) -> Tensor:
        """Images of values (B, dim, h, w), near [0, 1] and not cut to it."""
        return (self.decoder(values) + 1) / 2

    def forward(self, x: Tensor) -> Output:
        """Encode, quantize and decode images (B, 3, H, W) in [0, 1]."""
        latents = self.encode(x)
        if self.quantizer is None or self.through:
            return Output(self.decode(latents), latents, latents, None)
        quantized = self.quantizer(latents)
        return Output(self.decode(quantized.values), latents, quantized.values, quantized)

"""The table of encoders and decoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from solvq.train import _vqgan
from solvq.train._vqvae import Decoder, Encoder

if TYPE_CHECKING:
    from solvq.train._config import Config


class Architecture(NamedTuple):
    """How the two halves of an autoencoder are built; a decoder's last layer is ``last``."""

    encoder: Callable[[Config], nn.Module]
    decoder: Callable[[Config], nn.Module]


MODELS: dict[str, Architecture] = {
    "vqvae": Architecture(Encoder, Decoder),
    "vqgan": Architecture(_vqgan.Encoder, _vqgan.Decoder),
}

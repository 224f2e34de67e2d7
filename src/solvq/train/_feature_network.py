"""Fixed networks whose features tell how far images are apart, and the distance itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

SMALLEST = 32  # height and width that every network can be given


class FeatureNetwork(nn.Module, ABC):
    """Features of images, from a network that never learns.

    What the network was trained to is kept in buffers that no checkpoint holds, so it has no
    parameters, its ``state_dict()`` is empty, and ``train()`` changes nothing. Gradients go
    through to the images. A network is a final subclass with the hooks `_layers` and `_embed`.
    """

    name: ClassVar[str]
    about: ClassVar[str]  # what it is, in a sentence

    @classmethod
    def missing(cls) -> str | None:
        """What is to be installed before the network can be made; None if nothing."""
        return None

    @abstractmethod
    def _layers(self, x: Tensor) -> list[Tensor]:
        """Maps (B, C, h, w) of checked images, the finest first."""

    @abstractmethod
    def _embed(self, x: Tensor) -> Tensor:
        """Rows (B, D) of checked images, without autocast."""

    def layers(self, x: Tensor) -> list[Tensor]:
        """Features at several depths, for a perceptual distance.

        Parameters
        ----------
        x : Tensor of shape (B, 3, H, W)
            Images in [0, 1], H and W >= 32, taken at the size they have.

        Raises
        ------
        ValueError
            For another shape.
        """
        return self._layers(_checked(x))

    def embed(self, x: Tensor) -> Tensor:
        """Features of whole images, (B, D) in float32, for a Fréchet distance.

        Parameters
        ----------
        x : Tensor of shape (B, 3, H, W)
            Images in [0, 1], H and W >= 32, resized if the network was trained on one size.

        Raises
        ------
        ValueError
            For another shape.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self._embed(_checked(x).float())

    def channel_weights(self, layers: list[Tensor]) -> list[Tensor]:
        """Weights of channels in a perceptual distance; if not learned, a mean over layers."""
        return [layer.new_full((layer.shape[1],), 1 / len(layers)) for layer in layers]

    def train(self, mode: bool = True) -> FeatureNetwork:
        """Stay as it is."""
        return super().train(False)

    def freeze(self) -> FeatureNetwork:
        """Turn parameters and buffers into buffers that are not saved, and evaluate only."""
        for module in list(self.modules()):
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.detach(), persistent=False)
        return self.train()


def _checked(x: Tensor) -> Tensor:
    """Images of a shape that every network takes, or raise."""
    if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < SMALLEST:
        raise ValueError(
            f"images have the shape {tuple(x.shape)}; give (B, 3, H, W) with H and W of at least "
            f"{SMALLEST}"
        )
    return x


def wide(x: Tensor) -> Tensor:
    """A tensor in float32, or in float64 if it was."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def unit(features: Tensor) -> Tensor:
    """Features of length 1 (or below, where they vanish) at every place."""
    features = wide(features)
    return features * (features.square().sum(1, keepdim=True) + 1e-8).rsqrt()


def perceptual(network: FeatureNetwork, a: Tensor, b: Tensor) -> Tensor:
    """How different images look: weighted squared distance of their normalised features, (B,).

    For each layer the features at a place are scaled to length 1, their squared differences are
    summed over channels with the network's weights and averaged over places; layers add up.

    Parameters
    ----------
    network : FeatureNetwork
        Where features and weights come from.
    a, b : Tensor of shape (B, 3, H, W)
        Images in [0, 1].

    Raises
    ------
    ValueError
        For other shapes.

    References
    ----------
    Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a
    perceptual metric", CVPR 2018.
    """
    ours, theirs = network.layers(a), network.layers(b)
    total = wide(a).new_zeros(len(a))
    for weights, left, right in zip(network.channel_weights(ours), ours, theirs, strict=True):
        apart = (unit(left) - unit(right)).square()
        total = total + torch.einsum("bchw,c->b", apart, weights.to(apart)) / apart[0, 0].numel()
    return total

"""The encoder and decoder of the VQGAN: normalised residual blocks, and attention at the bottom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from solvq.train._config import Config


def normalised(channels: int) -> nn.GroupNorm:
    """Group normalisation with at most 32 groups, of at least 4 channels if there are as many."""
    groups = math.gcd(32, channels)
    while groups > 1 and channels // groups < 4:
        groups //= 2
    return nn.GroupNorm(groups, channels, eps=1e-6)


class Residual(nn.Module):
    """``x + f(x)``, f twice norm, Swish and convolution; ``x`` by a 1x1 convolution if it widens.

    Parameters
    ----------
    channels, width : int
        Channels that come in and go out.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            normalised(channels),
            nn.SiLU(),
            nn.Conv2d(channels, width, 3, padding=1),
            normalised(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.skip = nn.Identity() if channels == width else nn.Conv2d(channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, width, h, w)."""
        return self.skip(x) + self.body(x)


class Attention(nn.Module):
    """``x`` plus what each place reads from all places, by one head of dot-product attention.

    Parameters
    ----------
    width : int
        Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = normalised(width)
        self.ask = nn.Conv2d(width, 3 * width, 1)  # query, key and value
        self.answer = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, h, w) to the same shape."""
        asked = self.ask(self.norm(x)).flatten(2).transpose(1, 2)[:, None]
        read = functional.scaled_dot_product_attention(*asked.chunk(3, dim=-1))
        return x + self.answer(read[:, 0].transpose(1, 2).reshape(x.shape))


class Halve(nn.Sequential):
    """A convolution of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(width, width, 3, stride=2, padding=1))


class Double(nn.Sequential):
    """Every place four times, and a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(width, width, 3, padding=1)
        )


def widths(config: Config) -> list[int]:
    """Channels at each resolution from the full one down: the hidden width times 1 to 4.

    The multipliers are 1 2 4, 1 2 2 4 and 1 1 2 2 4 for two, three and four halvings.
    """
    n = max(config.n_down, 1)
    powers = (min(level, -((n - 4 * level) // (2 * n))) for level in range(config.n_down + 1))
    return [config.width * 2**power for power in powers]


def stage(config: Config, channels: int, width: int) -> nn.Sequential:
    """Residual blocks at one resolution, as many as the configuration says and at least one."""
    inputs = [channels, *(width for _ in range(config.n_blocks - 1))]
    return nn.Sequential(*(Residual(given, width) for given in inputs))


def middle(width: int) -> nn.Sequential:
    """What stands at the lowest resolution: a residual block on either side of attention."""
    return nn.Sequential(Residual(width, width), Attention(width), Residual(width, width))


class Encoder(nn.Module):
    """Images to latents: residual blocks at each resolution, attention at the lowest one.

    After Esser, Rombach and Ommer, "Taming transformers for high-resolution image synthesis"
    (CVPR 2021), table 7, with attention between the two last blocks alone.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        first, *rest = widths(config)
        layers: list[nn.Module] = [nn.Conv2d(3, first, 3, padding=1), stage(config, first, first)]
        channels = first
        for width in rest:
            layers += [Halve(channels), stage(config, channels, width)]
            channels = width
        self.body = nn.Sequential(*layers, middle(channels), normalised(channels), nn.SiLU())
        self.last = nn.Conv2d(channels, config.dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to latents (B, dim, h, w)."""
        return self.last(self.body(x))


class Decoder(nn.Module):
    """The mirror of `Encoder`; its last layer is ``last``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels, *rest = reversed(widths(config))
        layers: list[nn.Module] = [
            nn.Conv2d(config.dim, channels, 3, padding=1),
            middle(channels),
            stage(config, channels, channels),
        ]
        for width in rest:
            layers += [Double(channels), stage(config, channels, width)]
            channels = width
        self.body = nn.Sequential(*layers, normalised(channels), nn.SiLU())
        self.last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        """Map latents (B, dim, h, w) to images (B, 3, H, W)."""
        return self.last(self.body(values))

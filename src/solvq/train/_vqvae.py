"""The convolutional encoder and decoder of the VQ-VAE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from solvq.train._config import Config


class Residual(nn.Module):
    """``x + f(x)``, f two convolutions between ReLUs, the second of width 1.

    Parameters
    ----------
    width : int
        Channels, of which f uses half inside.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, max(1, width // 2), 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(max(1, width // 2), width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, h, w) to the same shape."""
        return x + self.body(x)


def blocks(config: Config, width: int) -> nn.Sequential:
    """Residual blocks of a width, as many as the configuration says, and a ReLU."""
    return nn.Sequential(*(Residual(width) for _ in range(config.n_blocks)), nn.ReLU())


def widths(config: Config) -> list[int]:
    """Channels after each halving: the hidden width, then twice that."""
    return [config.width if level == 0 else 2 * config.width for level in range(config.n_down)]


class Encoder(nn.Module):
    """Images to latents: strided convolutions, a convolution, residual blocks, 1x1 to ``dim``.

    With two halvings this is conv4s2(h), conv4s2(2h), conv3(2h), blocks, conv1(dim), h the hidden
    width (van den Oord et al., "Neural discrete representation learning", 2017, section 4.1).
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels, layers = 3, list[nn.Module]()
        for width in widths(config):
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.ReLU()]
            channels = width
        top = 2 * config.width
        self.body = nn.Sequential(
            *layers, nn.Conv2d(channels, top, 3, padding=1), blocks(config, top)
        )
        self.last = nn.Conv2d(top, config.dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to latents (B, dim, h, w)."""
        return self.last(self.body(x))


class Decoder(nn.Module):
    """The mirror of `Encoder`; its last layer is ``last``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        top = 2 * config.width
        layers: list[nn.Module] = [nn.Conv2d(config.dim, top, 3, padding=1), blocks(config, top)]
        channels = top
        for width in reversed(widths(config)[:-1]):
            layers += [nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers)
        self.last = (
            nn.ConvTranspose2d(channels, 3, 4, stride=2, padding=1)
            if config.n_down
            else nn.Conv2d(channels, 3, 3, padding=1)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Map latents (B, dim, h, w) to images (B, 3, H, W)."""
        return self.last(self.body(values))

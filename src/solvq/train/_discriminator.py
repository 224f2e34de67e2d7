"""The patch discriminator and its hinge losses."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from solvq.train._vqgan import normalised

SMALLEST = 24  # height and width of which one patch is left


class PatchDiscriminator(nn.Module):
    """Tells images of two kinds apart, patch by patch.

    Three strided convolutions and two plain ones of width 4: every output sees 70 x 70 pixels.
    Group normalisation stands in for batch normalisation, so that an image is judged alone and
    processes that share a batch agree.

    Parameters
    ----------
    width : int
        Channels of the first layer; then twice, four times and eight times as many.

    References
    ----------
    Isola, Zhu, Zhou and Efros, "Image-to-image translation with conditional adversarial networks",
    CVPR 2017, section 6.1.2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for power, stride in ((1, 2), (2, 2), (3, 1)):
            given, wider = width * 2 ** (power - 1), width * 2**power
            layers += [
                nn.Conv2d(given, wider, 4, stride, 1, bias=False),
                normalised(wider),
                nn.LeakyReLU(0.2),
            ]
        self.body = nn.Sequential(*layers, nn.Conv2d(width * 8, 1, 4, 1, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) in [0, 1] to scores (B, 1, h, w), high for true ones."""
        return self.body(2 * x - 1)


def discriminator_hinge(true: Tensor, made: Tensor) -> Tensor:
    """Half the mean of ``max(0, 1 - true)`` plus half that of ``max(0, 1 + made)``."""
    return (functional.relu(1 - true.float()).mean() + functional.relu(1 + made.float()).mean()) / 2


def generator_hinge(made: Tensor) -> Tensor:
    """Minus the mean score: what the autoencoder wants small."""
    return -made.float().mean()

"""Features without weights: colours and differences at four resolutions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from solvq.train._feature_network import FeatureNetwork, wide

N_SCALES = 4
FLOOR = 0.25  # contrast from which on a difference counts relative to what is around it
OPPONENT = (  # luminance, red against green, blue against both, each at most 1/2 from its middle
    (0.299, 0.587, 0.114),
    (0.5, -0.5, 0.0),
    (-0.25, -0.25, 0.5),
)


class Pyramid(FeatureNetwork):
    """Opponent colours and their differences to the right and below, at 1, 1/2, 1/4 and 1/8.

    A constant channel stands beside them: with it, lengths of features are at least `FLOOR`, flat
    places are not blown up, and images whose normalised features agree are the same image.
    """

    name: ClassVar[str] = "gradients"
    about: ClassVar[str] = (
        "colours and differences of neighbours at four resolutions, nothing learned "
        "(a substitute for LPIPS)"
    )
    colours: Tensor

    def __init__(self) -> None:
        super().__init__()
        matrix = torch.tensor(OPPONENT)[:, :, None, None]
        self.register_buffer("colours", matrix, persistent=False)
        self.freeze()

    def _layers(self, x: Tensor) -> list[Tensor]:
        """Channels: the constant, three colours, their differences to the right and below."""
        with torch.autocast(x.device.type, enabled=False):
            seen = functional.conv2d(2 * wide(x) - 1, self.colours)
            layers = []
            for scale in range(N_SCALES):
                seen = functional.avg_pool2d(seen, 2) if scale else seen
                right = functional.pad(seen.diff(dim=3), (0, 1))
                below = functional.pad(seen.diff(dim=2), (0, 0, 0, 1))
                constant = seen.new_full((len(seen), 1, *seen.shape[2:]), FLOOR)
                layers.append(torch.cat([constant, seen, right, below], 1))
            return layers

    def _embed(self, x: Tensor) -> Tensor:
        """Mean and root mean square of every channel."""
        maps = [layer[:, 1:].flatten(2) for layer in self._layers(x)]
        return torch.cat(
            [part for one in maps for part in (one.mean(2), one.square().mean(2).sqrt())], 1
        )

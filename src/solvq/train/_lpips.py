"""LPIPS itself, from the weights of VGG16 and those learned for its layers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from solvq.train._feature_network import FeatureNetwork
from solvq.train._packaged import packaged

URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
LEARNED = (  # packages that bring the weights of the layers, and where
    ("lpips", "weights/v0.1/vgg.pth"),
    ("torchmetrics", "functional/image/lpips_models/vgg.pth"),
)
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Lpips(FeatureNetwork):
    """LPIPS 0.1 on VGG16: the last features of each resolution, with learned weights.

    Raises
    ------
    FileNotFoundError
        If weights are not on this machine; nothing is downloaded.
    """

    name: ClassVar[str] = "lpips"
    about: ClassVar[str] = "LPIPS 0.1: VGG16 trained on ImageNet, layers with learned weights"
    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        learned = learned_path()
        if learned is None or not backbone_path().is_file():
            raise FileNotFoundError(f"{self.name}: {self.missing()}")
        backbone = torch.load(backbone_path(), map_location="cpu", weights_only=True)
        self.stages = nn.ModuleList(_stages(backbone))
        weights = torch.load(learned, map_location="cpu", weights_only=True)
        for place in range(len(STAGES)):
            flat = weights[f"lin{place}.model.1.weight"].flatten()
            self.register_buffer(f"learned{place}", flat, persistent=False)
        shift = torch.tensor((-0.030, -0.088, -0.188))[:, None, None]
        self.register_buffer("shift", shift, persistent=False)
        scale = torch.tensor((0.458, 0.448, 0.450))[:, None, None]
        self.register_buffer("scale", scale, persistent=False)
        self.freeze()

    @classmethod
    def missing(cls) -> str | None:
        """The package with the learned weights, or the file of VGG16."""
        if learned_path() is None:
            return "the learned weights are missing; pip install torchmetrics"
        if not backbone_path().is_file():
            return (
                f"{backbone_path()} is missing (528 MB); to get it: python -c "
                f"\"import torch; torch.hub.load_state_dict_from_url('{URL}')\""
            )
        return None

    def _layers(self, x: Tensor) -> list[Tensor]:
        """Features before each halving, and the last."""
        y = (2 * x - 1 - self.shift) / self.scale
        layers = []
        for place, stage in enumerate(self.stages):
            y = stage(functional.max_pool2d(y, 2) if place else y)
            layers.append(y)
        return layers

    def _embed(self, x: Tensor) -> Tensor:
        """Means of the 512 channels of the last layer."""
        return self._layers(x)[-1].mean((2, 3))

    def channel_weights(self, layers: list[Tensor]) -> list[Tensor]:
        """Weights learned from what people found similar."""
        return [self.get_buffer(f"learned{place}") for place in range(len(layers))]


def _stages(backbone: dict[str, Tensor]) -> list[nn.Sequential]:
    """The convolutions of VGG16 between its halvings."""
    place, stages = 0, []
    for widths in STAGES:
        layers: list[nn.Module] = []
        for width in widths:
            kernel = backbone[f"features.{place}.weight"]
            layer = nn.Conv2d(kernel.shape[1], width, 3, padding=1)
            bias = backbone[f"features.{place}.bias"]
            layer.load_state_dict({"weight": kernel, "bias": bias})
            layers += [layer, nn.ReLU()]
            place += 2
        place += 1  # the halving
        stages.append(nn.Sequential(*layers))
    return stages


def backbone_path() -> Path:
    """Where torch keeps VGG16 once it was asked for."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name


def learned_path() -> Path | None:
    """The file of learned weights, in the first package installed that has it."""
    found = (packaged(package, file) for package, file in LEARNED)
    return next((path for path in found if path is not None), None)

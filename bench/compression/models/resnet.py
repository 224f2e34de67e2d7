"""ResNets trained on CIFAR-10, on exact images and on test images that were stored as JPEG."""

from __future__ import annotations

import io
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
    divergence,
    torch_state,
)
from bench.networks import resnet

EXACT, TEST = 1000, 3000
BATCH = 250
CALIBRATION = 256  # training images


class _ResNet(Model):
    """Convolutions of 3 x 3 with batch normalisation that is kept as it is."""

    file: str
    measures = (
        Measure("divergence", False, "nats from the shipped model's probabilities, test images"),
        Measure("test_accuracy", True, f"on {TEST} test images of CIFAR-10 (JPEG-75)"),
        Measure("accuracy", True, f"on {EXACT} exact CIFAR-10 images, which it was trained on"),
    )

    def shipped(self) -> Path:
        """Return the file of the data folder."""
        return self.place.data(self.file)

    @cached_property
    def exact(self) -> tuple[Array, Array]:
        """Images and labels of the training set, bit for bit."""
        with np.load(self.place.data("cifar10_lossless4k.npz")) as data:
            size = self.place.size(EXACT)
            return data["x"][:size], data["y"][:size]

    @cached_property
    def test(self) -> tuple[Array, Array]:
        """Images and labels of the test set, evenly spread."""
        return self.stored(of_test=True, size=self.place.size(TEST))

    def stored(self, of_test: bool, size: int) -> tuple[Array, Array]:
        """Images and labels of the test or training set that were stored as JPEG."""
        from PIL import Image

        with np.load(self.place.data("cifar10_jpeg75_60k.npz")) as data:
            jpeg, offsets, labels = data["jpeg"], data["offsets"], data["label"]
            rows = np.flatnonzero(data["is_test"] == of_test)
        rows = rows[:: len(rows) // size][:size]
        images = [
            np.asarray(Image.open(io.BytesIO(jpeg[offsets[i] : offsets[i + 1]].tobytes())))
            for i in rows
        ]
        return np.stack(images), labels[rows]

    def calibration(self) -> Calibration:
        """Training images as JPEG: of the exact ones the network is too sure to tell anything."""
        images = self.stored(of_test=False, size=CALIBRATION)[0]
        return Calibration(resnet.forward, [resnet.inputs(images)])

    def outputs(self, tensors: Tensors) -> Tensors:
        """Scores of both sets."""
        state = torch_state(tensors)
        return {
            "exact": scores(state, resnet.inputs(self.exact[0])),
            "test": scores(state, resnet.inputs(self.test[0])),
        }

    def score(self, outputs: Tensors, reference: Tensors) -> dict[str, float]:
        """Shares of images whose class is found."""
        return {
            "accuracy": float(np.mean(outputs["exact"].argmax(1) == self.exact[1])),
            "test_accuracy": float(np.mean(outputs["test"].argmax(1) == self.test[1])),
            "divergence": divergence(reference["test"], outputs["test"]),
        }


def scores(state: dict[str, Any], images: Any) -> Array:
    """Scores of images, some at a time."""
    import torch

    with torch.no_grad():
        parts = [resnet.forward(state, part).numpy() for part in images.split(BATCH)]
    return np.concatenate(parts)


@final
class ResNet20(_ResNet):
    """0.27 million weights."""

    name, file = "resnet20", "cifar_resnet20.safetensors"
    task = "ResNet-20: classes of CIFAR-10"


@final
class ResNet56(_ResNet):
    """0.85 million weights."""

    name, file = "resnet56", "cifar_resnet56.safetensors"
    task = "ResNet-56: classes of CIFAR-10"

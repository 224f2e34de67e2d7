"""What a model of the benchmark is: a file that people use, and a task that judges its tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bench.compression.importance import Calibration
from bench.compression.place import Place

Array = NDArray[Any]
Tensors = dict[str, Array]


class Measure(NamedTuple):
    """A number that a task gives; which way it goes and how many digits it is worth."""

    name: str
    higher_is_better: bool
    about: str


class Model(ABC):
    """A trained model.

    Subclasses are final. The first of their `measures` decides comparisons.

    Attributes
    ----------
    name, task : str
        What it is, and what is done with it.
    measures : tuple of Measure
        What the task reports.
    """

    name: str
    task: str
    measures: tuple[Measure, ...]

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def shipped(self) -> Path:
        """Return the model's file; FileNotFoundError with a remedy if it is not there."""

    @abstractmethod
    def outputs(self, tensors: Tensors) -> Tensors:
        """What the model says of the task's data."""

    @abstractmethod
    def score(self, outputs: Tensors, reference: Tensors) -> dict[str, float]:
        """Values of the measures; `reference` is what the model as shipped says."""

    @abstractmethod
    def calibration(self) -> Calibration:
        """What its importance is measured on."""

    def tensors(self) -> Tensors:
        """Tensors of the file as shipped."""
        return read(self.shipped())

    def quality(self, tensors: Tensors) -> dict[str, float]:
        """Judge tensors of the same names and shapes."""
        return self.score(self.outputs(tensors), self.reference)

    @cached_property
    def reference(self) -> Tensors:
        """What the model as shipped says."""
        return self.outputs(self.tensors())


def read(path: Path) -> Tensors:
    """Tensors of a file, whatever its format."""
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    if path.suffix == ".pth":
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in state.items()}
    return load_file(path)


def torch_state(tensors: Tensors) -> dict[str, Any]:
    """The tensors for torch, on one thread."""
    import torch

    torch.set_num_threads(1)
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()}


def divergence(reference: Array, scores: Array) -> float:
    """Mean Kullback-Leibler divergence of the classes' probabilities, in nats."""
    from scipy.special import log_softmax

    p, q = (log_softmax(each.astype(np.float64), axis=1) for each in (reference, scores))
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def cosine(reference: Array, vectors: Array) -> float:
    """Mean cosine of the angles between rows."""
    lengths = np.linalg.norm(reference, axis=1) * np.linalg.norm(vectors, axis=1)
    return float(((reference * vectors).sum(axis=1) / np.maximum(lengths, 1e-30)).mean())

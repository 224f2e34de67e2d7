"""The trained networks of the study: weights to quantize, and a task that says what they lost."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from bench.paper_scalar.study import Array, Study

Weights = Mapping[str, Array]


@dataclass
class Network:
    """A trained network.

    Parameters
    ----------
    name, task : str
        What it is, and what ``quality`` measures.
    tensors : dict
        The weights to quantize; biases and normalisations stay as they are.
    quality : callable
        Gives the quality of replaced weights.
    fisher : dict
        Diagonal of the Fisher information for each tensor; empty if not computed.
    higher_is_better : bool
        Which way the quality goes.
    """

    name: str
    task: str
    tensors: dict[str, Array]
    quality: Callable[[Weights], float]
    fisher: dict[str, Array] = field(default_factory=dict)
    higher_is_better: bool = True


def available(module: str) -> bool:
    """Tell whether a package can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def digit_data(study: Study) -> tuple[str, Array, Array, Array, Array]:
    """Return name, training images and labels, test images and labels; pixels in [0, 1]."""
    if study.full:
        with study.data("mnist_full.npz") as data:
            train, test = (data[f"x_{part}"].reshape(-1, 784) / 255 for part in ("train", "test"))
            return "MNIST", train, data["y_train"], test, data["y_test"]
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(study.seed).permutation(len(digits.data))
    x, y = digits.data[order] / 16, digits.target[order]
    return "load_digits", x[:1437], y[:1437], x[1437:], y[1437:]


def mlp(study: Study) -> Network:
    """Train the network of the paper: two hidden layers, ReLU, on digits.

    784-256-256-10 on MNIST; 64-64-64-10 on scikit-learn's digits without a data folder.
    """
    import torch

    name, x, y, x_test, y_test = digit_data(study)
    hidden = 256 if study.full else 64
    sizes = (x.shape[1], hidden, hidden, 10)
    torch.manual_seed(study.seed)
    torch.set_num_threads(1)
    inputs, labels = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.long)
    held_out = torch.tensor(x_test, dtype=torch.float32)
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    train(layers, inputs, labels, epochs=8 if study.full else 40)
    biases = [layer.bias.detach() for layer in layers]
    tensors = {f"layer{i + 1}": layer.weight.detach().numpy() for i, layer in enumerate(layers)}

    def accuracy(weights: Weights) -> float:
        values = [torch.tensor(weights[name]) for name in tensors]
        with torch.no_grad():
            guess = forward(values, biases, held_out)[-1].argmax(1).numpy()
        return float(np.mean(guess == y_test))

    values = [torch.tensor(w) for w in tensors.values()]
    fisher = mlp_fisher(values, biases, inputs[:5000])
    title = "-".join(str(size) for size in sizes)
    return Network(
        f"MLP {title}",
        f"test accuracy on {name}",
        tensors,
        accuracy,
        dict(zip(tensors, map(with_floor, fisher), strict=True)),
    )


def forward(values: list[Any], biases: list[Any], inputs: Any) -> list[Any]:
    """Return the input of every layer, and the scores at the end."""
    signals = [inputs]
    for i, (w, b) in enumerate(zip(values, biases, strict=True)):
        out = signals[-1] @ w.T + b
        signals.append(out if i == len(values) - 1 else out.relu())
    return signals


def train(layers: list[Any], inputs: Any, labels: Any, epochs: int) -> None:
    """Minimise the cross entropy by Adam, 128 images a step, at a rate that falls to zero."""
    import torch

    parameters = [p for layer in layers for p in layer.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-3)
    steps = epochs * -(-len(inputs) // 128)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(128):
            weights, biases = [n.weight for n in layers], [n.bias for n in layers]
            scores = forward(weights, biases, inputs[rows])[-1]
            loss = torch.nn.functional.cross_entropy(scores, labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def mlp_fisher(values: list[Any], biases: list[Any], inputs: Any) -> list[Array]:
    """Return the diagonal of the Fisher information of each weight matrix, exactly.

    The mean over images and, with the network's own probabilities, over the ten labels of the
    squared gradient of the log-likelihood. Of one image it is ``outer(delta^2, signal^2)``.
    """
    import torch

    signals = forward(values, biases, inputs)
    chance = torch.softmax(signals[-1], 1)
    totals = [torch.zeros_like(w) for w in values]
    for label in range(chance.shape[1]):
        delta = -chance.clone()
        delta[:, label] += 1
        for i in reversed(range(len(values))):
            share = chance[:, label, None] * delta**2
            totals[i] += share.T @ signals[i] ** 2 / len(inputs)
            if i:
                delta = (delta @ values[i]) * (signals[i] > 0)
    return [total.numpy() for total in totals]


def with_floor(fisher: Array) -> Array:
    """Add a thousandth of the mean, so that weights without any gradient count a little."""
    return fisher.astype(np.float64) + 1e-3 * fisher.mean()

"""A small language model: a causal transformer over subwords, as a function of its tensors.

Pre-normalised blocks (RMS normalisation, attention of several heads, a GELU layer four times as
wide), learned positions, one matrix for the embedding and the scores. The names are those of the
file that `bench.networks.train_language_model` writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADS = 4
EPSILON = 1e-6


class Shape(NamedTuple):
    """Size of a model; 2.0 million weights as it stands."""

    vocabulary: int = 2048
    width: int = 192
    blocks: int = 4
    context: int = 128


def start(shape: Shape, seed: int) -> dict[str, Any]:
    """Random weights: normal, residual outputs smaller the deeper the model."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int, deviation: float = 0.02) -> Any:
        return deviation * torch.randn(*size, generator=generator)

    width, small = shape.width, 0.02 / math.sqrt(2 * shape.blocks)
    state = {
        "embedding.weight": draw(shape.vocabulary, width),
        "position.weight": draw(shape.context, width),
        "norm.weight": torch.ones(width),
    }
    for block in range(shape.blocks):
        name = f"block.{block}"
        state |= {
            f"{name}.norm1.weight": torch.ones(width),
            f"{name}.attention.weight": draw(3 * width, width),
            f"{name}.mix.weight": draw(width, width, deviation=small),
            f"{name}.norm2.weight": torch.ones(width),
            f"{name}.widen.weight": draw(4 * width, width),
            f"{name}.narrow.weight": draw(width, 4 * width, deviation=small),
        }
    return state


def forward(state: dict[str, Any], tokens: Any) -> Any:
    """Scores (B, T, vocabulary) of the token after each of (B, T)."""
    from torch.nn import functional

    def norm(x: Any, name: str) -> Any:
        return functional.rms_norm(x, x.shape[-1:], state[f"{name}.weight"], EPSILON)

    x = state["embedding.weight"][tokens] + state["position.weight"][: tokens.shape[1]]
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("block."))
    for name in (f"block.{block}" for block in range(blocks)):
        parts = norm(x, f"{name}.norm1") @ state[f"{name}.attention.weight"].T
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts.chunk(3, -1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + mixed.transpose(1, 2).flatten(2) @ state[f"{name}.mix.weight"].T
        wide = norm(x, f"{name}.norm2") @ state[f"{name}.widen.weight"].T
        x = x + functional.gelu(wide) @ state[f"{name}.narrow.weight"].T
    return norm(x, "norm") @ state["embedding.weight"].T


def windows(
    tokens: NDArray[np.int64], context: int, rows: int = 32
) -> Iterator[tuple[Any, Any, Any]]:
    """Batches of inputs, targets and which targets count: each token counts once.

    Windows overlap by half, so that what counts has at least half a window before it.
    """
    import torch

    half = context // 2
    starts = range(0, max(1, len(tokens) - 1 - half), half)
    padded = torch.tensor(np.concatenate([tokens, np.zeros(context + 1, np.int64)]))
    for first in range(0, len(starts), rows):
        batch = torch.stack([padded[s : s + context + 1] for s in starts[first : first + rows]])
        places = torch.tensor(starts[first : first + rows])[:, None] + torch.arange(context)[None]
        counts = places + 1 < len(tokens)
        for row, s in enumerate(starts[first : first + rows]):
            if s:
                counts[row, :half] = False
        yield batch[:, :-1], batch[:, 1:], counts


def negative_log_likelihood(state: dict[str, Any], tokens: NDArray[np.int64]) -> tuple[float, int]:
    """Sum over a text's tokens, in nats, and how many there are (all but the first)."""
    import torch
    from torch.nn import functional

    total, number = 0.0, 0
    context = state["position.weight"].shape[0]
    with torch.no_grad():
        for inputs, targets, counts in windows(tokens, context):
            scores = forward(state, inputs)
            loss = functional.cross_entropy(scores.transpose(1, 2), targets, reduction="none")
            total += float(loss[counts].double().sum())
            number += int(counts.sum())
    return total, number

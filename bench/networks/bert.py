"""A BERT encoder's forward pass, for MiniLM: token numbers to sentence vectors of length one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

HEADS = 12
EPSILON = 1e-12


def embed(state: dict[str, Any], sentences: Sequence[Sequence[int]], size: int = 64) -> Array:
    """Return the mean of the last layer's vectors of each sentence, scaled to length one.

    Sentences of similar length share a batch.
    """
    import torch

    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    vectors = np.empty((len(sentences), state["embeddings.LayerNorm.weight"].shape[0]))
    with torch.no_grad():
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            longest = max(len(sentences[i]) for i in rows)
            tokens = torch.zeros(len(rows), longest, dtype=torch.long)
            mask = torch.zeros(len(rows), longest)
            for row, i in enumerate(rows):
                tokens[row, : len(sentences[i])] = torch.tensor(sentences[i])
                mask[row, : len(sentences[i])] = 1
            vectors[rows] = mean_vectors(state, tokens, mask).numpy()
    return vectors


def mean_vectors(state: dict[str, Any], tokens: Any, mask: Any) -> Any:
    """Return the vectors of a batch of sentences; the mask is one where there is a token."""
    import torch

    out = encode(state, tokens, mask)
    mean = (out * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(mean, dim=1)


def encode(state: dict[str, Any], tokens: Any, mask: Any) -> Any:
    """Return the last layer's vectors of every token."""
    import torch

    def linear(x: Any, name: str) -> Any:
        return torch.nn.functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x: Any, name: str) -> Any:
        scale, shift = state[f"{name}.weight"], state[f"{name}.bias"]
        return torch.nn.functional.layer_norm(x, x.shape[-1:], scale, shift, EPSILON)

    x = state["embeddings.word_embeddings.weight"][tokens]
    x = x + state["embeddings.position_embeddings.weight"][: tokens.shape[1]]
    x = norm(x + state["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    hidden = (mask[:, None, None, :] - 1) * 1e9
    n_layers = 1 + max(int(n.split(".")[2]) for n in state if n.startswith("encoder.layer."))
    for name in (f"encoder.layer.{layer}" for layer in range(n_layers)):
        query, key, value = (
            linear(x, f"{name}.attention.self.{part}").unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(-1, -2) / key.shape[-1] ** 0.5 + hidden
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        mixed = linear(mixed, f"{name}.attention.output.dense")
        x = norm(x + mixed, f"{name}.attention.output.LayerNorm")
        wide = torch.nn.functional.gelu(linear(x, f"{name}.intermediate.dense"))
        x = norm(x + linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return x

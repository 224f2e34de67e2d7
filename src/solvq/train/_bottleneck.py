"""When the bottleneck is initialised, revived and annealed in a run, and how it is watched."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from solvq.train._autoencoder import Autoencoder
from solvq.train._config import Config
from solvq.vector import VectorQuantizer

ROWS_PER_CODE = 32  # latents for the initial codewords
MOST_BATCHES = 16  # read for them


def check_bottleneck(config: Config, model: Autoencoder) -> None:
    """Raise where the schedule asks for what the bottleneck does not have."""
    layer = model.quantizer
    buffers = {} if layer is None else dict(layer.named_buffers(recurse=False))
    strange = sorted(set(config.anneal) - {n for n, b in buffers.items() if b.is_floating_point()})
    if strange:
        raise ValueError(
            f"anneal names {', '.join(strange)}; {config.quantizer!r} has no such buffer to set"
        )
    if config.revive_every and (layer is None or not layer.replaceable):
        raise ValueError(
            f"revive_every is {config.revive_every}; {config.quantizer!r} has no codewords to "
            "replace, leave it 0"
        )


@torch.no_grad()
def anneal(config: Config, layer: VectorQuantizer, step: int) -> None:
    """Set the buffers that go from one value to another over the run."""
    share = step / max(1, config.steps - 1)
    for name, (start, end) in config.anneal.items():
        layer.get_buffer(name).fill_(start * (end / start) ** share)


@torch.no_grad()
def initialise(config: Config, model: Autoencoder, read: Callable[[int], Tensor]) -> None:
    """Start the codewords from the latents of the first batches; ``read(i)`` gives the i-th."""
    layer = model.quantizer
    if layer is None:
        return
    wanted, latents = ROWS_PER_CODE * config.n_codes, list[Tensor]()
    for place in range(MOST_BATCHES):
        latents.append(model.encode(read(place)))
        each = latents[0].numel() // latents[0].shape[1]
        if each * len(latents) >= wanted:
            break
    layer.initialise(torch.cat(latents))


@torch.no_grad()
def watch(layer: VectorQuantizer, latents: Tensor) -> dict[str, float]:
    """Perplexities, used codes and bits of latents; the layer's own counts stay as they are."""
    counters = {n: b for n, b in layer.named_buffers(recurse=False) if n.startswith("usage_")}
    kept = {name: buffer.clone() for name, buffer in counters.items()}
    layer.reset_usage()
    layer.measure(latents)
    usage, rate = layer.usage(), layer.rate
    for name, buffer in counters.items():
        buffer.copy_(kept[name])
    figures = {
        "hard_perplexity": usage.hard_perplexity,
        "soft_perplexity": usage.soft_perplexity,
        "used": usage.used,
        "entropy_bits": rate.entropy,
    }
    return {name: value for name, value in figures.items() if math.isfinite(value)}

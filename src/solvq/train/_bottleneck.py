"""When the bottleneck is initialised, revived and annealed in a run, and how it is watched."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor

from solvq.train._autoencoder import Autoencoder
from solvq.train._config import Config
from solvq.train._order import indices, to_tensor
from solvq.train._parallel import rank, world_size
from solvq.train.data import Split
from solvq.vector import VectorQuantizer

ROWS_PER_CODE = 32  # latents for the initial codewords
MOST_BATCHES = 16  # encoded for them


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
def initialise(config: Config, model: Autoencoder, split: Split, device: torch.device) -> None:
    """Start the codewords from the latents of the images of the first steps with a bottleneck.

    Each process encodes its share, one after the other in the order of a single process.
    """
    layer = cast(VectorQuantizer, model.quantizer)
    an_image = (split.size >> config.n_down) ** 2
    wanted = math.ceil(ROWS_PER_CODE * config.n_codes / an_image / config.batch_size)
    steps = range(config.start, config.start + min(wanted, MOST_BATCHES))
    chosen = [indices(step, len(split), config.batch_size, config.seed) for step in steps]
    mine = np.array_split(np.concatenate(chosen), world_size())[rank()]
    parts = np.array_split(mine, len(steps))
    layer.initialise(torch.cat([model.encode(to_tensor(split.batch(p), device)) for p in parts]))


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

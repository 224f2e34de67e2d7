"""Which images a step sees: functions of the seed and the step, so that nothing need be saved."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvq.train._config import Config
from solvq.train._parallel import rank, world_size
from solvq.train.data import Split

ORDER, FLIPS, NOISE = range(3)  # streams of random numbers


def generator(seed: int, *stream: int) -> np.random.Generator:
    """Random numbers of their own for each seed and stream."""
    return np.random.default_rng([seed, *stream])


def indices(step: int, n_images: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Images of a step: epoch after epoch in an order of its own, batches across their borders."""
    place = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = place // n_images
    chosen = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        order = generator(seed, ORDER, int(epoch)).permutation(n_images)
        chosen[inside] = order[place[inside] % n_images]
    return chosen


def seed_step(seed: int, step: int) -> None:
    """Seed torch for a step of this process."""
    torch.manual_seed(int(generator(seed, NOISE, step, rank()).integers(2**63)))


def images(split: Split, step: int, config: Config) -> NDArray[np.uint8]:
    """Share of this process in the images of a step, (n, size, size, 3), flipped if wanted."""
    chosen = indices(step, len(split), config.batch_size, config.seed)
    flipped = generator(config.seed, FLIPS, step).random(config.batch_size) < config.flip / 2
    share = config.batch_size // world_size()
    mine = slice(rank() * share, (rank() + 1) * share)
    batch = split.batch(chosen[mine])
    turned = flipped[mine]
    batch[turned] = batch[turned, :, ::-1]
    return batch


def to_tensor(batch: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Images as float32 (n, 3, H, W) in [0, 1]."""
    tensor = torch.from_numpy(batch).to(device, non_blocking=True)
    return tensor.permute(0, 3, 1, 2).float() / 255


def batches(split: Split, steps: range, config: Config, device: torch.device) -> Iterator[Tensor]:
    """Images of each step; the next ones are read while the last are worked on."""
    with ThreadPoolExecutor(1) as reader:
        waiting = [reader.submit(images, split, step, config) for step in steps[:1]]
        for step in steps:
            batch = waiting.pop().result()
            if step + 1 in steps:
                waiting.append(reader.submit(images, split, step + 1, config))
            yield to_tensor(batch, device)

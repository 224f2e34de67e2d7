"""Small runs that tests train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from solvq.train import Config, Images, Run, create_run
from solvq.train.data import Stored

TINY: dict[str, Any] = {
    "data": "made by the test",
    "width": 4,
    "n_blocks": 1,
    "dim": 4,
    "n_codes": 8,
    "steps": 6,
    "batch_size": 8,
    "interval": 2,
}


def smooth_images(count: int = 40, size: int = 8, seed: int = 0) -> Images:
    """Images of random colour gradients, 3 in 4 of them for training."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 255, (count, 2, 1, 1, 3))
    ramp = np.linspace(0, 1, size)[:, None, None] * np.ones((1, size, 1))
    images = (corners[:, 0] * ramp + corners[:, 1] * (1 - ramp)).round().astype(np.uint8)
    border = 3 * count // 4
    return Images("gradients", Stored(images[:border]), Stored(images[border:]), "made up")


def tiny_run(path: Path, **choices: Any) -> Run:
    """Folder of a run of a few steps."""
    return create_run(path, Config(**(TINY | choices)))

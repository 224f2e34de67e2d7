"""Small checkpoints for the tests of the checkpoint room and the command line."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file


def tensors(seed: int = 0) -> dict[str, NDArray[Any]]:
    """Tensors of every kind that occurs: weights, biases, integers, odd sizes, empty, 0-D."""
    rng = np.random.default_rng(seed)
    return {
        "layer.weight": rng.standard_normal((48, 60)).astype(np.float32),
        "layer.bias": rng.standard_normal(60).astype(np.float32),
        "half": rng.standard_normal((33, 35)).astype(np.float16),
        "brain": (rng.standard_normal((8, 5, 32)) * 0.02).astype(ml_dtypes.bfloat16),
        "double": rng.standard_normal((40, 40)) + 1e8,
        "zero": np.zeros((40, 40), np.float32),
        "small": rng.standard_normal((3, 5)).astype(np.float32),
        "odd": np.arange(7, dtype=np.int8),
        "flags": np.array([True, False, True]),
        "count": np.array(12, dtype=np.int64),
        "empty": np.zeros((0, 3), np.float32),
    }


def write(path: Path, data: dict[str, NDArray[Any]], **metadata: str) -> Path:
    """Safetensors file of some tensors."""
    save_file(data, path, metadata=metadata or None)
    return path


def write_shards(folder: Path, data: dict[str, NDArray[Any]]) -> Path:
    """Sharded folder of some tensors, two files and an index."""
    folder.mkdir()
    names = list(data)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: data[name] for name in part}, folder / file)
    homes = {name: file for file, part in halves.items() for name in part}
    index = {"metadata": {"total_size": 1}, "weight_map": homes}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
